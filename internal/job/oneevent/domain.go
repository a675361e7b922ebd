// Package oneevent is the smallest program of a context with one event. Its lines are counted.
package oneevent

import "github.com/dancefinder/eventsourcing/eventsourced"

type Account struct {
	eventsourced.Root
	balance int64
}

type Deposited struct {
	eventsourced.BaseEvent
	Amount int64
}

func (e *Deposited) ApplyTo(a *Account) { a.balance += e.Amount }

func (a *Account) Deposit(amount int64) error {
	return eventsourced.Record(a, &Deposited{Amount: amount})
}
