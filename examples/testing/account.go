package main

import (
	"errors"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

type (
	Account struct {
		eventsourced.Root
		balance int64
	}
	Deposited struct {
		eventsourced.BaseEvent
		Amount int64
	}
	Withdrawn struct {
		eventsourced.BaseEvent
		Amount int64
	}
)

func (e *Deposited) ApplyTo(a *Account) { a.balance += e.Amount }
func (e *Withdrawn) ApplyTo(a *Account) { a.balance -= e.Amount }

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
	switch {
	case amount <= 0:
		return errAmount
	case amount > a.balance:
		return errFunds
	}
	return eventsourced.Record(a, &Withdrawn{Amount: amount})
}

func registry() *eventsourced.Registry {
	return eventsourced.MustRegistry(eventsourced.Type[Deposited]("Deposited"), eventsourced.Type[Withdrawn]("Withdrawn"))
}
