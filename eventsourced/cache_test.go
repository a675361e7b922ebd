package eventsourced_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// newCached returns a repository with a cache, and a single attempt.
func newCached(store eventsourced.Store, config eventsourced.RepositoryConfig) *eventsourced.Repository[Account] {
	config.Attempts, config.CacheBytes = 1, 10_000
	return newRepository(store, config)
}

func TestCache(t *testing.T) {
	t.Parallel()
	t.Run("spares who changes an aggregate again reading it", func(t *testing.T) {
		t.Parallel()
		store := newTally(t)
		accounts := newCached(store, eventsourced.RepositoryConfig{})
		deposit(t, store, 1)
		for i := range 10 {
			_, err := accounts.Change(t.Context(), accountID, func(a *Account) error {
				require.Equal(t, 1+i, a.balance)
				return a.Deposit(1)
			})
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, store.reads.Load())
	})
	t.Run("is nothing that a load looks at", func(t *testing.T) {
		t.Parallel()
		store := newTally(t)
		accounts := newCached(store, eventsourced.RepositoryConfig{})
		_, err := accounts.Update(t.Context(), accountID, depositing(1))
		require.NoError(t, err)
		deposit(t, store, 2)
		a, err := accounts.Load(t.Context(), accountID)
		require.NoError(t, err)
		require.Equal(t, 3, a.balance)
	})
	t.Run("gives no answer that another process has made wrong", func(t *testing.T) {
		t.Parallel()
		for name, act := range map[string]func(*Account) error{
			"a change":              func(a *Account) error { return a.Deposit(a.balance) },
			"what would be refused": func(a *Account) error { return a.Withdraw(3) },
			"what would record nothing": func(a *Account) error {
				if a.balance == 2 {
					return nil
				}
				return a.Deposit(1)
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				store := newTally(t)
				accounts := newCached(store, eventsourced.RepositoryConfig{})
				_, err := accounts.Update(t.Context(), accountID, depositing(2))
				require.NoError(t, err)
				deposit(t, store, 2)
				at := eventsourced.Version(0)
				position, err := accounts.Update(t.Context(), accountID, func(a *Account) error {
					at = a.Version()
					return act(a)
				})
				require.NoError(t, err)
				require.EqualValues(t, 2, at, "it was decided on all events")
				events := stored(t, store)
				require.Len(t, events, 3)
				require.Equal(t, events[2].Position, position)
			})
		}
		store := newTally(t)
		accounts := newCached(store, eventsourced.RepositoryConfig{})
		_, err := accounts.Update(t.Context(), accountID, depositing(2))
		require.NoError(t, err)
		last := deposit(t, store, 2)
		position, err := accounts.Update(t.Context(), accountID, func(*Account) error { return nil })
		require.NoError(t, err)
		require.Equal(t, last, position)
		_, err = accounts.UpdateAt(t.Context(), accountID, 1, depositing(1))
		require.ErrorIs(t, err, eventsourced.ErrConflict)
		_, err = accounts.UpdateAt(t.Context(), accountID, 2, depositing(1))
		require.NoError(t, err)
	})
	t.Run("has nothing of a command that failed, or of one that is done to an aggregate otherwise", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newCached(store, eventsourced.RepositoryConfig{})
		broken := errors.New("disk on fire")
		for i, fail := range []error{nil, errOverdrawn, nil, broken, nil} {
			store.beforeAppend = nil
			if errors.Is(fail, broken) {
				store.beforeAppend = func() error { return broken }
			}
			_, err := accounts.Update(t.Context(), accountID, func(a *Account) error {
				require.Equal(t, (i+1)/2, a.balance)
				err := a.Deposit(1)
				a.balance = 1_000_000
				if errors.Is(fail, errOverdrawn) {
					return fail
				}
				return err
			})
			require.ErrorIs(t, err, fail)
		}
	})
	t.Run("goes with snapshots", func(t *testing.T) {
		t.Parallel()
		store := newTally(t)
		accounts := newCached(store, eventsourced.RepositoryConfig{SnapshotEvery: every, SnapshotSchema: schema})
		for i := range 100 {
			_, err := accounts.Update(t.Context(), accountID, func(a *Account) error {
				require.Equal(t, i, a.balance)
				require.EqualValues(t, i, a.Version())
				return a.Deposit(1)
			})
			require.NoError(t, err)
		}
		require.Less(t, store.reads.Load(), int64(100/every))
		require.Greater(t, store.reads.Load(), int64(100/every/3), "it begins with a new one at times")
		snapshot, err := store.LoadSnapshot(t.Context(), accountStream)
		require.NoError(t, err)
		require.EqualValues(t, 99, snapshot.Version)
	})
	t.Run("does not take the repetition of a command for a change", func(t *testing.T) {
		t.Parallel()
		store := newTally(t)
		accounts, command := newCached(store, eventsourced.RepositoryConfig{}), repeatable(t)
		balance := 0
		for range 3 {
			_, err := accounts.Update(t.Context(), accountID, depositing(1))
			require.NoError(t, err)
			balance++
			for range 2 {
				_, err = accounts.Update(command(), accountID, depositing(10))
				require.NoError(t, err)
			}
			_, err = accounts.Update(t.Context(), accountID, func(a *Account) error {
				require.Equal(t, 10+balance, a.balance)
				return a.Deposit(1)
			})
			require.NoError(t, err)
			balance++
		}
	})
	t.Run("is bounded, and keeps those that were changed last", func(t *testing.T) {
		t.Parallel()
		store := newTally(t)
		accounts := newCached(store, eventsourced.RepositoryConfig{})
		for i := range 100 {
			for range 2 {
				_, err := accounts.Update(t.Context(), fmt.Sprint(i), depositing(1))
				require.NoError(t, err)
			}
			_, err := accounts.Update(t.Context(), accountID, depositing(1))
			require.NoError(t, err)
			require.LessOrEqual(t, eventsourced.Streams(accounts), 20)
		}
		require.Greater(t, eventsourced.Streams(accounts), 1)
	})
	t.Run("has a size", func(t *testing.T) {
		t.Parallel()
		require.PanicsWithValue(t, "eventsourced.NewRepository: config.CacheBytes is -1, want 1 or more, or 0 for no cache",
			func() { newRepository(newSpy(t), eventsourced.RepositoryConfig{CacheBytes: -1}) })
	})
}
