package readviewtest

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// TestPositionStore proves that a store keeps what [readview.PositionStore] promises. db is a
// database that has its tables; the suite uses names of its own in them.
func TestPositionStore(t *testing.T, store readview.PositionStore, db *sql.DB) {
	t.Helper()
	s := positionSuite{store: store, db: db}
	t.Run("a projection of which nothing is known is at 0", s.unknown)
	t.Run("what is set counts with its transaction, or not at all", s.transactional)
	t.Run("a position can be set back", s.back)
	t.Run("names are told apart", s.names)
	t.Run("a projection is locked by one at a time, who sees what was set before", s.locked)
	t.Run("that holds for one of which nothing is known, too", s.lockedFirst)
	t.Run("the others are not locked, and reading does not wait", s.others)
}

type positionSuite struct {
	store readview.PositionStore
	db    *sql.DB
}

// name is one that nobody has.
func name(what string) string { return what + " " + eventsourced.NewEventID().String() }

// within has f do its work in a transaction that is committed, or rolled back when f says no.
func (s positionSuite) within(ctx context.Context, f func(tx *sql.Tx) (commit bool, err error)) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	commit, err := f(tx)
	if err == nil && commit {
		return tx.Commit()
	}
	_ = tx.Rollback()
	return err
}

// set sets a position, and returns what it was.
func (s positionSuite) set(ctx context.Context, name string, to eventsourced.Position, commit bool) (was eventsourced.Position, err error) {
	err = s.within(ctx, func(tx *sql.Tx) (bool, error) {
		if was, err = s.store.Lock(ctx, tx, name); err != nil {
			return false, err
		}
		return commit, s.store.Set(ctx, tx, name, to)
	})
	return was, err
}

func (s positionSuite) requireAt(t *testing.T, name string, want eventsourced.Position) {
	t.Helper()
	at, err := s.store.Positions(t.Context(), s.db, name)
	require.NoError(t, err)
	require.Equal(t, want, at[name])
}

func (s positionSuite) unknown(t *testing.T) {
	name := name("unknown")
	s.requireAt(t, name, 0)
	was, err := s.set(t.Context(), name, 7, false)
	require.NoError(t, err)
	require.Zero(t, was)
	s.requireAt(t, name, 0)
	none, err := s.store.Positions(t.Context(), s.db)
	require.NoError(t, err)
	require.Empty(t, none, "nobody asked for any")
}

func (s positionSuite) transactional(t *testing.T) {
	name := name("transactional")
	for _, step := range []struct {
		was, to, then eventsourced.Position
		commit        bool
	}{{0, 5, 0, false}, {0, 6, 6, true}, {6, 9, 6, false}, {6, 1 << 60, 1 << 60, true}} {
		was, err := s.set(t.Context(), name, step.to, step.commit)
		require.NoError(t, err)
		require.Equal(t, step.was, was)
		s.requireAt(t, name, step.then)
	}
}

func (s positionSuite) back(t *testing.T) {
	name := name("back")
	for _, to := range []eventsourced.Position{9, 3, 0, 4} {
		_, err := s.set(t.Context(), name, to, true)
		require.NoError(t, err)
		s.requireAt(t, name, to)
	}
}

func (s positionSuite) names(t *testing.T) {
	base := name("a")
	names := []string{base, strings.ToUpper(base), base + " ", base + `'"\%`, base + "ö", base + strings.Repeat("x", eventsourced.MaxName-len(base))}
	for i, name := range names {
		_, err := s.set(t.Context(), name, eventsourced.Position(i+1), true)
		require.NoError(t, err)
	}
	at, err := s.store.Positions(t.Context(), s.db, names...)
	require.NoError(t, err)
	for i, name := range names {
		require.EqualValues(t, i+1, at[name], name)
	}
	require.Len(t, at, len(names))
}

// count has so many move a position by one, again and again: none of it is lost.
func (s positionSuite) count(t *testing.T, name string) {
	const who, times = 4, 5
	var all sync.WaitGroup
	problems := make(chan error, who*times)
	for range who {
		all.Go(func() {
			for range times {
				problems <- s.within(t.Context(), func(tx *sql.Tx) (bool, error) {
					at, err := s.store.Lock(t.Context(), tx, name)
					if err != nil {
						return false, err
					}
					return true, s.store.Set(t.Context(), tx, name, at+1)
				})
			}
		})
	}
	all.Wait()
	for range who * times {
		require.NoError(t, <-problems)
	}
	s.requireAt(t, name, who*times)
}

func (s positionSuite) locked(t *testing.T) {
	name := name("locked")
	_, err := s.set(t.Context(), name, 0, true)
	require.NoError(t, err)
	s.count(t, name)
}

func (s positionSuite) lockedFirst(t *testing.T) { s.count(t, name("first")) }

func (s positionSuite) others(t *testing.T) {
	mine, other := name("mine"), name("other")
	_, err := s.set(t.Context(), mine, 3, true)
	require.NoError(t, err)
	require.NoError(t, s.within(t.Context(), func(tx *sql.Tx) (bool, error) {
		if _, err := s.store.Lock(t.Context(), tx, mine); err != nil {
			return false, err
		}
		if err := s.store.Set(t.Context(), tx, mine, 4); err != nil {
			return false, err
		}
		s.requireAt(t, mine, 3)
		_, err := s.set(t.Context(), other, 5, true)
		return true, err
	}))
	s.requireAt(t, mine, 4)
	s.requireAt(t, other, 5)
}
