package eventsourced_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

func TestExists(t *testing.T) {
	t.Parallel()
	store := newSpy(t)
	accounts := newRepository(store)
	_, err := accounts.Update(t.Context(), accountID, func(a *Account) error {
		require.False(t, a.Exists())
		require.NoError(t, a.Deposit(1))
		require.True(t, a.Exists(), "with its first event, while that is pending")
		require.Zero(t, a.Version())
		return nil
	})
	require.NoError(t, err)
	_, err = accounts.Update(eventsourced.WithCommand(t.Context(), eventsourced.NewEventID()), accountID, func(a *Account) error {
		require.True(t, a.Exists(), "when it is stored")
		return nil
	})
	require.NoError(t, err)
	var a *Account
	_, err = accounts.Update(eventsourced.WithCommand(t.Context(), eventsourced.NewEventID()), "new", func(created *Account) error {
		a = created
		return a.Deposit(1)
	})
	require.NoError(t, err)
	require.True(t, a.Exists(), "and after a command")
}

func TestCreate(t *testing.T) {
	t.Parallel()
	t.Run("is for new aggregates", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store)
		position, err := accounts.Create(t.Context(), accountID, depositing(1))
		require.NoError(t, err)
		require.Equal(t, stored(t, store)[0].Position, position)
		_, err = accounts.Create(t.Context(), accountID, func(*Account) error { panic("it is not called") })
		require.ErrorIs(t, err, eventsourced.ErrExists)
		require.EqualError(t, err, "create test.Account/acc-1: the aggregate exists already")
		require.Len(t, stored(t, store), 1)
	})
	t.Run("that loses a race finds that it exists", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		store.beforeAppend = func() error {
			store.beforeAppend = nil
			deposit(t, store, 7)
			return nil
		}
		_, err := newRepository(store).Create(t.Context(), accountID, depositing(1))
		require.ErrorIs(t, err, eventsourced.ErrExists)
		require.Len(t, stored(t, store), 1)
	})
	t.Run("under a command may be repeated", func(t *testing.T) {
		t.Parallel()
		accounts, command := newRepository(newSpy(t)), repeatable(t)
		first, err := accounts.Create(command(), accountID, depositing(1))
		require.NoError(t, err)
		again, err := accounts.Create(command(), accountID, depositing(1))
		require.NoError(t, err)
		require.Equal(t, first, again)
	})
}

func TestChange(t *testing.T) {
	t.Parallel()
	store := newSpy(t)
	accounts := newRepository(store)
	_, err := accounts.Change(t.Context(), "misspelled", func(*Account) error { panic("it is not called") })
	require.ErrorIs(t, err, eventsourced.ErrNotFound)
	require.EqualError(t, err, "change test.Account/misspelled: no such aggregate")
	deposit(t, store, 1)
	_, err = accounts.Change(t.Context(), accountID, depositing(1))
	require.NoError(t, err)
	require.Len(t, stored(t, store), 2)
}

func TestNewRepositoryRefuses(t *testing.T) {
	t.Parallel()
	t.Run("all that is wrong at once", func(t *testing.T) {
		t.Parallel()
		require.PanicsWithValue(t, "eventsourced.NewRepository: invalid: the aggregate name is empty\n"+
			"config.Attempts is -1, want 1 or more, or 0 for 10\nconfig.SnapshotEvery is -2, want 1 or more, or 0 for no snapshots\nthe store is nil", func() {
			eventsourced.NewRepository[Account](nil, "", eventsourced.RepositoryConfig{Attempts: -1, SnapshotEvery: -2})
		})
	})
	t.Run("a nil pointer to a store", func(t *testing.T) {
		t.Parallel()
		require.PanicsWithValue(t, "eventsourced.NewRepository: the store is nil", func() {
			eventsourced.NewRepository[Account]((*memstore.Store)(nil), "test.Account", eventsourced.RepositoryConfig{})
		})
	})
	t.Run("an aggregate whose Root is elsewhere", func(t *testing.T) {
		t.Parallel()
		type onPointer struct{ *eventsourced.Root }
		require.PanicsWithValue(t, "eventsourced.NewRepository: *eventsourced_test.onPointer has a nil Root: embed Root itself, not a pointer", func() {
			eventsourced.NewRepository[onPointer](newSpy(t), "test.Account", eventsourced.RepositoryConfig{})
		})
		type within struct{ *Plain }
		require.PanicsWithValue(t, "eventsourced.NewRepository: *eventsourced_test.within has a nil Root: embed Root itself, not a pointer", func() {
			eventsourced.NewRepository[within](newSpy(t), "test.Account", eventsourced.RepositoryConfig{})
		})
	})
}
