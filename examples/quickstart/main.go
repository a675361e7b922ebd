// Quickstart keeps an account as events, in memory: no server, nothing on disk.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// The events of an account: what has happened, in the past tense.
type (
	Deposited struct {
		eventsourced.BaseEvent
		Amount int64
	}
	Withdrawn struct {
		eventsourced.BaseEvent
		Amount int64
	}
)

var errFunds = errors.New("not that much in the account")

// Account decides. Its state follows from its events.
type Account struct {
	eventsourced.Root
	balance int64
}

func (a *Account) Deposit(amount int64) error {
	return eventsourced.Record(a, &Deposited{Amount: amount})
}

func (a *Account) Withdraw(amount int64) error {
	if amount > a.balance {
		return errFunds
	}
	return eventsourced.Record(a, &Withdrawn{Amount: amount})
}

func (e *Deposited) ApplyTo(a *Account) { a.balance += e.Amount }
func (e *Withdrawn) ApplyTo(a *Account) { a.balance -= e.Amount }

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	// The names are those that the events are stored with: for ever.
	registry := eventsourced.MustRegistry(
		eventsourced.Type[Deposited]("Deposited"),
		eventsourced.Type[Withdrawn]("Withdrawn"),
	)
	store := memstore.New(registry)
	accounts := eventsourced.NewRepository[Account](store, "bank.Account", eventsourced.RepositoryConfig{})

	// Load, act, append: all or nothing, and again if somebody else was faster.
	if _, err := accounts.Update(ctx, "anna", func(a *Account) error { return a.Deposit(100) }); err != nil {
		return err
	}
	if _, err := accounts.Update(ctx, "anna", func(a *Account) error { return a.Withdraw(30) }); err != nil {
		return err
	}
	_, err := accounts.Update(ctx, "anna", func(a *Account) error { return a.Withdraw(1000) })
	_, _ = fmt.Fprintln(out, "withdraw 1000:", err)

	anna, err := accounts.Load(ctx, "anna")
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "balance %d after %d events:\n", anna.balance, anna.Version())
	for event, err := range store.ReadLog(ctx, eventsourced.LogQuery{}) {
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "  %d %s %s\n", event.Version, event.Name, event.Payload)
	}
	return nil
}
