package readview_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/readview"
)

// Requests were lost, as before the relay's first start. Messages that follow one another tell as much as
// an answer: nothing is missing, and the relay is there.
func TestMessagesInOrderAreASignOfLife(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { feed.AskAgain = 300 * time.Millisecond })
	c.start(router)
	c.branch.eventually("nobody answers", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Retrying && status.Failure.Attempts > 1
	})
	c.startRelayOver(b, func(config *relay.Config) { config.Requests, config.RequestTopic = nil, "" }) // and nobody will
	var last eventsourced.Position
	c.branch.eventually("it is live in the midst of traffic", func() bool {
		last = c.deposit(1)
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Live && status.Behind == 0 && status.Failure == nil && status.Position > 0
	})
	c.branch.waitFor(manager, last)
	c.requireSame()
}

// A command, and a node that stands by, hear nothing themselves: what the one at work has heard is in its record.
func TestStatusOfARemoteProjectionElsewhere(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	last := c.deposit(3)
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { feed.AskAgain = 300 * time.Millisecond })
	elsewhere, _ := c.branchManagerOver(b, nil)
	c.start(router)
	c.branch.eventually("it has asked", func() bool { return c.branch.status(elsewhere, "balances").Node != "" })
	status := c.branch.status(elsewhere, "balances")
	require.NotEqual(t, consumer.Live, status.State, "nobody has answered")
	require.EqualValues(t, -1, status.Behind)
	c.startRelayOver(b)
	c.branch.waitFor(manager, last)
	c.branch.eventually("it is known elsewhere that nothing waits", func() bool {
		status = c.branch.status(elsewhere, "balances")
		return status.State == consumer.Live && status.Behind == 0 && status.Lag == 0
	})
	require.Equal(t, last, status.Head)
}

// A process died in trouble that is over, and nothing comes that could be applied.
func TestTroubleOfAProcessThatHasDied(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	c.startRelayOver(b)
	c.branch.exec(`INSERT INTO readviews (name, position) VALUES ('balances', 0)`)
	c.branch.exec(`INSERT INTO readview_states (name, handled, error, failed_at, failing_since, tried_at, attempts)
		VALUES ('balances', '{Deposited}', 'the broker is down', now(), now(), now(), 3)`)
	manager, router := c.branchManagerOver(b, nil)
	require.NotNil(t, c.branch.status(manager, "balances").Failure)
	c.start(router)
	c.branch.eventually("it is over", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Live && status.Failure == nil
	})
}

// Old messages may be all that there is, or the first of many: the end of history is asked for again, also
// while they come.
func TestLostRequestIsRepeatedInTraffic(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) {
		feed.AskAgain, feed.AskAtLeast = 100*time.Millisecond, time.Hour
	})
	c.start(router)
	position := eventsourced.Position(0)
	message := func() {
		t.Helper()
		msg, err := relay.MarshalPage(relay.Page{After: position, UpTo: position + 1}) // live, as it has no head
		require.NoError(t, err)
		require.NoError(t, b.Publish(c.topic, msg))
		position++
	}
	c.branch.eventually("messages come", func() bool { message(); return c.branch.status(manager, "balances").Position > 0 })
	b.bind(c.requestTopic(), "requests")
	c.branch.eventually("it asks again", func() bool {
		message()
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.queues["requests"].messages) > 1
	})
	require.Equal(t, consumer.CatchingUp, c.branch.status(manager, "balances").State, "nobody is blamed, and nothing is certain")
}

// Who gets messages knows that the relay runs: then it is the answer's way that is wrong.
func TestRequestThatTheRelayRefuses(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	c.deposit(2)
	running := c.startRelayOver(b, func(config *relay.Config) {
		config.CheckReply = func(string, string) error { return errUnlucky }
	})
	c.eventually("the first are published, to nobody", func() bool { return running.status().Behind == 0 })
	b.bind(c.topic, "branch")
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { feed.AskAgain = 100 * time.Millisecond })
	c.start(router)
	c.branch.eventually("it asks in vain", func() bool { return c.branch.status(manager, "balances").State == consumer.Retrying })
	require.Contains(t, c.branch.status(manager, "balances").Failure.Error, "is the relay running?")
	c.deposit(1)
	c.branch.eventually("it knows better", func() bool {
		failure := c.branch.status(manager, "balances").Failure
		return failure != nil && strings.Contains(failure.Error, "may it answer to queue:branch")
	})
}
