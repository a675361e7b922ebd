package messaging_test

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

func (b *bank) router() *message.Router {
	b.t.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(b.t, err)
	return router
}

// start runs a router until the test ends or stop is called.
func (b *bank) start(router *message.Router) (stop func()) {
	b.t.Helper()
	done := make(chan error, 1)
	go func() { done <- router.Run(context.WithoutCancel(b.t.Context())) }()
	<-router.Running()
	b.t.Cleanup(func() {
		require.NoError(b.t, router.Close())
		require.NoError(b.t, <-done)
	})
	return func() { require.NoError(b.t, router.Close()) }
}

func TestHandlerThatPanicsOrFails(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(3)
	router := b.router()
	var calls atomic.Int64
	handled := make(chan string, 10)
	router.AddConsumerHandler("mail", messaging.AllEvents, b.subscriber(grouped("g")), func(msg *message.Message) error {
		switch calls.Add(1) {
		case 1:
			panic("a handler's panic")
		case 2:
			return errors.New("a handler's error")
		default:
			handled <- msg.UUID
			return nil
		}
	})
	stop := b.start(router)
	for _, event := range events {
		require.Equal(t, event.ID.String(), <-handled)
	}
	require.EqualValues(t, 5, calls.Load())
	stop()
	require.Equal(t, events[2].Position, b.position(messaging.AllEvents), "the router's Close lets the Ack through")
}

// marshaler is Watermill's, with the names of the registry.
func marshaler(registry *eventsourced.Registry) cqrs.JSONMarshaler {
	return cqrs.JSONMarshaler{GenerateName: func(event any) string {
		name, _ := registry.NameOf(reflect.TypeOf(event))
		return name
	}}
}

func TestEventProcessor(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	router := b.router()
	processor, err := cqrs.NewEventProcessorWithConfig(router, cqrs.EventProcessorConfig{
		GenerateSubscribeTopic: func(params cqrs.EventProcessorGenerateSubscribeTopicParams) (string, error) {
			return params.EventName, nil
		},
		SubscriberConstructor: func(params cqrs.EventProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return b.subscriber(grouped(params.HandlerName)), nil
		},
		Marshaler: marshaler(b.store.Registry()),
	})
	require.NoError(t, err)
	type call struct {
		handler  string
		event    eventsourced.Event
		position eventsourced.Position
	}
	calls := make(chan call, 10)
	require.NoError(t, processor.AddHandlers(
		cqrs.NewEventHandler("mails", func(ctx context.Context, event *Deposited) error {
			calls <- call{"mails", event, eventsourced.FromContext(ctx).Position}
			return nil
		}),
		cqrs.NewEventHandler("names", func(ctx context.Context, event *Renamed) error {
			calls <- call{"names", event, eventsourced.FromContext(ctx).Position}
			return nil
		}),
	))
	b.start(router)

	deposited := b.record(&Deposited{Amount: 5})
	require.Equal(t, call{"mails", &Deposited{Amount: 5}, deposited.Position}, <-calls)
	renamed := b.recordOld(`{"Name": "Jo"}`)
	require.Equal(t, call{"names", &Renamed{First: "J", Last: "o"}, renamed.Position}, <-calls)

	bus, err := cqrs.NewEventBusWithConfig(messaging.NewPublisher(b.store), cqrs.EventBusConfig{
		GeneratePublishTopic: func(params cqrs.GenerateEventPublishTopicParams) (string, error) { return params.EventName, nil },
		Marshaler:            marshaler(b.store.Registry()),
		OnPublish: func(params cqrs.OnEventSendParams) error {
			params.Message.Metadata.Set(messaging.MetaAggregateName, "bank.Account")
			params.Message.Metadata.Set(messaging.MetaAggregateID, "account-1")
			return nil
		},
	})
	require.NoError(t, err)
	require.NoError(t, bus.Publish(t.Context(), &Deposited{Amount: 7}))
	published := <-calls
	require.Equal(t, &Deposited{Amount: 7}, published.event)
	event := b.at(published.position)
	require.Equal(t, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "account-1"}, event.Stream)
	require.EqualValues(t, 2, event.Version)
}
