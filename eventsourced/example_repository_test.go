package eventsourced_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Update begins an aggregate that is not there; Create wants a new one, and Change one that is there.
func ExampleRepository_Create() {
	ctx := context.Background()
	_, repository := tills()
	sell := func(t *Till) error { return t.Sell(250) }

	_, err := repository.Change(ctx, "till 1", sell)
	fmt.Println(errors.Is(err, eventsourced.ErrNotFound))
	_, err = repository.Create(ctx, "till 1", sell)
	check(err)
	_, err = repository.Create(ctx, "till 1", sell)
	fmt.Println(errors.Is(err, eventsourced.ErrExists))
	// Output:
	// true
	// true
}

// Who looked at version 1 decides on version 1: if somebody was faster, he is asked again.
func ExampleRepository_UpdateAt() {
	ctx := context.Background()
	_, repository := tills()
	sell := func(t *Till) error { return t.Sell(250) }
	_, err := repository.Create(ctx, "till 1", sell)
	check(err)
	seen, err := repository.Load(ctx, "till 1")
	check(err)

	_, err = repository.Update(ctx, "till 1", sell) // somebody else
	check(err)
	_, err = repository.UpdateAt(ctx, "till 1", seen.Version(), sell)
	fmt.Println(errors.Is(err, eventsourced.ErrConflict))
	// Output: true
}

// An aggregate as it was after its first event.
func ExampleRepository_LoadAt() {
	ctx := context.Background()
	_, repository := tills()
	for _, cents := range []int64{250, 100} {
		_, err := repository.Update(ctx, "till 1", func(t *Till) error { return t.Sell(cents) })
		check(err)
	}
	before, err := repository.LoadAt(ctx, "till 1", 1)
	check(err)
	now, err := repository.Load(ctx, "till 1")
	check(err)
	fmt.Println(before.Cash, now.Cash)
	// Output: 250 350
}
