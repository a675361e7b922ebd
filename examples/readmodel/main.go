// Readmodel is a library on PostgreSQL: books as aggregates, and a projection of what is lent to whom. With
// -admin 127.0.0.1:8080 it stays up, with the admin page there, until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// The write side: an aggregate and its events.
type (
	Book struct {
		eventsourced.Root
		reader string // "" while it is in
	}
	Lent struct {
		eventsourced.BaseEvent
		Reader string
	}
	Returned struct{ eventsourced.BaseEvent }
)

func (e *Lent) ApplyTo(b *Book)     { b.reader = e.Reader }
func (e *Returned) ApplyTo(b *Book) { b.reader = "" }

func (b *Book) Lend(reader string) error {
	if b.reader != "" {
		return fmt.Errorf("%s is lent to %s", b.ID(), b.reader)
	}
	return eventsourced.Record(b, &Lent{Reader: reader})
}

func (b *Book) Return() error {
	if b.reader == "" {
		return fmt.Errorf("%s is not lent", b.ID())
	}
	return eventsourced.Record(b, &Returned{})
}

// The read side: a table that answers one question, and what each event does to it.
const loanTable = `CREATE TABLE IF NOT EXISTS loan (book TEXT PRIMARY KEY, reader TEXT NOT NULL)`

func loans() readview.Projection {
	return readview.Projection{
		Name:     "loans",
		Handlers: readview.Handlers{readview.On(onLent), readview.On(onReturned)},
		Tables:   []string{"loan"},
	}
}

func onLent(ctx context.Context, tx readview.Tx, e *Lent) error {
	return readview.Exec(ctx, tx, `INSERT INTO loan (book, reader) VALUES ($1, $2)`, e.AggregateID(), e.Reader)
}

func onReturned(ctx context.Context, tx readview.Tx, e *Returned) error {
	return readview.Exec(ctx, tx, `DELETE FROM loan WHERE book = $1`, e.AggregateID())
}

func main() {
	admin := flag.String("admin", "", "stay up, with the admin page at this `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{}) // yours is there already
	if err == nil {
		err = errors.Join(run(ctx, server.URL(), *admin, os.Stdout), server.Close())
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url, admin string, out io.Writer) (err error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, loanTable); err != nil {
		return err
	}
	registry := eventsourced.MustRegistry(eventsourced.Type[Lent]("Lent"), eventsourced.Type[Returned]("Returned"))
	store := pgstore.New(pool, registry, pgstore.Config{})
	defer store.Close()
	books := eventsourced.NewRepository[Book](store, "library.Book", eventsourced.RepositoryConfig{})
	manager, err := readview.NewManager(nil, store, pool, readview.Config{}, loans())
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(running) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }() // what is being applied is finished first

	if _, err := books.Update(ctx, "Dune", func(b *Book) error { return b.Lend("Anna") }); err != nil {
		return err
	}
	if _, err := books.Update(ctx, "Emma", func(b *Book) error { return b.Lend("Bo") }); err != nil {
		return err
	}
	position, err := books.Update(ctx, "Dune", func(b *Book) error { return b.Return() })
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := manager.WaitFor(soon, position); err != nil { // the read side is a little later
		return err
	}
	var lent string
	err = pool.QueryRow(soon, `SELECT string_agg(book || ' is lent to ' || reader, E'\n' ORDER BY book) FROM loan`).Scan(&lent)
	_, _ = fmt.Fprintln(out, lent)
	if err != nil || admin == "" {
		return err
	}
	page, err := readviewui.New(manager, store, pool, readviewui.Config{}) // to look at; Config.Authorize says who may act
	if err != nil {
		return err
	}
	defer page.Close()
	web := &http.Server{Addr: admin, Handler: page, ReadHeaderTimeout: time.Second}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	_, _ = fmt.Fprintf(out, "the admin page: http://%s/\n", admin)
	if err = web.ListenAndServe(); ctx.Err() != nil {
		return nil
	}
	return err
}
