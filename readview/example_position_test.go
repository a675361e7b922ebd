package readview_test

import (
	"context"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// Positions are in a table of the application's: progressTable, which is a PositionStore. Its methods are three
// statements, and readviewtest.TestPositionStore tells whether they do what they have to.
func ExamplePositionStore() {
	ctx := context.Background()
	bank := newExampleBank()
	defer bank.end()
	_, err := bank.pool.Exec(ctx, progressDDL)
	check(err)
	manager, err := readview.NewManager(nil, bank.store, bank.pool, readview.Config{
		Config:    consumer.Config{Logger: fast().Logger},
		Positions: progressTable{application: "bank"},
	}, accountProjection)
	check(err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(running) }()

	deposited := bank.deposit("anna", 5)
	check(manager.WaitFor(ctx, deposited))
	var whose string
	var position int64
	check(bank.pool.QueryRow(ctx, `SELECT whose, done_until FROM progress`).Scan(&whose, &position))
	fmt.Println(whose, position == int64(deposited))

	stop()
	check(<-ended)
	// Output: bank/accounts true
}
