package messaging_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// accountOf says which kind of aggregate an event is of.
func accountOf(eventsourced.Event) string { return "bank.Account" }

// An EventProcessor whose handlers share one topic, that of all events.
func ExampleMarshaler() {
	store := memstore.New(consumertest.Registry()) // or pgstore
	marshaler, err := messaging.NewMarshaler(store.Registry(), messaging.MarshalerConfig{})
	check(err)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	check(err)
	processor, err := cqrs.NewEventProcessorWithConfig(router, cqrs.EventProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventProcessorGenerateSubscribeTopicParams) (string, error) {
			return messaging.AllEvents, nil
		},
		SubscriberConstructor: func(cqrs.EventProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return messaging.NewSubscriber(store, nil, messaging.SubscriberConfig{}) // with a ConsumerGroup and a consumer.Store it goes on where it was
		},
		AckOnUnknownEvent: true, // those of the other handlers
		Marshaler:         marshaler,
	})
	check(err)
	handled := make(chan struct{})
	check(processor.AddHandlers(cqrs.NewEventHandler("mails", func(_ context.Context, event *consumertest.Deposited) error {
		fmt.Println(event.AggregateID(), "has", event.Amount, "more since", event.OccurredAt().Format(time.DateOnly))
		close(handled)
		return nil
	})))
	go func() { check(router.Run(context.Background())) }()
	<-router.Running()

	accounts := eventsourced.NewRepository[consumertest.Account](store, "bank.Account", eventsourced.RepositoryConfig{})
	_, err = accounts.Update(context.Background(), "anna", func(a *consumertest.Account) error {
		return eventsourced.Record(a, &consumertest.Deposited{BaseEvent: eventsourced.BaseEvent{EventTime: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}, Amount: 5})
	})
	check(err)
	<-handled
	check(router.Close())
	// Output: anna has 5 more since 2026-01-02
}

// An event that an EventBus publishes goes to the stream of its aggregate.
func ExampleMarshaler_Marshal() {
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
	fmt.Println(bus.Publish(ctx, &consumertest.Deposited{Amount: 5}) != nil) // whose?

	for event, err := range store.ReadLog(ctx, eventsourced.LogQuery{}) {
		check(err)
		fmt.Println(event.Stream, event.Version, event.Name, string(event.Payload))
	}
	// Output:
	// true
	// bank.Account/anna 1 Deposited {"Amount":5}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
