package eventsourced_test

import (
	"context"
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

func TestHistory(t *testing.T) {
	t.Parallel()
	store := newSpy(t)
	accounts := newRepository(store)
	for _, amount := range []int{5, 7, 11} {
		deposit(t, store, amount)
	}
	history := func(after eventsourced.Version, most int) (balances []int) {
		for a, err := range accounts.History(t.Context(), accountID, after) {
			require.NoError(t, err)
			balances = append(balances, a.balance)
			require.EqualValues(t, max(int(after), 0)+len(balances), a.Version())
			if len(balances) == most {
				break
			}
		}
		return balances
	}
	require.Equal(t, []int{5, 12, 23}, history(0, 9))
	require.Equal(t, []int{5, 12, 23}, history(-1, 9))
	require.Equal(t, []int{12, 23}, history(1, 9))
	require.Equal(t, []int{5, 12}, history(0, 2))
	require.Equal(t, []int{23}, history(2, 1))
	require.Empty(t, history(3, 9))
	for range accounts.History(t.Context(), "nobody", 0) {
		require.Fail(t, "it has no history")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var failures []error
	for a, err := range accounts.History(ended, accountID, 0) {
		require.Nil(t, a)
		failures = append(failures, err)
	}
	require.Len(t, failures, 1)
	require.ErrorIs(t, failures[0], context.Canceled)
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
