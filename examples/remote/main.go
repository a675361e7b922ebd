// Remote is two bounded contexts with RabbitMQ between them: a library lends books,
// and a bookshop, with a database of its own, shows what is lent. Each is a process;
// started without arguments, this one starts them and the servers they need.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/readview"
)

// What the contexts have agreed on: an event, its name, and where it is published.
type Lent struct {
	eventsourced.BaseEvent
	Reader string
}

const (
	topic    = "library.events"
	requests = "library.requests"
)

func newRegistry() (*eventsourced.Registry, error) {
	return eventsourced.NewRegistry(eventsourced.Type[Lent]("Lent"))
}

type Book struct{ eventsourced.Root }

func (b *Book) Lend(reader string) error   { return eventsourced.Record(b, &Lent{Reader: reader}) }
func (b *Book) Apply(_ eventsourced.Event) {}

// library lends three books, and publishes its events until ctx ends.
func library(ctx context.Context, pool *pgxpool.Pool, broker string, _ io.Writer) error {
	registry, err := newRegistry()
	if err != nil {
		return err
	}
	if err := migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), relay.Migrations()); err != nil {
		return err
	}
	store := pgstore.New(pool, registry, pgstore.Config{})
	defer store.Close()
	books := eventsourced.NewRepository[Book](store, "library.Book", eventsourced.RepositoryConfig{})
	for book, reader := range map[string]string{"Dune": "Anna", "Emma": "Bo", "Ulysses": "Cecilia"} {
		if _, err := books.Update(ctx, book, func(b *Book) error { return b.Lend(reader) }); err != nil {
			return err
		}
	}

	publisher, err := amqpbus.NewPublisher(broker, amqpbus.PublisherConfig{})
	if err != nil {
		return err
	}
	subscriber, err := amqpbus.NewSubscriber(broker, amqpbus.SubscriberConfig{Group: "relay"})
	if err != nil {
		return err
	}
	it, err := relay.New(store, pool, publisher, relay.Config{
		Topic:        func(eventsourced.Recorded) string { return topic },
		Requests:     subscriber,
		RequestTopic: requests,
	})
	if err != nil {
		return err
	}
	return errors.Join(it.Run(ctx), subscriber.Close(), publisher.Close())
}

var loans = readview.Projection{
	Name:     "loans",
	Handlers: readview.Handlers{readview.On(onLent)},
	Reset:    readview.Truncate("loan"),
	Tables:   []string{"loan"},
}

func onLent(ctx context.Context, tx readview.Tx, e *Lent) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO loan (book, reader) VALUES ($1, $2)`, e.AggregateID(), e.Reader)
	return err
}

// bookshop projects the library's events, also those from before its time, and
// ends when it knows of three loans.
func bookshop(ctx context.Context, pool *pgxpool.Pool, broker string, out io.Writer) error {
	registry, err := newRegistry()
	if err != nil {
		return err
	}
	if err := migrate.Run(ctx, pool, migrate.Config{}, readview.Migrations()); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS loan (book TEXT PRIMARY KEY, reader TEXT NOT NULL)`); err != nil {
		return err
	}
	publisher, err := amqpbus.NewPublisher(broker, amqpbus.PublisherConfig{})
	if err != nil {
		return err
	}
	subscriber, err := amqpbus.NewSubscriber(broker, amqpbus.SubscriberConfig{Group: "bookshop.loans"})
	if err != nil {
		return err
	}
	router := message.NewDefaultRouter(watermill.NopLogger{})
	manager, err := readview.NewManager(router, nil, pool, readview.Config{}) // it has no log
	if err != nil {
		return err
	}
	err = manager.AddRemote(loans, readview.Feed{
		Registry:     registry,
		Subscriber:   subscriber,
		Topic:        topic,
		Requests:     publisher, // of the history
		RequestTopic: requests,
		ReplyTo:      amqpbus.QueueTopic(subscriber.Queue(topic)),
	})
	if err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- router.Run(ctx) }()
	<-router.Running()
	err = show(ctx, pool, out)
	return errors.Join(err, router.Close(), <-ran, publisher.Close())
}

// show waits for the loans in the read view.
func show(ctx context.Context, pool *pgxpool.Pool, out io.Writer) error {
	for {
		rows, err := pool.Query(ctx, `SELECT book || ' is lent to ' || reader FROM loan ORDER BY book`)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(lines) == 3 {
			for _, line := range lines {
				_, _ = fmt.Fprintln(out, line)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "library":
		err = onDatabase(ctx, os.Args[2], os.Args[3], library)
	case len(os.Args) == 4 && os.Args[1] == "bookshop":
		err = onDatabase(ctx, os.Args[2], os.Args[3], bookshop)
	default:
		err = run(ctx, os.Args[0], os.Stdout)
	}
	if err != nil {
		log.Fatal(err) //nolint:gocritic // the process ends, and with it the signals
	}
}

func onDatabase(ctx context.Context, database, broker string, do func(context.Context, *pgxpool.Pool, string, io.Writer) error) error {
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(ctx, pool, broker, os.Stdout)
}

// run runs both processes on private servers: program is this one.
func run(ctx context.Context, program string, out io.Writer) (err error) {
	postgres, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, postgres.Close()) }()
	rabbitMQ, err := devservices.StartRabbitMQ(ctx, devservices.RabbitMQConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rabbitMQ.Close()) }()

	process := func(name string) (*exec.Cmd, error) {
		database, err := newDatabase(ctx, postgres.URL(), name)
		command := exec.CommandContext(ctx, program, name, database, rabbitMQ.URL())
		command.Stdout, command.Stderr = out, os.Stderr
		return command, err
	}
	library, err := process("library")
	if err != nil {
		return err
	}
	bookshop, err := process("bookshop")
	if err != nil {
		return err
	}
	if err := library.Start(); err != nil {
		return err
	}
	err = bookshop.Run()
	return errors.Join(err, library.Process.Signal(syscall.SIGTERM), library.Wait())
}

// newDatabase returns the URL of a new database.
func newDatabase(ctx context.Context, server, name string) (string, error) {
	config, err := pgx.ParseConfig(server)
	if err != nil {
		return "", err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", config.User, config.Password, config.Host, config.Port, name), err
}
