package pgstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// told notes what an observer is told.
type told struct {
	pgstore.NoObserver
	mu  sync.Mutex
	all []pgstore.AppendStats
}

func (o *told) Appended(_ context.Context, stats pgstore.AppendStats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, stats)
}

// Who measures appends is told of the size of their groups, the wait for the lock, conflicts and failures.
func TestObserverIsToldOfAppends(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations()))
	observer := &told{}
	store := pgstore.New(db.Pool, storetest.Registry(), pgstore.Config{Observer: observer})
	t.Cleanup(store.Close)
	one, two := encode(t, "one"), encode(t, "two", "three")
	_, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, one)
	require.NoError(t, err)
	_, err = store.Append(t.Context(), stream("b"), eventsourced.NoStream, two)
	require.NoError(t, err)
	_, err = store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "four"))
	require.ErrorIs(t, err, eventsourced.ErrConflict)
	require.Len(t, observer.all, 3)
	for i, want := range []pgstore.AppendStats{{Appends: 1, Events: 1}, {Appends: 1, Events: 2}, {Appends: 1, Conflicts: 1}} {
		got := observer.all[i]
		require.Positive(t, got.Took)
		require.Less(t, got.LockWait, got.Took)
		got.Took, got.LockWait = 0, 0
		require.Equal(t, want, got)
	}

	holder, _ := hold(t, db.Pool, store)
	observer.mu.Lock()
	observer.all = nil
	observer.mu.Unlock()
	var appends sync.WaitGroup
	for _, name := range []string{"c", "d", "e", "f", "g", "h"} {
		appends.Go(func() {
			_, err := store.Append(t.Context(), stream(name), eventsourced.NoStream, encode(t, name))
			require.NoError(t, err)
		})
	}
	require.Eventually(t, func() bool { // two are under way, and the rest behind them
		var waiting int
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = 1702260334 AND objid = 'events'::regclass::oid`).Scan(&waiting)
		return err == nil && waiting == 2
	}, time.Minute, 10*time.Millisecond)
	held := 200 * time.Millisecond
	_, err = db.Pool.Exec(t.Context(), `SELECT pg_sleep(0.2)`)
	require.NoError(t, err)
	require.NoError(t, holder.Rollback(t.Context()))
	appends.Wait()
	observer.mu.Lock()
	defer observer.mu.Unlock()
	events, longest, queued := 0, time.Duration(0), time.Duration(0)
	for _, stats := range observer.all {
		events, longest, queued = events+stats.Events, max(longest, stats.LockWait), max(queued, stats.Queued)
	}
	require.Equal(t, 6, events)
	require.Less(t, len(observer.all), 6, "some went together")
	require.GreaterOrEqual(t, longest, held)
	require.Positive(t, queued)
}
