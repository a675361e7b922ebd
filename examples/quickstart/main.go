// Quickstart keeps an account as events, in memory: no server, nothing on disk.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

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

// Each event says what it does to the account, and decides nothing.
func (e *Deposited) ApplyTo(a *Account) { a.balance += e.Amount }
func (e *Withdrawn) ApplyTo(a *Account) { a.balance -= e.Amount }

// Account decides. Its state follows from its events alone.
type Account struct {
	eventsourced.Root
	balance int64
}

var (
	errAmount = errors.New("an amount is above zero")
	errFunds  = errors.New("not that much in the account")
)

func (a *Account) Deposit(amount int64) error {
	if amount <= 0 {
		return errAmount
	}
	return eventsourced.Record(a, &Deposited{Amount: amount})
}

func (a *Account) Withdraw(amount int64) error {
	if amount <= 0 {
		return errAmount
	}
	if amount > a.balance {
		return errFunds
	}
	return eventsourced.Record(a, &Withdrawn{Amount: amount})
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
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
	if !errors.Is(err, errFunds) {
		return fmt.Errorf("there are 70, and 1000 can be withdrawn: %w", err)
	}
	fmt.Println("withdraw 1000:", err) // the decision was no, and nothing is stored

	anna, err := accounts.Load(ctx, "anna")
	if err != nil {
		return err
	}
	fmt.Printf("balance %d after %d events:\n", anna.balance, anna.Version())
	for event, err := range store.ReadLog(ctx, eventsourced.LogQuery{}) {
		if err != nil {
			return err
		}
		fmt.Printf("  %d %s %s\n", event.Version, event.Name, event.Payload)
	}
	return nil
}
