package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

// A decision is tested by events: given these, when that is asked, then those happen, or an error.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	t.Run("what is there can be withdrawn", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[Account](t, &Deposited{Amount: 50}, &Withdrawn{Amount: 20}).
			When(func(a *Account) error { return a.Withdraw(30) }).
			Then(&Withdrawn{Amount: 30})
	})
	t.Run("more than that can't", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[Account](t, &Deposited{Amount: 50}, &Withdrawn{Amount: 20}).
			When(func(a *Account) error { return a.Withdraw(31) }).
			ThenError(errFunds)
	})
	t.Run("a negative amount is no deposit by the back door", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[Account](t, &Deposited{Amount: 50}).
			When(func(a *Account) error { return a.Withdraw(-1) }).
			ThenError(errAmount)
	})
}

func TestDeposit(t *testing.T) {
	t.Parallel()
	t.Run("an account begins with its first deposit", func(t *testing.T) {
		t.Parallel()
		scenario := eventsourcedtest.Given[Account](t).When(func(a *Account) error { return a.Deposit(5) })
		scenario.Then(&Deposited{Amount: 5})
		require.Equal(t, int64(5), scenario.Aggregate().balance)
	})
	t.Run("nothing is no amount", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[Account](t).
			When(func(a *Account) error { return a.Deposit(0) }).
			ThenError(errAmount)
	})
}
