package memstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

type Deposited struct { // an event: what has happened
	eventsourced.BaseEvent
	Amount int64
}

type Account struct { // an aggregate: it decides, and follows from its events
	eventsourced.Root
	balance int64
}

func (a *Account) Deposit(amount int64) error {
	return eventsourced.Record(a, &Deposited{Amount: amount})
}

func (e *Deposited) ApplyTo(a *Account) { a.balance += e.Amount }

func Example() {
	ctx := context.Background()
	registry := eventsourced.MustRegistry(eventsourced.Type[Deposited]("Deposited"))
	accounts := eventsourced.NewRepository[Account](memstore.New(registry), "bank.Account", eventsourced.RepositoryConfig{})

	_, err := accounts.Update(ctx, "anna", func(a *Account) error { return a.Deposit(5) })
	if err != nil {
		log.Fatal(err)
	}
	anna, err := accounts.Load(ctx, "anna")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(anna.balance)
	// Output: 5
}
