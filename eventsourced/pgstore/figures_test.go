package pgstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// The database's figures of the log are those of what is there.
func TestFigures(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	inspector := store.Inspector(pgstore.InspectorConfig{})
	empty, err := inspector.Figures(t.Context())
	require.NoError(t, err)
	require.Zero(t, empty.Head)
	require.Zero(t, empty.Recent)
	require.EqualValues(t, -1, empty.Events, "nobody has counted")
	require.Nil(t, empty.Holder)
	require.False(t, empty.Replica)

	position, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "one", "two", "three"))
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		VALUES (7, gen_random_uuid(), 'Noted', 'test.Note', 'old', 1, now(), '{}'); ANALYZE events`)
	require.NoError(t, err)
	_, pid := hold(t, db.Pool, store)
	figures, err := inspector.Figures(t.Context())
	require.NoError(t, err)
	require.Equal(t, position, figures.Head)
	require.EqualValues(t, 4, figures.Events)
	require.EqualValues(t, 3, figures.Recent, "the old one is not of the last minute")
	require.WithinDuration(t, time.Now(), figures.At, time.Minute)
	require.Equal(t, pid, figures.Holder.PID)
	require.NotNil(t, figures.Oldest)
	require.Positive(t, figures.Oldest.PID)
	require.Positive(t, figures.Oldest.Age)
	t.Run("who is connected", func(t *testing.T) {
		store, _ := openURL(t, db.URL+"&application_name=figures-"+t.Name()[:11], pgstore.Config{})
		_ = store.Listen(t.Context())
		var clients []pgstore.Client
		require.Eventually(t, func() bool {
			clients, err = inspector.Clients(t.Context())
			require.NoError(t, err)
			for _, c := range clients {
				if c.Application == "figures-TestFigures" && c.Listening {
					return c.Sessions > 0 && time.Since(c.Since) < time.Minute
				}
			}
			return false
		}, 5*time.Second, 10*time.Millisecond, "%+v", &clients)
	})
	sizes := map[string]string{}
	for _, relation := range figures.Relations {
		sizes[relation.Name] = relation.Table
		if relation.Table != "snapshots" && relation.Name != "snapshots" {
			require.Positive(t, relation.Bytes, relation.Name)
		}
	}
	require.Equal(t, map[string]string{"events": "", "snapshots": "", "events_pkey": "events", "events_id_key": "events",
		"events_stream_key": "events", "events_name_idx": "events", "snapshots_pkey": "snapshots"}, sizes)
}

// What a process appends it counts, with how long the lock was waited for.
func TestAppendTotals(t *testing.T) {
	t.Parallel()
	store := open(t, testdb.New(t))
	before := store.Appends()
	require.Zero(t, before)
	_, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "one", "two"))
	require.NoError(t, err)
	between := store.Appends()
	_, err = store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "three"))
	require.ErrorIs(t, err, eventsourced.ErrConflict)
	after := store.Appends().Since(between)
	require.Positive(t, between.LockWait(1))
	between.LockWaits, after.LockWaits = [32]int64{}, [32]int64{}
	require.Equal(t, pgstore.AppendTotals{Transactions: 1, Appends: 1, Events: 2}, between)
	require.Equal(t, pgstore.AppendTotals{Transactions: 1, Appends: 1, Conflicts: 1}, after)

	t.Run("a part of the waits", func(t *testing.T) {
		totals := pgstore.AppendTotals{Transactions: 50, Appends: 100}
		require.Zero(t, totals.LockWait(0.99))
		totals.LockWaits[0], totals.LockWaits[10], totals.LockWaits[31] = 90, 9, 1
		require.Equal(t, time.Microsecond, totals.LockWait(0.9))
		require.Equal(t, 1024*time.Microsecond, totals.LockWait(0.99))
		require.Greater(t, totals.LockWait(1), 30*time.Minute)
		require.InDelta(t, 2, totals.GroupSize(), 0)
		require.Zero(t, pgstore.AppendTotals{}.GroupSize())
	})
	t.Run("a failure", func(t *testing.T) {
		totals := pgstore.Counted(pgstore.AppendStats{Appends: 3, LockWait: 3 * time.Microsecond, Err: errors.New("down")})
		require.Equal(t, pgstore.AppendTotals{Transactions: 1, Appends: 3, Failed: 1, LockWaits: [32]int64{2: 1}}, totals)
		require.Equal(t, 4*time.Microsecond, totals.LockWait(0.5))
		require.Equal(t, [32]int64{31: 1}, pgstore.Counted(pgstore.AppendStats{LockWait: time.Hour}).LockWaits)
	})
}
