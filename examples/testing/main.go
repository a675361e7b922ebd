// Testing is a small bank whose tests are what to read: account_test.go on decisions, without a
// server; balances_test.go on a projection, with a database of its own; stored_test.go on what is stored.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // nothing waits for ever
	defer cancel()
	server, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{})
	if err == nil {
		err = errors.Join(run(ctx, server.URL(), os.Stdout), server.Close())
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string, out io.Writer) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	bank, err := open(ctx, pool)
	if err != nil {
		return err
	}
	position, err := bank.accounts.Update(ctx, "anna", func(a *Account) error { return a.Deposit(100) })
	if err == nil {
		err = bank.balances.WaitFor(ctx, position)
	}
	if err == nil {
		var amount int64
		err = pool.QueryRow(ctx, `SELECT amount FROM balance WHERE account = 'anna'`).Scan(&amount)
		_, _ = fmt.Fprintln(out, "anna has", amount)
	}
	return errors.Join(err, bank.close())
}

// bank is the program. The tests use it as main does.
type bank struct {
	accounts *eventsourced.Repository[Account]
	balances *readview.Manager
	close    func() error
}

// open makes the tables that are missing and starts the projection.
func open(ctx context.Context, pool *pgxpool.Pool) (*bank, error) {
	if err := migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()); err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, balanceTable); err != nil {
		return nil, err
	}
	store := pgstore.New(pool, registry(), pgstore.Config{})
	manager, err := readview.NewManager(nil, store, pool, readview.Config{}, balances())
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(running) }()
	return &bank{
		accounts: eventsourced.NewRepository[Account](store, "bank.Account", eventsourced.RepositoryConfig{}),
		balances: manager,
		close: func() error {
			stop()
			defer store.Close()
			return <-ended
		},
	}, nil
}
