package readview_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// Who looks sees which node applies a projection, whether it gave it back, and whether it is gone.
func TestLeases(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	position := b.deposit(1)
	config := fast()
	config.Node = "node-a"
	manager, router := b.manager(config, balances(), audits())
	none, err := manager.Leases(t.Context())
	require.NoError(t, err)
	require.Empty(t, none, "nobody has begun")
	stop := b.start(router)
	b.waitFor(manager, position)
	id := consumer.ID{Kind: consumer.KindProjection, Name: "balances"}

	leases, err := manager.Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases, 2)
	held := leases[1]
	require.Positive(t, held.Left)
	require.WithinDuration(t, time.Now(), held.Until, time.Minute)
	held.Left, held.Until = 0, time.Time{}
	require.Equal(t, consumer.LeaseStatus{ID: id, Node: "node-a", Held: true}, held)

	stop()
	leases, err = manager.Leases(t.Context())
	require.NoError(t, err)
	require.Equal(t, consumer.LeaseStatus{ID: id, Node: "node-a"}, leases[1], "it was released")

	b.exec(`UPDATE readview_states SET lease_until = now() - interval '1 minute' WHERE name = 'balances'`)
	leases, err = manager.Leases(t.Context())
	require.NoError(t, err)
	require.False(t, leases[1].Held)
	require.WithinDuration(t, time.Now().Add(-time.Minute), leases[1].Until, 30*time.Second, "it was not renewed")
}

func TestHandles(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances(), audits())
	names, err := manager.Handles("balances")
	require.NoError(t, err)
	require.Equal(t, []string{"Deposited"}, names)
	_, err = manager.Handles("nobody")
	require.ErrorIs(t, err, readview.ErrUnknownProjection)
}
