// Cqrs is Watermill's cqrs around the log: a CommandBus brings commands to aggregates, and an
// EventGroupProcessor takes their events from the log, in order. In memory.
package main

import (
	"context"
	"errors"
	"log"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// Commands have an id: a bus delivers at least once, and what is sent twice has to count once.
type (
	Deposit struct {
		ID      eventsourced.EventID
		Account string
		Amount  int64
	}
	Close struct {
		ID      eventsourced.EventID
		Account string
	}
)

type (
	Account struct {
		eventsourced.Root
		closed bool
	}
	Deposited struct {
		eventsourced.BaseEvent
		Amount int64
	}
	Closed struct{ eventsourced.BaseEvent }
)

func (e *Deposited) ApplyTo(*Account) {}
func (e *Closed) ApplyTo(a *Account)  { a.closed = true }

var errClosed = errors.New("the account is closed")

func (a *Account) change(event eventsourced.Event) error {
	if a.closed {
		return errClosed
	}
	return eventsourced.Record(a, event)
}

type accounts struct {
	*eventsourced.Repository[Account]
}

func (r accounts) deposit(ctx context.Context, c *Deposit) error {
	_, err := r.Update(eventsourced.WithCommand(ctx, c.ID), c.Account, func(a *Account) error { return a.change(&Deposited{Amount: c.Amount}) })
	return err
}

func (r accounts) close(ctx context.Context, c *Close) error {
	_, err := r.Change(eventsourced.WithCommand(ctx, c.ID), c.Account, func(a *Account) error { return a.change(&Closed{}) })
	return err
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	store := memstore.New(eventsourced.MustRegistry(eventsourced.Type[Deposited]("Deposited"), eventsourced.Type[Closed]("Closed")))
	channel := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{}) // or a broker
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	if err := addCommands(router, channel, accounts{eventsourced.NewRepository[Account](store, "bank.Account", eventsourced.RepositoryConfig{})}); err != nil {
		return err
	}
	done := make(chan struct{})
	if err := addEvents(router, store, func() { close(done) }); err != nil {
		return err
	}
	bus, err := cqrs.NewCommandBusWithConfig(channel, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(params cqrs.CommandBusGeneratePublishTopicParams) (string, error) { return params.CommandName, nil },
		Marshaler:            cqrs.JSONMarshaler{},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	<-router.Running()
	deposit := &Deposit{ID: eventsourced.NewEventID(), Account: "anna", Amount: 5}
	for _, command := range []any{deposit, deposit, &Close{ID: eventsourced.NewEventID(), Account: "anna"}} {
		if err := bus.Send(ctx, command); err != nil {
			return errors.Join(err, router.Close(), <-ended)
		}
	}
	<-done
	return errors.Join(router.Close(), <-ended)
}
