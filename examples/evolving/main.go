// Evolving deploys a second version of a library beside the first. An event has a new field, and what is stored
// gets it by an upcaster; the projection handles one event more, and is made again from the log. What changes is in
// versions.go, how it is deployed in main.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// deploy runs a version, and ends it after use.
func deploy(ctx context.Context, pool *pgxpool.Pool, version func() (*eventsourced.Registry, string, readview.Handlers),
	use func(books *eventsourced.Repository[Book], loans *readview.Manager) error,
) error {
	registry, schema, handlers := version()
	if err := migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, schema); err != nil {
		return err
	}
	store := pgstore.New(pool, registry, pgstore.Config{})
	defer store.Close()
	loans, err := readview.NewManager(nil, store, pool, readview.Config{},
		readview.Projection{Name: "loans", Handlers: handlers, Tables: []string{"loan"}})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- loans.Run(running) }()
	err = use(eventsourced.NewRepository[Book](store, "library.Book", eventsourced.RepositoryConfig{}), loans)
	stop()
	return errors.Join(err, <-ended)
}

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
	show := func(loans *readview.Manager, position eventsourced.Position, title string) error {
		if err := loans.WaitFor(ctx, position); err != nil {
			return err
		}
		rows, err := pool.Query(ctx, `SELECT loan::text FROM loan ORDER BY book`)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		_, _ = fmt.Fprintln(out, title, lines)
		return err
	}
	return deploy(ctx, pool, version1, func(books *eventsourced.Repository[Book], loans *readview.Manager) error {
		_, err := books.Update(ctx, "Dune", func(b *Book) error { return b.change(true, &LentV1{Reader: "Anna"}) })
		if err != nil {
			return err
		}
		if _, err = books.Update(ctx, "Dune", func(b *Book) error { return b.change(false, &Returned{}) }); err != nil {
			return err
		}
		position, err := books.Update(ctx, "Emma", func(b *Book) error { return b.change(true, &LentV1{Reader: "Bo"}) })
		if err != nil {
			return err
		}
		if err := show(loans, position, "version 1:"); err != nil {
			return err
		}
		return deploy(ctx, pool, version2, func(books *eventsourced.Repository[Book], loans *readview.Manager) error {
			// Version 2 is refused until this, as version 1 has passed over what it handles. Then version 1 stands by.
			if err := loans.ResetProjection(ctx, "loans"); err != nil {
				return err
			}
			position, err := books.Update(ctx, "Dune", func(b *Book) error { return b.change(true, &Lent{Reader: "Cecilia", Days: 14}) })
			if err != nil {
				return err
			}
			return show(loans, position, "version 2:")
		})
	})
}
