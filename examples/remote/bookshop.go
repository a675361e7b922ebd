package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/readview"
)

const loanTable = `CREATE TABLE IF NOT EXISTS loan (book TEXT PRIMARY KEY, reader TEXT NOT NULL)`

func loans() readview.Projection {
	return readview.Projection{
		Name:     "loans",
		Handlers: readview.Handlers{readview.On(onLent)},
		Tables:   []string{"loan"},
	}
}

func onLent(ctx context.Context, tx readview.Tx, e *Lent) error {
	return readview.Exec(ctx, tx, `INSERT INTO loan (book, reader) VALUES ($1, $2)`, e.AggregateID(), e.Reader)
}

// bookshop projects the library's events, also those from before its time, and
// ends when it knows of three loans.
func bookshop(ctx context.Context, pool *pgxpool.Pool, broker string) error {
	if err := migrate.Run(ctx, pool, migrate.Config{}, readview.Migrations()); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, loanTable); err != nil {
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
	manager, err := readview.NewManager(nil, nil, pool, readview.Config{}) // it has no log
	if err != nil {
		return err
	}
	err = manager.AddRemote(loans(), readview.Feed{
		Registry:     registry(),
		Subscriber:   subscriber,
		Topic:        topic,
		Requests:     publisher, // for the history
		RequestTopic: requests,
		ReplyTo:      amqpbus.QueueTopic(subscriber.Queue(topic)),
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(running) }() // it closes the subscriber
	err = show(ctx, pool)
	stop()
	return errors.Join(err, <-ended, publisher.Close())
}

// show prints the loans when there are three.
func show(ctx context.Context, pool *pgxpool.Pool) error {
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
				fmt.Println(line)
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
