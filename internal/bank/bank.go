// Package bank is the bounded context of the framework's tests: accounts, and what happens
// to them.
package bank

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

type (
	Account struct {
		eventsourced.Root
		Balance int64
	}
	Deposited struct {
		eventsourced.BaseEvent
		Amount int64
	}
	Renamed struct {
		eventsourced.BaseEvent
		First, Last string // of schema version 2; version 1 had {"Name": "First Last"}
	}
	Audited struct{ eventsourced.BaseEvent }
)

func (a *Account) Apply(event eventsourced.Event) {
	if e, ok := event.(*Deposited); ok {
		a.Balance += e.Amount
	}
}

// AggregateName is that of accounts.
const AggregateName = "bank.Account"

// Registry knows all events.
func Registry() *eventsourced.Registry {
	registry, err := eventsourced.NewRegistry(
		eventsourced.Type[Deposited]("Deposited"),
		eventsourced.Type[Renamed]("Renamed", eventsourced.Upcast(1, splitName)),
		eventsourced.Type[Audited]("Audited"),
	)
	if err != nil {
		panic(err)
	}
	return registry
}

// Accounts is the repository of a store.
func Accounts(store eventsourced.Store) *eventsourced.Repository[Account] {
	return eventsourced.NewRepository[Account](store, AggregateName, eventsourced.RepositoryConfig{})
}

// splitName is an upcaster that refuses "" and panics at "panic".
func splitName(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) {
	var old struct{ Name string }
	if err := json.Unmarshal(event.Payload, &old); err != nil {
		return nil, err
	}
	switch old.Name {
	case "":
		return nil, errors.New("no name")
	case "panic":
		panic("an upcaster's panic")
	}
	return json.Marshal(map[string]string{"First": old.Name[:1], "Last": old.Name[1:]})
}
