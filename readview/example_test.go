package readview_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// The read side of a bank: every deposit is added to a row of the table account.
var accountProjection = readview.Projection{
	Name:     "accounts",
	Handlers: readview.Handlers{readview.On(addDeposit)},
	Tables:   []string{"account"},
}

const accountTable = `CREATE TABLE IF NOT EXISTS account (id TEXT PRIMARY KEY, amount BIGINT NOT NULL CHECK (amount <= 100))`

func addDeposit(ctx context.Context, tx readview.Tx, e *Deposited) error {
	return readview.Exec(ctx, tx, `INSERT INTO account AS a (id, amount) VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET amount = a.amount + EXCLUDED.amount`, e.AggregateID(), e.Amount)
}

// A projection turns events into rows; the manager runs it until its context ends.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	b := newExampleBank()
	defer b.end()
	manager, err := readview.NewManager(nil, b.store, b.pool, readview.Config{}, accountProjection)
	check(err)
	done := make(chan error)
	go func() { done <- manager.Run(ctx) }()

	b.deposit("anna", 5)
	position := b.deposit("anna", 7)
	check(manager.WaitFor(ctx, position))
	fmt.Println(b.amount("anna"))

	stop()
	check(<-done)
	// Output: 12
}

// A manager that verifies its projections by itself finds a row that somebody has changed by hand.
func ExampleConfig_verifyEvery() {
	ctx, stop := context.WithCancel(context.Background())
	b := newExampleBank()
	defer b.end()
	config := readview.Config{VerifyEvery: time.Millisecond} // rather 20 s, or an hour
	config.Logger = slog.New(slog.DiscardHandler)
	manager, err := readview.NewManager(nil, b.store, b.pool, config, accountProjection)
	check(err)
	_, err = b.pool.Exec(ctx, `INSERT INTO account VALUES ('nobody', 50)`)
	check(err)

	done := make(chan error)
	go func() { done <- manager.Run(ctx) }()
	b.deposit("anna", 5)
	for equal := true; equal; time.Sleep(10 * time.Millisecond) {
		all, err := manager.Status(ctx)
		check(err)
		if verify := all[0].Verify; verify != nil && verify.Equal != nil && !*verify.Equal {
			equal = false
			fmt.Println("rows that differ:", verify.Different)
		}
	}
	stop()
	check(<-done)
	// Output: rows that differ: 1
}

// Who writes gets a position, and whoever waits for it reads what was written.
func ExampleManager_WaitFor() {
	b := newExampleBank(accountProjection)
	defer b.end()
	position := b.deposit("anna", 5)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.manager.WaitFor(ctx, position, "accounts"); err != nil {
		fmt.Println("not yet:", err)
		return
	}
	fmt.Println(b.amount("anna"))
	// Output: 5
}

// After a change of its handlers, a projection is reset: its tables are emptied, and it applies all events
// again.
func ExampleManager_ResetProjection() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	position := b.deposit("anna", 5)
	check(b.manager.WaitFor(ctx, position))
	_, err := b.pool.Exec(ctx, `UPDATE account SET amount = 99`) // somebody's slip
	check(err)

	check(b.manager.ResetProjection(ctx, "accounts"))
	check(b.manager.WaitFor(ctx, position))
	fmt.Println(b.amount("anna"))
	// Output: 5
}

// A rebuild gives the tables what a replay makes, while they are read and go on.
func ExampleManager_Rebuild() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	check(b.manager.WaitFor(ctx, b.deposit("anna", 5)))
	_, err := b.pool.Exec(ctx, `UPDATE account SET amount = 99`) // somebody's slip
	check(err)

	done, err := b.manager.Rebuild(ctx, "accounts", readview.RebuildOptions{})
	check(err)
	fmt.Println(done.Events, done.Tables[0].Updated, b.amount("anna"))
	// Output: 1 1 5
}

// What would be in the way is known before anything is done.
func ExampleManager_PlanRebuild() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	check(b.manager.WaitFor(ctx, b.deposit("anna", 5)))
	_, err := b.pool.Exec(ctx, `CREATE VIEW rich AS SELECT id FROM account WHERE amount > 1000`)
	check(err)

	plan, err := b.manager.PlanRebuild(ctx, "accounts", readview.RebuildOptions{How: readview.HowAuto})
	check(err)
	fmt.Println(plan.Events, plan.Tables[0].Table, plan.SwapProblem != nil)
	_, err = b.manager.PlanRollback(ctx, "accounts", readview.RebuildOptions{})
	fmt.Println(errors.Is(err, readview.ErrNothingKept))
	fmt.Println(b.manager.CheckReset(ctx, "accounts"))
	// Output:
	// 1 account true
	// true
	// <nil>
}

// What a rebuild has replaced is kept for a while: a rollback goes back to it.
func ExampleManager_Rollback() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	check(b.manager.WaitFor(ctx, b.deposit("anna", 5)))
	_, err := b.pool.Exec(ctx, `UPDATE account SET amount = 99`) // it was right after all
	check(err)
	_, err = b.manager.Rebuild(ctx, "accounts", readview.RebuildOptions{})
	check(err)
	fmt.Println(b.amount("anna"))

	_, err = b.manager.Rollback(ctx, "accounts", readview.RebuildOptions{})
	check(err)
	fmt.Println(b.amount("anna"))
	// Output:
	// 5
	// 99
}

// What is kept for a rollback goes by itself when its time is over, or when somebody says so.
func ExampleManager_Cleanup() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	check(b.manager.WaitFor(ctx, b.deposit("anna", 5)))
	_, err := b.manager.Rebuild(ctx, "accounts", readview.RebuildOptions{})
	check(err)

	left, err := b.manager.Cleanup(ctx, "accounts", readview.CleanupOptions{Kept: true})
	check(err)
	fmt.Println(left[0].What, left[0].Removed)
	// Output: kept true
}

// A verification compares the tables with a replay, and changes nothing.
func ExampleManager_Verify() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	check(b.manager.WaitFor(ctx, b.deposit("anna", 5)))
	_, err := b.pool.Exec(ctx, `UPDATE account SET amount = 99`) // somebody's slip
	check(err)

	found, err := b.manager.Verify(ctx, "accounts", readview.VerifyOptions{})
	check(err)
	row := found.Tables[0].First[0]
	fmt.Println(found.Equal, string(row.Key), *row.Columns["amount"][0], *row.Columns["amount"][1])
	// Output: false {"id": "anna"} 99 5
}

// An update of a row that has to be there.
func ExampleExecOne() {
	addToAccount := func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		return readview.ExecOne(ctx, tx, `UPDATE account SET amount = amount + $2 WHERE id = $1`, e.AggregateID(), e.Amount)
	}
	b := newExampleBank(readview.Projection{Name: "accounts", Handlers: readview.Handlers{readview.On(addToAccount)}, Tables: []string{"account"}})
	defer b.end()
	position := b.deposit("nobody", 5)
	err := b.manager.WaitFor(context.Background(), position)
	fmt.Println(err != nil, b.status().State)
	// Output: true failed
}

// An insert that now and then meets a unique constraint which its ON CONFLICT does not resolve. The other inserts go
// together as before.
func ExampleExecOr() {
	claim := func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		const insert = `INSERT INTO richest (amount, account) VALUES ($1, $2) ON CONFLICT (amount) DO NOTHING`
		return readview.ExecOr(ctx, tx, func() error { // the account has a row of another amount
			return readview.Exec(ctx, tx, `UPDATE richest SET amount = greatest(amount, $1) WHERE account = $2`, e.Amount, e.AggregateID())
		}, insert, e.Amount, e.AggregateID())
	}
	ctx := context.Background()
	b := newExampleBank()
	defer b.end()
	_, err := b.pool.Exec(ctx, `CREATE TABLE richest (amount BIGINT PRIMARY KEY, account TEXT NOT NULL UNIQUE)`)
	check(err)
	b.run(readview.Projection{Name: "richest", Handlers: readview.Handlers{readview.On(claim)}, Tables: []string{"richest"}})
	b.deposit("anna", 5)
	check(b.manager.WaitFor(ctx, b.deposit("anna", 7)))
	var amount int64
	check(b.pool.QueryRow(ctx, `SELECT amount FROM richest WHERE account = 'anna'`).Scan(&amount))
	fmt.Println(amount)
	// Output: 7
}

// A handler that reads a row before it writes says so: the rows of all events of a page are fetched in one round trip.
func ExampleLookup() {
	const amountOf = `SELECT amount FROM account WHERE id = $1`
	depositUpTo100 := func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		var amount int64
		switch err := tx.QueryRowContext(ctx, amountOf, e.AggregateID()).Scan(&amount); {
		case errors.Is(err, sql.ErrNoRows):
			return readview.Exec(ctx, tx, `INSERT INTO account (id, amount) VALUES ($1, $2)`, e.AggregateID(), min(e.Amount, 100))
		case err != nil:
			return err
		}
		return readview.Exec(ctx, tx, `UPDATE account SET amount = $2 WHERE id = $1`, e.AggregateID(), min(amount+e.Amount, 100))
	}
	looksUp := func(e *Deposited) []readview.Lookup {
		return []readview.Lookup{{Query: amountOf, Args: []any{e.AggregateID()}}}
	}
	b := newExampleBank(readview.Projection{Name: "accounts", Handlers: readview.Handlers{readview.On(depositUpTo100, looksUp)}, Tables: []string{"account"}})
	defer b.end()
	b.deposit("anna", 70)
	check(b.manager.WaitFor(context.Background(), b.deposit("anna", 70)))
	fmt.Println(b.amount("anna"))
	// Output: 100
}

// No page is being applied when Pause returns, in no process, and none is until Resume.
func ExampleManager_Pause() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	check(b.manager.WaitFor(ctx, b.deposit("anna", 5)))
	check(b.manager.Pause(ctx, "accounts"))
	position := b.deposit("anna", 2)
	fmt.Println(b.status().State, b.status().Behind, b.amount("anna"))
	check(b.manager.Resume(ctx, "accounts"))
	check(b.manager.WaitFor(ctx, position))
	fmt.Println(b.amount("anna"))
	// Output:
	// paused 1 5
	// 7
}

// An event that can't be applied stops its projection, with the reason on record. Once that is mended, the
// projection goes on from there.
func ExampleManager_Resume() {
	ctx := context.Background()
	b := newExampleBank(accountProjection)
	defer b.end()
	position := b.deposit("anna", 500) // more than the table takes
	fmt.Println(b.manager.WaitFor(ctx, position) != nil)
	status := b.status()
	fmt.Println(status.State, status.Failure.EventName, status.Failure.Attempts)

	_, err := b.pool.Exec(ctx, `ALTER TABLE account DROP CONSTRAINT account_amount_check`)
	check(err)
	check(b.manager.Resume(ctx, "accounts"))
	check(b.manager.WaitFor(ctx, position))
	fmt.Println(b.status().State, b.amount("anna"))
	// Output:
	// true
	// failed Deposited 3
	// live 500
}

// A handler with pgx's own API, as code generated by sqlc for pgx/v5 wants it.
func ExampleOnPgx() {
	addDeposit := func(ctx context.Context, tx pgx.Tx, e *Deposited) error {
		var amount int64
		return tx.QueryRow(ctx, `INSERT INTO account AS a (id, amount) VALUES ($1, $2)
			ON CONFLICT (id) DO UPDATE SET amount = a.amount + EXCLUDED.amount RETURNING amount`, e.AggregateID(), e.Amount).Scan(&amount)
	}
	b := newExampleBank(readview.Projection{Name: "accounts", Handlers: readview.Handlers{readview.OnPgx(addDeposit)}, Tables: []string{"account"}})
	defer b.end()
	check(b.manager.WaitFor(context.Background(), b.deposit("anna", 5)))
	fmt.Println(b.amount("anna"))
	// Output: 5
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// deposit makes one and returns its position.
func (b *exampleBank) deposit(account string, amount int64) eventsourced.Position {
	position, err := b.accounts.Update(context.Background(), account, func(a *Account) error {
		return eventsourced.Record(a, &Deposited{Amount: amount})
	})
	check(err)
	return position
}

// amount reads the read view.
func (b *exampleBank) amount(account string) (amount int64) {
	check(b.pool.QueryRow(context.Background(), `SELECT amount FROM account WHERE id = $1`, account).Scan(&amount))
	return amount
}

func (b *exampleBank) status() consumer.Status {
	all, err := b.manager.Status(context.Background())
	check(err)
	return all[0]
}

// A deployment asks the new program, on the production database, what would become of its projections.
func ExampleManager_Ready() {
	b := newExampleBank(accountProjection)
	defer b.end()
	check(b.manager.WaitFor(context.Background(), b.deposit("anna", 5)))

	changed := accountProjection
	changed.Version = 1
	program, err := readview.NewManager(nil, b.store, b.pool, readview.Config{}, changed)
	check(err)
	all, err := program.Ready(context.Background())
	check(err)
	for _, ready := range all {
		fmt.Println(ready.Name, ready.Verdict, ready.OK())
		fmt.Println(errors.Is(ready.Err, readview.ErrChanged))
	}
	// Output:
	// accounts refused false
	// true
}
