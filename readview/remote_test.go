package readview_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestRemoteProjection(t *testing.T) {
	t.Parallel()
	c := newContexts(t, testamqp.URL(t))
	c.deposit(50) // before anybody listens
	c.startRelay()
	manager, router := c.branchManager()
	stop := c.start(router)
	c.branch.waitFor(manager, c.deposit(50))
	c.requireSame()

	last := c.deposit(1)
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	c.branch.waitFor(manager, last)
	c.requireSame()

	require.NoError(t, manager.Pause(t.Context(), "balances"))
	last = c.deposit(5)
	require.Less(t, c.branch.status(manager, "balances").Position, last)
	require.NoError(t, manager.Resume(t.Context(), "balances"))
	c.branch.waitFor(manager, last)
	stop()

	last = c.deposit(5) // into the queue
	manager, router = c.branchManager()
	c.start(router)
	c.branch.waitFor(manager, last)
	c.requireSame()
	require.Equal(t, last, c.branch.status(manager, "balances").Position)
	c.branch.eventually("it has the lease", func() bool { return c.branch.status(manager, "balances").State == consumer.Live })
}

// A queue that is deleted takes its messages along, while the consumer is off or on.
func TestDeletedQueue(t *testing.T) {
	t.Parallel()
	broker := testamqp.URL(t)
	c := newContexts(t, broker)
	relay := c.startRelay()
	manager, router := c.branchManager()
	stop := c.start(router)
	c.branch.waitFor(manager, c.deposit(5))
	stop()

	conn, err := amqp.Dial(broker)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	channel, err := conn.Channel()
	require.NoError(t, err)
	queue := c.subscriber("branch").Queue(c.topic)
	_, err = channel.QueueDelete(queue, false, false, false)
	require.NoError(t, err)
	last := c.deposit(5) // lost
	c.eventually("all is published", func() bool {
		status, err := relay.Status(t.Context())
		require.NoError(t, err)
		return status.Position >= last
	})
	manager, router = c.branchManager()
	c.start(router)
	c.branch.waitFor(manager, last) // also if nothing more is published
	c.requireSame()

	for range 3 {
		_, err = channel.QueueDelete(queue, false, false, false)
		require.NoError(t, err)
		c.deposit(5)
	}
	c.branch.waitFor(manager, c.deposit(5))
	c.requireSame()
}

func TestGapWithoutRequestsStopsTheProjection(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	c.deposit(3)
	b := newBus(1, 0)
	relay := c.startRelayOver(b)
	c.eventually("the first are published, to nobody", func() bool { return relay.status().Behind == 0 })
	b.bind(c.topic, "branch")
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { feed.Requests = nil })
	c.start(router)
	c.deposit(1)
	c.branch.eventually("it fails", func() bool { return c.branch.status(manager, "balances").State == consumer.Failed })
	status := c.branch.status(manager, "balances")
	require.Zero(t, status.Position)
	require.Contains(t, status.Failure.Error, "events are missing: position 0 is known")
	require.Zero(t, c.branch.int(`SELECT count(*) FROM journal`), "it never goes on silently")
	require.ErrorIs(t, manager.WaitFor(t.Context(), 1), readview.ErrNotRunning)
}

func TestMessagesThatAreNoRelays(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	c.startRelayOver(b)
	manager, router := c.branchManagerOver(b, nil)
	c.start(router)
	require.NoError(t, b.Publish(c.topic, message.NewMessage("garbage", []byte("{"))))
	last := c.deposit(3)
	c.branch.waitFor(manager, last) // garbage is passed over
	c.requireSame()

	stray := eventsourced.Recorded{
		EventData: eventsourced.EventData{ID: eventsourced.NewEventID(), Name: "Deposited", SchemaVersion: 1, Time: time.Now(), Payload: []byte(`{}`)},
		Stream:    eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "a"}, Version: 1, Position: last + 1_000_000_000,
	}
	marshaled, err := messaging.Marshal(t.Context(), registry(), stray)
	require.NoError(t, err)
	require.Len(t, marshaled, 1)
	msg := marshaled[0]
	require.NoError(t, b.Publish(c.topic, msg))
	c.branch.waitFor(manager, c.deposit(3)) // an event that does not tell what comes before it is asked for
	c.requireSame()
}

// What an older program would misread it holds for a newer one, and says so.
func TestMessageOfANewerProgram(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	manager, router := c.branchManagerOver(b, nil)
	c.start(router)
	msg, err := relay.MarshalPage(relay.Page{After: 0, UpTo: 7})
	require.NoError(t, err)
	msg.Metadata[messaging.MetaWireVersion] = "3"
	require.NoError(t, b.Publish(c.topic, msg))
	c.eventually("it is in the status", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Retrying && strings.Contains(status.Failure.Error, "unknown version of the wire format")
	})
}

func TestEventsThatDoNotTellWhatComesBeforeThem(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { feed.Requests = nil })
	c.start(router)
	c.deposit(1)
	for event, err := range c.store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
		require.NoError(t, err)
		marshaled, err := messaging.Marshal(t.Context(), registry(), event) // as a messaging.Subscriber would
		require.NoError(t, err)
		require.Len(t, marshaled, 1)
		msg := marshaled[0]
		require.NoError(t, b.Publish(c.topic, msg))
	}
	c.branch.eventually("it stops", func() bool { return c.branch.status(manager, "balances").State == consumer.Failed })
	require.Contains(t, c.branch.status(manager, "balances").Failure.Error, "only a relay.Relay can feed a projection")
}

// An operator may set the relay's position. Back, messages come twice; forward, some
// are missing.
func TestRelayWhosePositionIsSet(t *testing.T) {
	t.Parallel()
	for name, position := range map[string]string{"back": "1", "forward": "(SELECT max(tstamp) FROM events)"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContexts(t, "amqp://unused/")
			b := newBus(1, 0)
			b.bind(c.topic, "branch")
			stop := c.startRelayOver(b).stop
			manager, router := c.branchManagerOver(b, nil)
			c.start(router)
			c.branch.waitFor(manager, c.deposit(10))
			stop()
			c.deposit(10)
			c.exec(`UPDATE consumers SET position = ` + position)
			c.startRelayOver(b)
			c.branch.waitFor(manager, c.deposit(10))
			c.requireSame()
		})
	}
}

func TestRequestsWithoutAnAnswerShow(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { feed.AskAgain = 50 * time.Millisecond })
	require.EqualValues(t, -1, c.branch.status(manager, "balances").Behind, "nobody knows")
	c.start(router)
	began := time.Now()
	c.branch.eventually("it is not live", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Retrying && status.Behind == -1 && status.Lag == 0
	})
	require.Less(t, time.Since(began), 2*time.Second)
	require.Regexp(t, "asked .* (once|[0-9]+ times) since 20.*, no answer: is the relay running[?]", c.branch.status(manager, "balances").Failure.Error)
	elsewhere, _ := c.branchManagerOver(b, nil)
	c.branch.eventually("it shows elsewhere", func() bool { return c.branch.status(elsewhere, "balances").State == consumer.Retrying })
	c.startRelayOver(b)
	c.branch.eventually("an answer makes it live", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Live && status.Behind == 0
	})
}

func TestRemoteProjectionFails(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	c.startRelayOver(b)
	c.deposit(3)
	c.record("account-1", &Deposited{Amount: 2_000_000}) // the table's check refuses it
	last := c.deposit(3)
	manager, router := c.branchManagerOver(b, nil)
	c.start(router)
	c.branch.eventually("it fails", func() bool { return c.branch.status(manager, "balances").State == consumer.Failed })
	require.EqualValues(t, 3, c.branch.int(`SELECT count(*) FROM journal`), "what comes before is applied, also of the same page")
	require.Contains(t, c.branch.status(manager, "balances").Failure.Error, "apply Deposited of bank.Account/account-1")
	c.branch.exec(`ALTER TABLE balance DROP CONSTRAINT balance_amount_check`)
	require.NoError(t, manager.Resume(t.Context(), "balances"))
	c.branch.waitFor(manager, last)
	c.requireSame()
}

// Whatever the broker does, the read view is equal to the origin's log in the end,
// every event applied once and in order.
func TestUnreliableBroker(t *testing.T) {
	t.Parallel()
	for seed := range uint64(soak.Times(3, 50)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			c := newContexts(t, "amqp://unused/")
			b := newBus(seed, 0.08)
			b.bind(c.topic, "branch")
			c.startRelayOver(b)
			fail := middleware.RandomFail(0.1)
			manager, router := c.branchManagerOver(b, func(feed *readview.Feed) {
				feed.AskAgain, feed.AskAtLeast = 200*time.Millisecond, 500*time.Millisecond
			})
			router.AddMiddleware(fail)
			stop := c.start(router)
			for i := range 40 {
				c.deposit(1 + rand.IntN(10))
				switch i {
				case 20:
					require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
				case 30:
					stop()
					manager, router = c.branchManagerOver(b, func(feed *readview.Feed) {
						feed.AskAgain, feed.AskAtLeast = 200*time.Millisecond, 500*time.Millisecond
					})
					c.start(router)
				}
			}
			c.branch.waitFor(manager, c.deposit(1))
			c.requireSame()
			require.NotZero(t, b.stats.lost)
			require.NotZero(t, b.stats.repeated)
			require.NotZero(t, b.stats.swapped)
		})
	}
}
