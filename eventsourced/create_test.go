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
	require.PanicsWithValue(t, "eventsourced.NewRepository: invalid: the aggregate name is empty\nthe store is nil\nnewFunc is nil", func() {
		eventsourced.NewRepository[*Account](nil, "", nil)
	})
	require.PanicsWithValue(t, "eventsourced.NewRepository: the store is nil\nnewFunc returns nil", func() {
		eventsourced.NewRepository((*memstore.Store)(nil), "test.Account", func() *Account { return nil })
	})
}
