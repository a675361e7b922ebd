package readview_test

import (
	"context"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// Somebody has left a transaction open, in which a row of the read view is locked.
func ExampleManager_EndSession() {
	b := newExampleBank(accountProjection)
	defer b.end()
	ctx := eventsourced.WithActor(context.Background(), "eva")
	check(b.manager.WaitFor(ctx, b.deposit("anna", 5)))
	forgotten, err := b.pool.Begin(ctx)
	check(err)
	defer func() { _ = forgotten.Rollback(ctx) }()
	_, err = forgotten.Exec(ctx, `SELECT FROM account FOR UPDATE`)
	check(err)
	position := b.deposit("anna", 2)

	for ended := false; !ended; {
		all, err := b.manager.Status(ctx)
		check(err)
		if stalled := all[0].Failure; stalled != nil && len(stalled.Blockers) > 0 {
			check(b.manager.EndSession(ctx, "accounts", stalled.Blockers[0]))
			ended = true
		}
	}
	check(b.manager.WaitFor(ctx, position))
	fmt.Println(b.amount("anna"))
	// Output: 7
}

func ExampleManager_RecordWhile() {
	b := newExampleBank(accountProjection)
	defer b.end()
	ctx := eventsourced.WithActor(context.Background(), "eva")
	check(b.manager.RecordWhile(ctx, "accounts", "export", map[string]string{"file": "accounts.csv"}, func(context.Context) (string, error) {
		return "12 rows", nil
	}))
	operations, err := b.manager.Operations(ctx, readview.OperationsQuery{})
	check(err)
	fmt.Println(operations[0].Actor, operations[0].Command, operations[0].Arguments["file"], operations[0].Outcome, operations[0].Detail)
	// Output: eva export accounts.csv done 12 rows
}
