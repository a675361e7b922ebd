package pgstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// Who keeps others from appending is ended, and nobody else.
func TestOnlyWhoIsInTheWayIsEnded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	inspector := store.Inspector(pgstore.InspectorConfig{})
	tx, pid := hold(t, db.Pool, store)
	figures, err := inspector.Figures(t.Context())
	require.NoError(t, err)
	require.Equal(t, pid, figures.Holder.PID)
	require.ErrorIs(t, inspector.EndSession(t.Context(), *figures.Holder), pgstore.ErrNotInTheWay, "it has the lock, and nobody waits for it")

	second, _ := openURL(t, db.URL, pgstore.Config{})
	appended := make(chan error, 2)
	for id, store := range map[string]*pgstore.Store{"a": store, "b": second} {
		go func() {
			_, err := store.Append(context.WithoutCancel(t.Context()), stream(id), eventsourced.NoStream, encode(t, "one"))
			appended <- err
		}()
	}
	var blocked *pgstore.Blocked
	require.Eventually(t, func() bool {
		blocked, err = inspector.Blocked(t.Context())
		require.NoError(t, err)
		return blocked != nil && blocked.Waiting == 2
	}, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, pid, blocked.Holder.PID)

	another := blocked.Holder
	another.Connected = another.Connected.Add(-time.Microsecond)
	require.ErrorIs(t, inspector.EndSession(t.Context(), another), pgstore.ErrNotInTheWay, "a pid is used again")
	first := pgstore.LockHolder{}
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT pid, backend_start FROM pg_stat_activity JOIN pg_locks USING (pid)
		WHERE NOT granted AND locktype = 'advisory' AND objid = (SELECT 'events'::regclass::oid) ORDER BY cardinality(pg_blocking_pids(pid)) LIMIT 1`).Scan(&first.PID, &first.Connected))
	require.ErrorIs(t, inspector.EndSession(t.Context(), first), pgstore.ErrNotInTheWay, "it waits itself, before another one")
	t.Run("nor by a role that may not", func(t *testing.T) {
		role := "ends_" + strings.ReplaceAll(eventsourced.NewEventID().String(), "-", "")
		_, err := db.Pool.Exec(t.Context(), "CREATE ROLE "+role+"; GRANT pg_read_all_stats TO "+role+"; GRANT USAGE ON SCHEMA "+db.Schema+" TO "+role+"; GRANT SELECT ON ALL TABLES IN SCHEMA "+db.Schema+" TO "+role)
		require.NoError(t, err)
		t.Cleanup(func() {
			_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role)
			require.NoError(t, err)
		})
		limited, _ := openURL(t, db.URL, pgstore.Config{}, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["role"] = role })
		err = limited.Inspector(pgstore.InspectorConfig{}).EndSession(t.Context(), blocked.Holder)
		require.ErrorIs(t, err, pgstore.ErrMayNotEnd)
		require.ErrorContains(t, err, "GRANT pg_signal_backend")
		unseen := blocked.Holder
		unseen.Connected = time.Time{}
		require.ErrorIs(t, limited.Inspector(pgstore.InspectorConfig{}).EndSession(t.Context(), unseen), pgstore.ErrMayNotEnd)
	})
	require.Empty(t, appended, "nobody was ended so far")

	require.NoError(t, inspector.EndSession(t.Context(), blocked.Holder))
	require.NoError(t, <-appended)
	require.NoError(t, <-appended)
	require.Error(t, tx.Commit(t.Context()))
	require.ErrorIs(t, inspector.EndSession(t.Context(), blocked.Holder), pgstore.ErrNotInTheWay, "it has ended")
}
