package consumer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Who looks sees which node has a consumer, and which has given one back.
func TestLeasesOfConsumers(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	relay, reactor := consumer.ID{Kind: consumer.KindRelay, Name: "relay"}, consumer.ID{Kind: consumer.KindReactor, Name: "mails"}
	for _, id := range []consumer.ID{relay, reactor} {
		_, err := b.Consumers.Acquire(t.Context(), id, "node-a/1", time.Minute)
		require.NoError(t, err)
	}
	require.NoError(t, b.Consumers.Release(t.Context(), reactor, "node-a/1"))
	leases, err := b.Consumers.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases, 2)
	require.Equal(t, consumer.LeaseStatus{ID: reactor, Node: "node-a"}, leases[0])
	require.InDelta(t, time.Minute, leases[1].Left, float64(30*time.Second))
	require.WithinDuration(t, time.Now().Add(time.Minute), leases[1].Until, 30*time.Second)
	require.True(t, leases[1].Held)
	require.Equal(t, relay, leases[1].ID)

	_, err = b.Pool.Exec(t.Context(), `DROP TABLE consumers`)
	require.NoError(t, err)
	_, err = b.Consumers.Leases(t.Context())
	require.ErrorContains(t, err, "read the leases of the consumers")
}
