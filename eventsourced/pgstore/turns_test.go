package pgstore_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// Two repositories on two stores are two processes as far as turns go. In one of them a crowd waits for its turn
// all the time, and goes on without reading; the other one has to read first.
func TestTurnsKeepNoOtherProcessOut(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	elsewhere := pgstore.New(db.Pool, storetest.Registry(), pgstore.Config{})
	t.Cleanup(elsewhere.Close)
	var stored atomic.Int64
	updates := func(store *pgstore.Store, writers int, more func(i int) bool) (wait func() error) {
		repository := eventsourced.NewRepository[notes](store, "test.Note", eventsourced.RepositoryConfig{})
		var group sync.WaitGroup
		errs := make([]error, writers)
		for w := range writers {
			group.Go(func() {
				for i := 0; errs[w] == nil && more(i); i++ {
					_, errs[w] = repository.Update(t.Context(), "a", func(n *notes) error { return eventsourced.Record(n, &storetest.Noted{Text: "x"}) })
					stored.Add(1)
				}
			})
		}
		return func() error {
			group.Wait()
			return errors.Join(errs...)
		}
	}
	var enough atomic.Bool
	crowd := updates(store, 8, func(int) bool { return !enough.Load() })
	alone := updates(elsewhere, 1, func(i int) bool { return i < 10 })()
	enough.Store(true)
	require.NoError(t, errors.Join(alone, crowd()))

	here, there := updates(store, 4, func(i int) bool { return i < 25 }), updates(elsewhere, 4, func(i int) bool { return i < 25 })
	require.NoError(t, errors.Join(here(), there()))
	n, err := eventsourced.NewRepository[notes](store, "test.Note", eventsourced.RepositoryConfig{}).Load(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, stored.Load(), n.Version())
	require.EqualValues(t, stored.Load(), n.count)
}
