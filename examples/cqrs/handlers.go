package main

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

func addCommands(router *message.Router, commands message.Subscriber, accounts accounts) error {
	processor, err := cqrs.NewCommandProcessorWithConfig(router, cqrs.CommandProcessorConfig{
		GenerateSubscribeTopic: func(params cqrs.CommandProcessorGenerateSubscribeTopicParams) (string, error) {
			return params.CommandName, nil
		},
		SubscriberConstructor: func(cqrs.CommandProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return commands, nil
		},
		Marshaler: cqrs.JSONMarshaler{},
	})
	if err != nil {
		return err
	}
	return processor.AddHandlers(cqrs.NewCommandHandler("deposit", accounts.deposit), cqrs.NewCommandHandler("close", accounts.close))
}

// addEvents adds a group: its handlers share a subscriber, so that their events come in the order of the log.
func addEvents(router *message.Router, store *memstore.Store, done func()) error {
	marshaler, err := messaging.NewMarshaler(store.Registry(), messaging.MarshalerConfig{})
	if err != nil {
		return err
	}
	processor, err := cqrs.NewEventGroupProcessorWithConfig(router, cqrs.EventGroupProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventGroupProcessorGenerateSubscribeTopicParams) (string, error) {
			return messaging.AllEvents, nil
		},
		SubscriberConstructor: func(cqrs.EventGroupProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return messaging.NewSubscriber(store, nil, messaging.SubscriberConfig{}) // without a group: from the first event on
		},
		Marshaler: marshaler,
	})
	if err != nil {
		return err
	}
	return processor.AddHandlersGroup("letters",
		cqrs.NewGroupEventHandler(func(_ context.Context, e *Deposited) error {
			fmt.Println("Dear", e.AggregateID()+", you have", e.Amount, "more.")
			return nil
		}),
		cqrs.NewGroupEventHandler(func(_ context.Context, e *Closed) error {
			fmt.Println("Dear", e.AggregateID()+", good bye.")
			done()
			return nil
		}))
}
