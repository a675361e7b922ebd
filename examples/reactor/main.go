// Reactor sends a parcel for each order, once, although what it does fails half-way.
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
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
)

type (
	Order  struct{ eventsourced.Root }
	Parcel struct{ eventsourced.Root }

	Ordered struct {
		eventsourced.BaseEvent
		Item string
	}
	Sent struct {
		eventsourced.BaseEvent
		Item string
	}
)

func (e *Ordered) ApplyTo(*Order) {}
func (e *Sent) ApplyTo(*Parcel)   {}

var errSent = errors.New("the parcel is on its way")

func (o *Order) Place(item string) error { return eventsourced.Record(o, &Ordered{Item: item}) }

func (p *Parcel) Send(item string) error {
	if p.Exists() {
		return errSent
	}
	return eventsourced.Record(p, &Sent{Item: item})
}

// shipping is what is done about an order. It may be called again for the same one, after an error or a crash: an
// error is tried again for a quarter of an hour, unless it says what it wants (reactor.Retry, Park, Skip).
func shipping(parcels *eventsourced.Repository[Parcel], notify func(order string) error) reactor.Reaction {
	return reactor.On(func(ctx context.Context, e *Ordered) error {
		// A command whose id follows from the event is carried out once: the second time nothing is appended.
		command := eventsourced.WithCommand(ctx, eventsourced.CommandID(eventsourced.FromContext(ctx), "shipping"))
		if _, err := parcels.Update(command, e.AggregateID(), func(p *Parcel) error { return p.Send(e.Item) }); err != nil {
			return err
		}
		return notify(e.AggregateID())
	})
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
	if err := migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), reactor.Migrations()); err != nil {
		return err
	}
	registry := eventsourced.MustRegistry(eventsourced.Type[Ordered]("Ordered"), eventsourced.Type[Sent]("Sent"))
	store := pgstore.New(pool, registry, pgstore.Config{})
	defer store.Close()
	orders := eventsourced.NewRepository[Order](store, "shop.Order", eventsourced.RepositoryConfig{})
	parcels := eventsourced.NewRepository[Parcel](store, "shop.Parcel", eventsourced.RepositoryConfig{})

	tries, notified := 0, make(chan struct{})
	notify := func(order string) error {
		if tries++; tries == 1 {
			return reactor.Retry(50*time.Millisecond, errors.New("the mail server is busy")) // it says when to come again
		}
		_, err := fmt.Fprintf(out, "%s is on its way, at try %d\n", order, tries)
		close(notified)
		return err
	}
	ships, err := reactor.New(store, pool, reactor.Config{Name: "shipping"}, shipping(parcels, notify))
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- ships.Run(running) }()

	if _, err = orders.Create(ctx, "order 1", func(o *Order) error { return o.Place("Dune") }); err == nil {
		select {
		case <-notified:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	stop() // what is being done is finished first
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	for event, err := range store.ReadLog(ctx, eventsourced.LogQuery{}) {
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(out, event.Stream, event.Name, string(event.Payload))
	}
	return nil
}
