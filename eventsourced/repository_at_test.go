package eventsourced_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func TestTheAggregateAsItWas(t *testing.T) {
	t.Parallel()
	store := newSpy(t)
	accounts := newRepository(store)
	first := deposit(t, store, 5)
	second := deposit(t, store, 7)
	for version, balance := range map[eventsourced.Version]int{1: 5, 2: 12} {
		a, err := accounts.LoadAt(t.Context(), accountID, version)
		require.NoError(t, err)
		require.Equal(t, balance, a.balance)
		require.Equal(t, version, a.Version())
	}
	for _, version := range []eventsourced.Version{-1, 0, 3} {
		_, err := accounts.LoadAt(t.Context(), accountID, version)
		require.ErrorIs(t, err, eventsourced.ErrNotFound)
	}
	for position, balance := range map[eventsourced.Position]int{first: 5, second: 12, second + 1: 12} {
		a, err := accounts.LoadAsOf(t.Context(), accountID, position)
		require.NoError(t, err)
		require.Equal(t, balance, a.balance)
	}
	_, err := accounts.LoadAsOf(t.Context(), accountID, first-1)
	require.ErrorIs(t, err, eventsourced.ErrNotFound)
}

func TestUpdateAt(t *testing.T) {
	t.Parallel()
	store := newSpy(t)
	accounts := newRepository(store)
	_, err := accounts.UpdateAt(t.Context(), accountID, 0, depositing(5))
	require.NoError(t, err)
	_, err = accounts.UpdateAt(t.Context(), accountID, 0, func(*Account) error { panic("it is not called") })
	require.ErrorIs(t, err, eventsourced.ErrConflict)
	var conflict *eventsourced.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.EqualValues(t, 1, conflict.Actual)
	calls := 0
	store.beforeAppend = func() error { // somebody else is faster
		store.beforeAppend = nil
		deposit(t, store, 1)
		return nil
	}
	_, err = accounts.UpdateAt(t.Context(), accountID, 1, func(a *Account) error {
		calls++
		return a.Deposit(7)
	})
	require.ErrorIs(t, err, eventsourced.ErrConflict)
	require.Equal(t, 1, calls, "what was decided on another version is not decided again")
	require.Len(t, stored(t, store), 2)
}

func TestUpdateTxNeedsAStore(t *testing.T) {
	t.Parallel()
	_, err := newRepository(newSpy(t)).UpdateTx(t.Context(), nil, accountID, depositing(1))
	require.EqualError(t, err, "update test.Account/acc-1: the store of the transaction is nil")
}
