package messaging_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// run runs a router until stop is called.
func run(router *message.Router) (stop func()) {
	go func() { check(router.Run(context.Background())) }()
	<-router.Running()
	return func() { check(router.Close()) }
}

// deposit lets an account record a deposit.
func deposit(ctx context.Context, store eventsourced.Store, account string, amount int64) {
	accounts := eventsourced.NewRepository[consumertest.Account](store, "bank.Account", eventsourced.RepositoryConfig{})
	_, err := accounts.Update(ctx, account, func(a *consumertest.Account) error {
		return eventsourced.Record(a, &consumertest.Deposited{Amount: amount})
	})
	check(err)
}

// Each handler of an EventProcessor has a consumer group of its own, and with a consumer.Store a
// position that outlives the process.
func Example_eventProcessor() {
	ctx := context.Background()
	store := memstore.New(consumertest.Registry()) // or pgstore
	marshaler, err := messaging.NewMarshaler(store.Registry(), messaging.MarshalerConfig{})
	check(err)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	processor, err := cqrs.NewEventProcessorWithConfig(router, cqrs.EventProcessorConfig{
		GenerateSubscribeTopic: func(params cqrs.EventProcessorGenerateSubscribeTopicParams) (string, error) {
			return params.EventName, nil // the events of one type
		},
		SubscriberConstructor: func(cqrs.EventProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return messaging.NewSubscriber(store, nil, messaging.SubscriberConfig{}) // ConsumerGroup: params.HandlerName
		},
		Marshaler: marshaler,
	})
	check(err)
	handled := make(chan struct{})
	check(processor.AddHandlers(cqrs.NewEventHandler("thanks", func(_ context.Context, e *consumertest.Deposited) error {
		fmt.Println("thank you,", e.AggregateID(), "for", e.Amount)
		close(handled)
		return nil
	})))
	defer run(router)()

	deposit(ctx, store, "anna", 5)
	<-handled
	// Output: thank you, anna for 5
}

// The handlers of a group share one subscription, to all events: they see them in the order of the log,
// whatever their types are.
func Example_eventGroupProcessor() {
	ctx := context.Background()
	store := memstore.New(consumertest.Registry())
	marshaler, err := messaging.NewMarshaler(store.Registry(), messaging.MarshalerConfig{})
	check(err)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	processor, err := cqrs.NewEventGroupProcessorWithConfig(router, cqrs.EventGroupProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventGroupProcessorGenerateSubscribeTopicParams) (string, error) {
			return messaging.AllEvents, nil
		},
		SubscriberConstructor: func(cqrs.EventGroupProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return messaging.NewSubscriber(store, nil, messaging.SubscriberConfig{}) // ConsumerGroup: params.EventGroupName
		},
		AckOnUnknownEvent: true, // those that no handler of the group takes
		Marshaler:         marshaler,
	})
	check(err)
	handled := make(chan struct{}, 2)
	check(processor.AddHandlersGroup("letters",
		cqrs.NewGroupEventHandler(func(_ context.Context, e *consumertest.Deposited) error {
			fmt.Println("deposited:", e.Amount)
			handled <- struct{}{}
			return nil
		}),
		cqrs.NewGroupEventHandler(func(_ context.Context, e *consumertest.Renamed) error {
			fmt.Println("renamed:", e.First)
			handled <- struct{}{}
			return nil
		}),
	))
	defer run(router)()

	deposit(ctx, store, "anna", 5)
	accounts := eventsourced.NewRepository[consumertest.Account](store, "bank.Account", eventsourced.RepositoryConfig{})
	_, err = accounts.Update(ctx, "anna", func(a *consumertest.Account) error {
		return eventsourced.Record(a, &consumertest.Renamed{First: "Anne"})
	})
	check(err)
	<-handled
	<-handled
	// Output:
	// deposited: 5
	// renamed: Anne
}

// What an EventBus publishes goes to the stream of its own aggregate. It decides nothing: for a change
// that depends on what was there before, use a repository.
func Example_eventBus() {
	ctx := context.Background()
	store := memstore.New(consumertest.Registry())
	marshaler, err := messaging.NewMarshaler(store.Registry(), messaging.MarshalerConfig{AggregateName: accountOf})
	check(err)
	bus, err := cqrs.NewEventBusWithConfig(messaging.NewPublisher(store), cqrs.EventBusConfig{
		GeneratePublishTopic: func(params cqrs.GenerateEventPublishTopicParams) (string, error) { return params.EventName, nil },
		Marshaler:            marshaler,
	})
	check(err)
	check(bus.Publish(ctx, &consumertest.Deposited{BaseEvent: eventsourced.BaseEvent{EventAggregateId: "anna"}, Amount: 5}))

	for event, err := range store.ReadLog(ctx, eventsourced.LogQuery{}) {
		check(err)
		fmt.Println(event.Stream, event.Version, event.Name)
	}
	// Output: bank.Account/anna 1 Deposited
}

// MakeDeposit is a command, and no event: it has a marshaler of Watermill's own.
type MakeDeposit struct {
	ID      eventsourced.EventID // of the command: it is carried out once
	Account string
	Amount  int64
}

// Commands travel over a broker of their own: the log is for what has happened. A command that comes twice
// is carried out once, because it has an id.
func Example_commandBus() {
	ctx := context.Background()
	store := memstore.New(consumertest.Registry())
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	processor, err := cqrs.NewCommandProcessorWithConfig(router, cqrs.CommandProcessorConfig{
		GenerateSubscribeTopic: func(params cqrs.CommandProcessorGenerateSubscribeTopicParams) (string, error) {
			return params.CommandName, nil
		},
		SubscriberConstructor: func(cqrs.CommandProcessorSubscriberConstructorParams) (message.Subscriber, error) { return broker, nil },
		Marshaler:             cqrs.JSONMarshaler{},
	})
	check(err)
	carriedOut := make(chan struct{}, 2)
	check(processor.AddHandlers(cqrs.NewCommandHandler("accounts", func(ctx context.Context, c *MakeDeposit) error {
		deposit(eventsourced.WithCommand(ctx, c.ID), store, c.Account, c.Amount)
		carriedOut <- struct{}{}
		return nil
	})))
	stop := run(router)
	bus, err := cqrs.NewCommandBusWithConfig(broker, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(params cqrs.CommandBusGeneratePublishTopicParams) (string, error) { return params.CommandName, nil },
		Marshaler:            cqrs.JSONMarshaler{},
	})
	check(err)
	command := &MakeDeposit{ID: eventsourced.NewEventID(), Account: "anna", Amount: 5}
	check(bus.Send(ctx, command))
	check(bus.Send(ctx, command)) // a broker may deliver it twice
	<-carriedOut
	<-carriedOut
	stop()
	for event, err := range store.ReadLog(ctx, eventsourced.LogQuery{}) {
		check(err)
		fmt.Println(event.Stream, event.Name, string(event.Payload))
	}
	// Output: bank.Account/anna Deposited {"Amount":5}
}
