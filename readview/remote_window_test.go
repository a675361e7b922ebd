package readview_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

// insert fills the bank's log with n deposits.
func (c *contexts) insert(n int) eventsourced.Position {
	c.t.Helper()
	c.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT 1000 + n, gen_random_uuid(), 'Deposited', 'bank.Account', 'a' || n % 10, 1 + n / 10, now(), '{"Amount":0}' FROM generate_series(1, $1) n`, n)
	return eventsourced.Position(1000 + n)
}

// A slow projection asks for no more than it can take: what waits for it is bounded.
func TestSlowProjectionOfALongHistory(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	pageEvents, askEvents := soak.Times(20, 1000), soak.Times(40, 4000)
	c.relaying = func(config *relay.Config) { config.StartAtHead, config.PageEvents = true, pageEvents }
	last := c.insert(soak.Times(1000, 1_000_000))
	c.startRelayOver(b)
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	slow := balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		<-pace.C
		return onDeposited(ctx, tx, e)
	}))
	router := newRouter(t)
	manager, err := readview.NewManager(router, nil, c.branch.pool, fast())
	require.NoError(t, err)
	require.NoError(t, manager.AddRemote(slow, readview.Feed{
		Registry: registry(), Subscriber: b.receiver("branch"), Topic: c.topic,
		Requests: b, RequestTopic: c.requestTopic(), ReplyTo: "queue:branch", AskEvents: askEvents,
	}))
	c.start(router)
	ctx, cancel := context.WithTimeout(t.Context(), soak.For(time.Minute, time.Hour))
	defer cancel()
	require.NoError(t, manager.WaitFor(ctx, last))
	c.requireSame()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.LessOrEqual(t, b.stats.deepest["branch"], 6, "the pages of a window and of the next one")
	require.Greater(t, b.stats.events["branch"], 900, "they went that way")
}

var errUnlucky = errors.New("thirteen is not for everybody")

// What the other context can't send is in the status of who asks for it, with its position.
func TestEventThatTheOtherContextCannotSend(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	c.relaying = func(config *relay.Config) {
		config.StartAtHead = true
		config.Translate = func(e eventsourced.Recorded) (eventsourced.Recorded, error) {
			if string(e.Payload) == `{"Amount": 13}` || string(e.Payload) == `{"Amount":13}` {
				return e, errUnlucky
			}
			return e, nil
		}
	}
	before := c.deposit(3)
	bad := c.record("account-1", &Deposited{Amount: 13})
	last := c.deposit(3)
	it := c.startRelayOver(b)
	manager, router := c.branchManagerOver(b, nil)
	c.start(router)
	c.branch.eventually("it is in the status", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Retrying && status.Failure.Position == bad
	})
	status := c.branch.status(manager, "balances")
	require.Contains(t, status.Failure.Error, errUnlucky.Error())
	require.Equal(t, "Deposited", status.Failure.EventName)
	require.Equal(t, bad-1, status.Position)
	require.Equal(t, c.rows(`SELECT tstamp::text FROM events WHERE tstamp < $1 ORDER BY tstamp`, int64(bad)), c.branch.rows(`SELECT position::text FROM journal ORDER BY entry`))
	require.Less(t, before, bad)
	_, err := it.relay.Skip(t.Context(), bad, "nobody misses it")
	require.NoError(t, err)
	c.branch.waitFor(manager, last)
	c.branch.eventually("it is live", func() bool { return c.branch.status(manager, "balances").State == consumer.Live })
}

// A relay that publishes what is long there has more than it tells: who applies all that comes is not live by that.
func TestMessagesThatComeLate(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	old := c.insert(20)
	c.startRelayOver(b)
	manager, router := c.branchManagerOver(b, nil)
	c.start(router)
	c.branch.waitFor(manager, old)
	require.Never(t, func() bool {
		status := c.branch.status(manager, "balances")
		return status.State != consumer.CatchingUp || status.Behind != -1 || status.Lag < time.Hour
	}, 3*time.Second, 100*time.Millisecond)
	c.branch.waitFor(manager, c.deposit(1))
	c.branch.eventually("it is live", func() bool { return c.branch.status(manager, "balances").State == consumer.Live })
}

// counting is a Pub/Sub that counts the pages of history that have events.
type counting struct {
	*gochannel.GoChannel
	mu    sync.Mutex
	pages int
}

func (p *counting) Publish(topic string, messages ...*message.Message) error {
	for _, msg := range messages {
		if n, err := strconv.Atoi(msg.Metadata[messaging.MetaEvents]); err == nil && n > 0 {
			p.mu.Lock()
			p.pages++
			p.mu.Unlock()
		}
	}
	return p.GoChannel.Publish(topic, messages...)
}

// overGoChannel runs the relay and the branch office's projection over a Pub/Sub in memory.
func (c *contexts) overGoChannel(config gochannel.Config) (pubsub *counting, manager *readview.Manager, stop func()) {
	c.t.Helper()
	pubsub = &counting{GoChannel: gochannel.NewGoChannel(config, watermill.NopLogger{})}
	it, err := relay.New(c.store, c.pool, pubsub, c.relayConfig(pubsub))
	require.NoError(c.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = it.Run(ctx) })
	c.t.Cleanup(func() {
		cancel()
		require.NoError(c.t, pubsub.Close())
		running.Wait()
	})
	router := newRouter(c.t)
	manager, err = readview.NewManager(router, nil, c.branch.pool, fast())
	require.NoError(c.t, err)
	require.NoError(c.t, manager.AddRemote(balances(), readview.Feed{
		Registry: registry(), Subscriber: pubsub, Topic: c.topic, Requests: pubsub, RequestTopic: c.requestTopic(),
	}))
	return pubsub, manager, c.start(router)
}

func TestMessagesInAnotherOrderNeedNoHistory(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	pubsub, manager, _ := c.overGoChannel(gochannel.Config{})
	c.branch.eventually("it is live", func() bool { return c.branch.status(manager, "balances").State == consumer.Live })
	c.branch.waitFor(manager, c.write(500))
	c.requireSame()
	pubsub.mu.Lock()
	defer pubsub.mu.Unlock()
	require.LessOrEqual(t, pubsub.pages, 1, "they are put right")
}

// Publish returns when the subscriber has acked: neither side may wait for the other one meanwhile.
func TestPublishThatWaitsForTheAck(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	c.relaying = func(config *relay.Config) { config.StartAtHead, config.PageEvents = true, 7 }
	c.deposit(20)
	pubsub, manager, stop := c.overGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true})
	for range 3 {
		c.branch.waitFor(manager, c.write(20))
		require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	}
	c.branch.waitFor(manager, c.write(20))
	c.requireSame()
	// Nobody acks a request: that keeps nobody from closing the router.
	_, err := pubsub.Subscribe(context.WithoutCancel(t.Context()), c.requestTopic())
	require.NoError(t, err)
	c.branch.eventually("it asks in vain", func() bool { return c.branch.status(manager, "balances").State == consumer.Retrying })
	began := time.Now()
	stop()
	require.Less(t, time.Since(began), 10*time.Second)
}
