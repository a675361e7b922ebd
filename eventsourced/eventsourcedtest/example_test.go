package eventsourcedtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

type (
	Wallet struct {
		eventsourced.Root
		money int64
	}
	Earned struct {
		eventsourced.BaseEvent
		Amount int64
	}
	Spent struct {
		eventsourced.BaseEvent
		Amount int64
	}
)

var errTooLittle = errors.New("too little money")

func (e *Earned) ApplyTo(w *Wallet) { w.money += e.Amount }
func (e *Spent) ApplyTo(w *Wallet)  { w.money -= e.Amount }

func (w *Wallet) Spend(amount int64) error {
	if amount > w.money {
		return errTooLittle
	}
	return eventsourced.Record(w, &Spent{Amount: amount})
}

// What an aggregate decides is tested by its events alone, without a store.
func ExampleGiven() {
	t := exampleTest{} // the test function's

	scenario := eventsourcedtest.Given[Wallet](t, &Earned{Amount: 5}).
		When(func(w *Wallet) error { return w.Spend(3) })
	scenario.Then(&Spent{Amount: 3})
	fmt.Println("left:", scenario.Aggregate().money)

	eventsourcedtest.Given[Wallet](t, &Earned{Amount: 5}, &Spent{Amount: 3}).
		When(func(w *Wallet) error { return w.Spend(3) }).
		ThenError(errTooLittle)
	// Output: left: 2
}

// exampleTest is a test where there is none.
type exampleTest struct{ testing.TB }

func (exampleTest) Helper()                           {}
func (exampleTest) Context() context.Context          { return context.Background() }
func (exampleTest) Errorf(format string, args ...any) { fmt.Printf(format, args...) }
func (exampleTest) FailNow()                          { panic("the test failed") }

// The files of testdata are what the log has for ever. One that is changed by accident, by a field
// with another name, fails the test.
func ExampleGolden() {
	t := exampleTest{} // the test function's
	registry := eventsourced.MustRegistry(
		eventsourced.Type[Earned]("Earned"),
		eventsourced.Type[Spent]("Spent"),
	)
	eventsourcedtest.Golden(t, registry, "testdata/wallet", &Earned{Amount: 5}, &Spent{Amount: 3})
	fmt.Println("as it was")
	// Output: as it was
}
