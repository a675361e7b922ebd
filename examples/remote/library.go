package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

// What the contexts have agreed on: where what is published, and where to ask for history.
const (
	topic    = "library.events"
	requests = "library.requests"
)

// Lent is published under the name "Lent".
type Lent struct {
	eventsourced.BaseEvent
	Reader string
}

func registry() *eventsourced.Registry {
	return eventsourced.MustRegistry(eventsourced.Type[Lent]("Lent"))
}

// Book is the library's own.
type Book struct{ eventsourced.Root }

func (e *Lent) ApplyTo(*Book) {}

var errLent = errors.New("the book is lent")

func (b *Book) Lend(reader string) error {
	if b.Exists() {
		return errLent
	}
	return eventsourced.Record(b, &Lent{Reader: reader})
}

// library lends three books, and publishes its events until ctx ends.
func library(ctx context.Context, pool *pgxpool.Pool, broker string) error {
	if err := migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), relay.Migrations()); err != nil {
		return err
	}
	store := pgstore.New(pool, registry(), pgstore.Config{})
	defer store.Close()
	books := eventsourced.NewRepository[Book](store, "library.Book", eventsourced.RepositoryConfig{})
	for book, reader := range map[string]string{"Dune": "Anna", "Emma": "Bo", "Ulysses": "Cecilia"} {
		_, err := books.Update(ctx, book, func(b *Book) error { return b.Lend(reader) })
		if err != nil && !errors.Is(err, errLent) { // it is, after a restart
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
	events, err := relay.New(store, pool, publisher, relay.Config{
		Topic:        func(eventsourced.Recorded) string { return topic },
		Requests:     subscriber,
		RequestTopic: requests,
	})
	if err != nil {
		return err
	}
	return errors.Join(events.Run(ctx), subscriber.Close(), publisher.Close())
}
