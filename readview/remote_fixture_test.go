package readview_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
)

// contexts are two bounded contexts with a broker between them: a bank, whose relay
// publishes its events, and a branch office with a database of its own.
type contexts struct {
	*bank
	branch *bank // its log is empty
	url    string
	topic  string

	queueType amqpbus.QueueType
	relaying  func(*relay.Config) // may be nil
	declare   amqpbus.Declares
}

func newContexts(t *testing.T, url string) *contexts {
	t.Helper()
	c := &contexts{bank: newBank(t), url: url, topic: testamqp.Name(t, "bank")}
	require.NoError(t, migrate.Run(t.Context(), c.pool, migrate.Config{}, relay.Migrations()))
	c.branch = newBranch(t, 20)
	return c
}

// newBranch is the database of a branch office.
func newBranch(t *testing.T, connections int32) *bank {
	t.Helper()
	db := testdb.New(t, testdb.MaxConns(connections))
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, readview.Migrations()))
	_, err := db.Pool.Exec(t.Context(), tables)
	require.NoError(t, err)
	return &bank{t: t, db: db, pool: db.Pool}
}

func (c *contexts) toTopic(eventsourced.Recorded) string { return c.topic }

func (c *contexts) requestTopic() string { return c.topic + ".requests" }

// startRelay runs a relay until the test ends.
func (c *contexts) startRelay() *relay.Relay {
	c.t.Helper()
	publisher, err := amqpbus.NewPublisher(c.url, amqpbus.PublisherConfig{Declare: c.declare, Logger: fast().Logger})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, publisher.Close()) })
	it, _ := c.startRelayOn(publisher)
	return it
}

// startRelayOn is startRelay with a publisher, and may end before the test.
func (c *contexts) startRelayOn(publisher message.Publisher) (it *relay.Relay, stop func()) {
	c.t.Helper()
	requests := c.subscriber("relay")
	it, err := relay.New(c.store, c.pool, publisher, c.relayConfig(requests))
	require.NoError(c.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	done := make(chan error, 1)
	go func() { done <- it.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(c.t, <-done)
		require.NoError(c.t, requests.Close())
	})
	c.t.Cleanup(stop)
	return it, stop
}

func (c *contexts) relayConfig(requests message.Subscriber) relay.Config {
	config := relay.Config{
		Topic:        c.toTopic,
		Requests:     requests,
		RequestTopic: c.requestTopic(),
		Config: consumer.Config{
			PollInterval: 200 * time.Millisecond,
			MaxBackOff:   200 * time.Millisecond,
			Logger:       fast().Logger,
		},
	}
	if c.relaying != nil {
		c.relaying(&config)
	}
	return config
}

func (c *contexts) subscriber(group string) *amqpbus.Subscriber {
	c.t.Helper()
	subscriber, err := amqpbus.NewSubscriber(c.url, amqpbus.SubscriberConfig{Group: group, QueueType: c.queueType, Declare: c.declare, MaxBackOff: 200 * time.Millisecond, Logger: fast().Logger})
	require.NoError(c.t, err)
	return subscriber
}

// branchManager returns a manager of the projection in the branch office, on a
// router that does not run yet.
func (c *contexts) branchManager() (*readview.Manager, *message.Router) {
	c.t.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(c.t, err)
	manager, err := readview.NewManager(router, nil, c.branch.pool, fast())
	require.NoError(c.t, err)
	subscriber := c.subscriber("branch")
	requests, err := amqpbus.NewPublisher(c.url, amqpbus.PublisherConfig{Declare: c.declare, Logger: fast().Logger})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, requests.Close()) })
	require.NoError(c.t, manager.AddRemote(balances(), readview.Feed{
		Registry:     registry(),
		Subscriber:   subscriber,
		Topic:        c.topic,
		Requests:     requests,
		RequestTopic: c.requestTopic(),
		ReplyTo:      amqpbus.QueueTopic(subscriber.Queue(c.topic)),
		AskAgain:     2 * time.Second,
		AskAtLeast:   2 * time.Second,
	}))
	return manager, router
}

// requireSame fails unless the branch office's read view equals the bank's log.
func (c *contexts) requireSame() {
	c.t.Helper()
	journal := c.branch.rows(`SELECT position || ' ' || amount FROM journal ORDER BY entry`)
	require.Equal(c.t, c.rows(`SELECT tstamp || ' ' || (payload->>'Amount') FROM events WHERE name = 'Deposited' ORDER BY tstamp`), journal,
		"the journal has every deposit once, in the order of the log")
	require.Equal(c.t,
		c.rows(`SELECT aggregate_id || ' ' || sum((payload->>'Amount')::bigint) || ' ' || max(version) FROM events
			WHERE name = 'Deposited' GROUP BY aggregate_id ORDER BY aggregate_id`),
		c.branch.rows(`SELECT account || ' ' || amount || ' ' || version FROM balance ORDER BY account`))
}

// write appends n events from four writers.
func (c *contexts) write(n int) (last eventsourced.Position) {
	c.t.Helper()
	var writers sync.WaitGroup
	var mu sync.Mutex
	for w := range 4 {
		writers.Go(func() {
			for range n / 4 {
				position, err := c.accounts.Update(c.t.Context(), fmt.Sprintf("account-%d", w), func(a *Account) error {
					return eventsourced.Record(a, &Deposited{Amount: 1})
				})
				if err != nil {
					c.t.Error(err)
					return
				}
				mu.Lock()
				last = max(last, position)
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	return last
}

// runningRelay is a relay over a bus.
type runningRelay struct {
	relay  *relay.Relay
	status func() consumer.Status
	stop   func()
}

// startRelayOver runs a relay over a bus until the test ends or it is stopped.
func (c *contexts) startRelayOver(b *bus, changes ...func(*relay.Config)) runningRelay {
	c.t.Helper()
	b.bind(c.requestTopic(), "requests")
	requests := b.receiver("requests")
	config := c.relayConfig(requests)
	for _, change := range changes {
		change(&config)
	}
	it, err := relay.New(c.store, c.pool, b, config)
	require.NoError(c.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = it.Run(ctx) })
	stop := sync.OnceFunc(func() {
		cancel()
		running.Wait()
		require.NoError(c.t, requests.Close())
	})
	c.t.Cleanup(stop)
	return runningRelay{relay: it, stop: stop, status: func() consumer.Status {
		status, err := it.Status(c.t.Context())
		require.NoError(c.t, err)
		return status
	}}
}

func (c *contexts) branchManagerOver(b *bus, change func(*readview.Feed)) (*readview.Manager, *message.Router) {
	c.t.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(c.t, err)
	manager, err := readview.NewManager(router, nil, c.branch.pool, fast())
	require.NoError(c.t, err)
	feed := readview.Feed{
		Registry: registry(), Subscriber: b.receiver("branch"), Topic: c.topic,
		Requests: b, RequestTopic: c.requestTopic(), ReplyTo: "queue:branch",
	}
	if change != nil {
		change(&feed)
	}
	require.NoError(c.t, manager.AddRemote(balances(), feed))
	return manager, router
}
