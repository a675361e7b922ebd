// Readmodel is a library on PostgreSQL: one aggregate, and one projection of what is lent to whom.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

type (
	Lent struct {
		eventsourced.BaseEvent
		Reader string
	}
	Returned struct{ eventsourced.BaseEvent }
)

type Book struct {
	eventsourced.Root
	reader string
}

func (b *Book) Lend(reader string) error {
	if b.reader != "" {
		return errors.New("the book is lent already")
	}
	return eventsourced.Record(b, &Lent{Reader: reader})
}

func (b *Book) Return() error { return eventsourced.Record(b, &Returned{}) }

func (b *Book) Apply(event eventsourced.Event) {
	switch e := event.(type) {
	case *Lent:
		b.reader = e.Reader
	case *Returned:
		b.reader = ""
	}
}

var loans = readview.Projection{
	Name:     "loans",
	Handlers: readview.Handlers{readview.On(onLent), readview.On(onReturned)},
	Reset:    readview.Truncate("loan"),
	Tables:   []string{"loan"},
}

func onLent(ctx context.Context, tx readview.Tx, e *Lent) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO loan (book, reader) VALUES ($1, $2)`, e.AggregateID(), e.Reader)
	return err
}

func onReturned(ctx context.Context, tx readview.Tx, e *Returned) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM loan WHERE book = $1`, e.AggregateID())
	return err
}

func main() {
	server, err := devservices.StartPostgres(context.Background(), devservices.PostgresConfig{})
	if err == nil {
		err = errors.Join(run(context.Background(), server.URL(), os.Stdout), server.Close())
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
	_, err = pool.Exec(ctx, `CREATE TABLE loan (book TEXT PRIMARY KEY, reader TEXT NOT NULL)`)
	err = errors.Join(err, migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	if err != nil {
		return err
	}
	registry, err := eventsourced.NewRegistry(eventsourced.Type[Lent]("Lent"), eventsourced.Type[Returned]("Returned"))
	if err != nil {
		return err
	}
	store := pgstore.New(pool, registry, pgstore.Config{})
	defer store.Close()
	router := message.NewDefaultRouter(watermill.NopLogger{})
	manager, err := readview.NewManager(router, store, pool, readview.Config{})
	if err == nil {
		err = manager.Add(loans)
	}
	if err != nil {
		return err
	}
	go func() { _ = router.Run(ctx) }()
	<-router.Running()
	defer func() { _ = router.Close() }()
	books := eventsourced.NewRepository[Book](store, "library.Book", eventsourced.RepositoryConfig{})
	position, err := books.Update(ctx, "The Hobbit", func(b *Book) error { return b.Lend("Anna") })
	if err == nil {
		err = manager.WaitFor(ctx, position) // to read what was just written
	}
	var reader string
	if err == nil {
		err = pool.QueryRow(ctx, `SELECT reader FROM loan WHERE book = 'The Hobbit'`).Scan(&reader)
	}
	_, _ = fmt.Fprintln(out, "The Hobbit is lent to", reader)
	return err
}
