package readview_test

import (
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/readview"
)

// A remote projection whose messages can't come says so within two seconds.
func TestRemoteProjectionWithoutItsBroker(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://guest:guest@127.0.0.1:1/")
	manager, router := c.branchManager()
	c.start(router)
	began := time.Now()
	c.branch.eventually("it shows", func() bool { return c.branch.status(manager, "balances").State == consumer.Retrying })
	require.Less(t, time.Since(began), 2*time.Second)
	require.Contains(t, c.branch.status(manager, "balances").Failure.Error, "connection refused")
	elsewhere, _ := c.branchManager()
	c.branch.eventually("it shows elsewhere", func() bool { return c.branch.status(elsewhere, "balances").State == consumer.Retrying })
}

func TestRemoteProjectionWhoseQueueIsOfAnotherType(t *testing.T) {
	t.Parallel()
	c := newContexts(t, testamqp.URL(t))
	c.queueType = amqpbus.Classic
	first := c.subscriber("branch")
	_, err := first.Subscribe(t.Context(), c.topic)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return first.Problem() == nil }, time.Minute, 5*time.Millisecond)
	require.NoError(t, first.Close())

	c.queueType = amqpbus.Quorum
	c.startRelay()
	manager, router := c.branchManager()
	c.start(router)
	c.branch.eventually("it shows", func() bool { // after that it has not connected yet
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Retrying && strings.Contains(status.Failure.Error, "PRECONDITION_FAILED")
	})
}

// The other context's log was restored from an older backup: its relay is asked for what
// comes after a position that it has not reached.
func TestRemoteProjectionAheadOfTheRelay(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	relay := c.startRelayOver(b)
	manager, router := c.branchManagerOver(b, nil)
	stop := c.start(router)
	middle := c.deposit(5)
	last := c.deposit(5)
	c.branch.waitFor(manager, last)
	stop()
	relay.stop()
	c.exec(`DELETE FROM events WHERE tstamp > $1`, int64(middle))
	c.exec(`UPDATE consumers SET position = $1`, int64(middle))
	c.exec(`DELETE FROM relay_topics`)
	c.startRelayOver(b)
	manager, router = c.branchManagerOver(b, nil)
	c.start(router)
	c.branch.eventually("it shows", func() bool { return c.branch.status(manager, "balances").State == consumer.Ahead })
	require.Contains(t, c.branch.status(manager, "balances").Failure.Error, "restored from an older backup")
	next := c.deposit(3)
	require.ErrorIs(t, manager.WaitFor(t.Context(), next), readview.ErrNotRunning)
	require.EqualValues(t, 10, c.branch.int(`SELECT count(*) FROM journal`), "nothing is applied on top of it")
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	c.branch.waitFor(manager, next)
	c.requireSame()
}

// The same, noticed by a message: what it says came before it is not the last one known.
func TestRemoteProjectionAheadOfAMessage(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	relay := c.startRelayOver(b)
	manager, router := c.branchManagerOver(b, nil)
	c.start(router)
	middle := c.deposit(5)
	c.branch.waitFor(manager, middle)
	relay.stop()
	c.exec(`CREATE TABLE backup AS SELECT * FROM relay_topics; CREATE TABLE position AS SELECT position FROM consumers`)
	relay = c.startRelayOver(b)
	c.branch.waitFor(manager, c.deposit(5))
	relay.stop()
	c.exec(`DELETE FROM events WHERE tstamp > $1`, int64(middle))
	c.exec(`DELETE FROM relay_topics`)
	c.exec(`INSERT INTO relay_topics SELECT * FROM backup`)
	c.exec(`UPDATE consumers SET position = (SELECT position FROM position)`)
	next := c.deposit(3)
	c.startRelayOver(b)
	c.branch.eventually("it shows", func() bool { return c.branch.status(manager, "balances").State == consumer.Ahead })
	require.EqualValues(t, 10, c.branch.int(`SELECT count(*) FROM journal`))
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	c.branch.waitFor(manager, next)
	c.requireSame()
}

// Who may ask can't have the relay fill the queues of others.
func TestRequestForAnotherQueue(t *testing.T) {
	t.Parallel()
	c := newContexts(t, testamqp.URL(t))
	last := c.write(4)
	c.startRelay()
	conn, err := amqp.Dial(c.url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	channel, err := conn.Channel()
	require.NoError(t, err)
	victim, err := channel.QueueDeclare(testamqp.Name(t, "victim"), true, false, false, false, nil)
	require.NoError(t, err)
	publisher, err := amqpbus.NewPublisher(c.url, amqpbus.PublisherConfig{Logger: fast().Logger})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	msg, err := relay.MarshalHistoryRequest(relay.HistoryRequest{Topic: c.topic, ReplyTo: amqpbus.QueueTopic(victim.Name)})
	require.NoError(t, err)
	requests := c.subscriber("relay") // its queue, which the relay may not have made yet
	require.NoError(t, requests.SubscribeInitialize(c.requestTopic()))
	require.NoError(t, publisher.Publish(c.requestTopic(), msg))
	manager, router := c.branchManager()
	c.start(router)
	c.branch.waitFor(manager, last) // by history, which it has asked for later
	victim, err = channel.QueueDeclarePassive(victim.Name, true, false, false, false, nil)
	require.NoError(t, err)
	require.Zero(t, victim.Messages)
}

// A request that no queue takes is not lost: the status says that nobody receives it.
func TestRequestsThatNobodyReceives(t *testing.T) {
	t.Parallel()
	c := newContexts(t, testamqp.URL(t))
	manager, router := c.branchManager()
	c.start(router)
	c.branch.eventually("it is said", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Retrying && strings.Contains(status.Failure.Error, "nobody receives")
	})
	last := c.deposit(3)
	c.startRelay()
	c.branch.waitFor(manager, last)
	c.branch.eventually("it is over", func() bool { return c.branch.status(manager, "balances").State == consumer.Live })
}

// bindable is a receiver that can be bound again.
type bindable struct {
	*receiver
	again chan string
}

func (r bindable) SubscribeInitialize(topic string) error {
	r.again <- topic
	return nil
}

// Somebody takes the binding of the queue away: that what comes is by history only is told, and the
// subscriber may bind it again.
func TestBindingThatIsTakenAway(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	c.startRelayOver(b)
	subscriber := bindable{b.receiver("branch"), make(chan string, 10)}
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) {
		feed.Subscriber, feed.AskAtLeast = subscriber, 20*time.Millisecond
	})
	c.start(router)
	c.branch.waitFor(manager, c.deposit(1))
	c.branch.eventually("it is live", func() bool { return c.branch.status(manager, "balances").State == consumer.Live })
	bound := func(queues ...string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.topics[c.topic] = queues
	}
	bound()
	for range 3 {
		c.branch.waitFor(manager, c.deposit(1))
	}
	c.branch.eventually("it is said", func() bool {
		failure := c.branch.status(manager, "balances").Failure
		return failure != nil && strings.Contains(failure.Error, "is the subscriber's queue bound to "+c.topic)
	})
	require.Equal(t, c.topic, <-subscriber.again)
	bound("branch")
	c.branch.waitFor(manager, c.deposit(1))
	c.branch.eventually("it is over", func() bool { return c.branch.status(manager, "balances").State == consumer.Live })
	c.requireSame()
}
