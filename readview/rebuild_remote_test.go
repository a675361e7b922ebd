package readview_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
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
}
