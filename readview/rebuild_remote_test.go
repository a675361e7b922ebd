package readview_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/readview"
)

// A projection over a broker is rebuilt and verified from the other context's history.
func TestRebuildOfARemoteProjection(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	require.NoError(t, migrate.Run(t.Context(), b.pool, migrate.Config{}, relay.Migrations()))
	b.exec(ledgerTables)
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	c := &contexts{bank: b, topic: "bank"}
	config := c.relayConfig(broker)
	config.PageEvents = 7
	publishing, err := relay.New(b.store, b.pool, broker, config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- publishing.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()
	manager, err := readview.NewManager(nil, nil, b.pool, fast())
	require.NoError(t, err)
	feed := readview.Feed{Registry: registry(), Subscriber: broker, Topic: c.topic, Requests: broker, RequestTopic: c.requestTopic(), AskEvents: 20}
	require.NoError(t, manager.AddRemote(ledger(), feed))
	running := make(chan error, 1)
	go func() { running <- manager.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-running)
	}()
	last := b.deposit(50)
	b.waitFor(manager, last)

	_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{})
	require.ErrorIs(t, err, readview.ErrNoHistory)
	require.ErrorContains(t, err, "call Manager.Rebuild, Verify or Explain with a History", "this transport can make no queue")
	b.tamper()
	from := func() *readview.Feed { return &readview.Feed{Subscriber: broker, AskEvents: 20} }
	found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{History: from()})
	require.NoError(t, err)
	require.False(t, found.Equal)
	stop := b.write(1)
	rebuilt, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{History: from()})
	require.NoError(t, err)
	require.GreaterOrEqual(t, rebuilt.Events, int64(50))
	stop()
	last = b.deposit(3)
	b.waitFor(manager, last)
	b.requireLedger(last)
	found, err = manager.Verify(t.Context(), "ledger", readview.VerifyOptions{History: from()})
	require.NoError(t, err)
	require.True(t, found.Equal, found)

	elsewhere, err := readview.NewManager(nil, nil, b.pool, fast())
	require.NoError(t, err)
	feed.Topic = "elsewhere"
	require.NoError(t, elsewhere.AddRemote(ledger(), feed))
	_, err = elsewhere.Rollback(t.Context(), "ledger", readview.RebuildOptions{History: from()})
	require.ErrorIs(t, err, readview.ErrOtherProgram)
	require.ErrorContains(t, err, `what is kept is of the topic "bank"`)
}

// Over RabbitMQ the history comes by a queue of its own, which the feed's Subscriber makes.
func TestRebuildOverRabbitMQ(t *testing.T) {
	t.Parallel()
	c := newContexts(t, testamqp.URL(t))
	c.branch.exec(ledgerTables)
	c.startRelay()
	requests, err := amqpbus.NewPublisher(c.url, amqpbus.PublisherConfig{Logger: fast().Logger})
	require.NoError(t, err)
	defer func() { require.NoError(t, requests.Close()) }()
	managed := func(declare amqpbus.Declares) *readview.Manager {
		c.declare = declare
		subscriber := c.subscriber("branch")
		manager, err := readview.NewManager(nil, nil, c.branch.pool, fast())
		require.NoError(t, err)
		require.NoError(t, manager.AddRemote(ledger(), readview.Feed{Registry: registry(), Subscriber: subscriber, Topic: c.topic, Requests: requests,
			RequestTopic: c.requestTopic(), ReplyTo: amqpbus.QueueTopic(subscriber.Queue(c.topic))}))
		return manager
	}
	live := managed(amqpbus.DeclareAll)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	running := make(chan error, 1)
	go func() { running <- live.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-running)
	}()
	last := c.deposit(50)
	c.branch.waitFor(live, last)

	manager := managed(amqpbus.DeclareAll) // of a command, which does not run
	c.branch.exec(`UPDATE ledger SET amount = 77 WHERE position = $1`, int64(last))
	found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{Events: 1})
	require.NoError(t, err)
	require.False(t, found.Equal)
	require.Equal(t, []readview.TouchingEvent{{Position: last, Name: "Deposited", Op: "INSERT"}}, found.Tables[1].First[0].Events)
	made, err := manager.Explain(t.Context(), "ledger", readview.ExplainOptions{Table: "total", Where: "account <> ''"})
	require.NoError(t, err)
	require.Len(t, made.Steps, 50)
	for _, step := range made.Steps {
		require.NotNil(t, step.Event)
		require.Equal(t, step.Position, step.Event.Position)
		require.Contains(t, string(step.Key), step.Event.Stream.AggregateID)
	}
	_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{})
	require.NoError(t, err)
	require.Zero(t, c.branch.int(`SELECT count(*) FROM ledger WHERE amount = 77`))
	last = c.deposit(1)
	c.branch.waitFor(live, last)
	require.EqualValues(t, 51, c.branch.int(`SELECT count(*) FROM ledger`))

	_, err = managed(amqpbus.DeclareNothing).Rebuild(t.Context(), "ledger", readview.RebuildOptions{})
	require.ErrorIs(t, err, readview.ErrNoHistory)
	require.ErrorIs(t, err, amqpbus.ErrNoQueue)
}
