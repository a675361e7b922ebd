//go:build unix

package devservices_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/internal/soak"
)

// It takes a minute, so CI has only the cluster of package readview's TestCluster.
func TestRabbitMQCluster(t *testing.T) {
	t.Parallel()
	if !soak.On {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster, err := devservices.StartRabbitMQCluster(ctx, devservices.RabbitMQClusterConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	running := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			nodes, err := cluster.Control(ctx, 0, "-q", "eval", "lists:usort(rabbit_nodes:all_running()).")
			require.NoError(t, err)
			return strings.TrimSpace(nodes) == want
		}, time.Minute, 10*time.Millisecond, want)
	}
	running("[rabbit0@localhost,rabbit1@localhost,rabbit2@localhost]")
	require.Len(t, cluster.URLs(), 3)

	require.NoError(t, cluster.Kill(1))
	running("[rabbit0@localhost,rabbit2@localhost]")
	require.NoError(t, cluster.Start(ctx, 1))
	running("[rabbit0@localhost,rabbit1@localhost,rabbit2@localhost]")
	require.NoError(t, cluster.Cut(ctx, 2))
	running("[rabbit0@localhost,rabbit1@localhost]")
	require.NoError(t, cluster.Heal(ctx, 2))
	running("[rabbit0@localhost,rabbit1@localhost,rabbit2@localhost]")
	require.NoError(t, cluster.Stop(2))
	running("[rabbit0@localhost,rabbit1@localhost]")
	require.NoError(t, cluster.Start(ctx, 2))
	require.NoError(t, cluster.Freeze(1))
	running("[rabbit0@localhost,rabbit2@localhost]")
	require.NoError(t, cluster.Kill(1))
	require.NoError(t, cluster.Start(ctx, 1))
	running("[rabbit0@localhost,rabbit1@localhost,rabbit2@localhost]")
	require.NoError(t, cluster.Freeze(1))
	require.NoError(t, cluster.Thaw(1))
	running("[rabbit0@localhost,rabbit1@localhost,rabbit2@localhost]")
	require.NoError(t, cluster.Freeze(1))
	require.NoError(t, cluster.Close())
	require.NoError(t, cluster.Close(), "closing twice is fine")
}
