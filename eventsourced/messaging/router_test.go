package messaging_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func (b *bank) router() *message.Router {
	b.T.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(b.T, err)
	return router
}

// start runs a router until the test ends or stop is called.
func (b *bank) start(router *message.Router) (stop func()) {
	b.T.Helper()
	done := make(chan error, 1)
	go func() { done <- router.Run(context.WithoutCancel(b.T.Context())) }()
	<-router.Running()
	b.T.Cleanup(func() {
		require.NoError(b.T, router.Close())
		require.NoError(b.T, <-done)
	})
	return func() { require.NoError(b.T, router.Close()) }
}

func TestHandlerThatPanicsOrFails(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(3)
	router := b.router()
	var calls atomic.Int64
	handled := make(chan string, 10)
	router.AddConsumerHandler("mail", messaging.AllEvents, b.Subscriber(consumertest.Grouped("g")), func(msg *message.Message) error {
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
	require.Equal(t, events[2].Position, b.Position(messaging.AllEvents), "the router's Close lets the Ack through")
}

var _ cqrs.CommandEventMarshaler = (*messaging.Marshaler)(nil) // here, as cqrs would bring protobuf along

func (b *bank) marshaler() *messaging.Marshaler {
	b.T.Helper()
	marshaler, err := messaging.NewMarshaler(b.Store.Registry(), messaging.MarshalerConfig{
		AggregateName: func(event eventsourced.Event) string {
			if _, ok := event.(*consumertest.Deposited); ok {
				return "bank.Account"
			}
			return ""
		},
	})
	require.NoError(b.T, err)
	return marshaler
}

// call is what a handler got.
type call struct {
	handler  string
	event    eventsourced.Event
	position eventsourced.Position
}

func handlers(calls chan<- call) []cqrs.EventHandler {
	return []cqrs.EventHandler{
		cqrs.NewEventHandler("mails", func(ctx context.Context, event *consumertest.Deposited) error {
			calls <- call{"mails", event, eventsourced.FromContext(ctx).Position}
			return nil
		}),
		cqrs.NewEventHandler("names", func(ctx context.Context, event *consumertest.Renamed) error {
			calls <- call{"names", event, eventsourced.FromContext(ctx).Position}
			return nil
		}),
	}
}

func base(event eventsourced.Recorded) eventsourced.BaseEvent {
	return eventsourced.BaseEvent{EventAggregateId: event.Stream.AggregateID, EventTime: event.Time}
}

func TestEventProcessor(t *testing.T) {
	t.Parallel()
	for name, topic := range map[string]func(string) string{
		"with a topic for each event":   func(name string) string { return name },
		"with one topic for all events": func(string) string { return messaging.AllEvents },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			router := b.router()
			var hooked atomic.Int64
			processor, err := cqrs.NewEventProcessorWithConfig(router, cqrs.EventProcessorConfig{
				GenerateSubscribeTopic: func(params cqrs.EventProcessorGenerateSubscribeTopicParams) (string, error) {
					return topic(params.EventName), nil
				},
				SubscriberConstructor: func(params cqrs.EventProcessorSubscriberConstructorParams) (message.Subscriber, error) {
					return b.Subscriber(consumertest.Grouped(params.HandlerName)), nil
				},
				OnHandle: func(params cqrs.EventProcessorOnHandleParams) error {
					hooked.Add(1)
					return params.Handler.Handle(params.Message.Context(), params.Event)
				},
				AckOnUnknownEvent: true,
				Marshaler:         b.marshaler(),
			})
			require.NoError(t, err)
			calls := make(chan call, 10)
			require.NoError(t, processor.AddHandlers(handlers(calls)...))
			b.start(router)
			deposited := b.Record(&consumertest.Deposited{Amount: 5})
			require.Equal(t, call{"mails", &consumertest.Deposited{BaseEvent: base(deposited), Amount: 5}, deposited.Position}, <-calls)
			renamed := b.RecordOld(`{"Name": "Jo"}`)
			require.Equal(t, call{"names", &consumertest.Renamed{BaseEvent: base(renamed), First: "J", Last: "o"}, renamed.Position}, <-calls)

			bus, err := cqrs.NewEventBusWithConfig(messaging.NewPublisher(b.Store), cqrs.EventBusConfig{
				GeneratePublishTopic: func(params cqrs.GenerateEventPublishTopicParams) (string, error) { return params.EventName, nil },
				Marshaler:            b.marshaler(),
			})
			require.NoError(t, err)
			at := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
			require.NoError(t, bus.Publish(t.Context(), &consumertest.Deposited{BaseEvent: eventsourced.BaseEvent{EventAggregateId: "account-1", EventTime: at}, Amount: 7}))
			published := <-calls
			event := b.At(published.position)
			require.Equal(t, &consumertest.Deposited{BaseEvent: base(event), Amount: 7}, published.event)
			require.Equal(t, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "account-1"}, event.Stream)
			require.EqualValues(t, 2, event.Version)
			require.Equal(t, at, event.Time)
			require.EqualValues(t, 3, hooked.Load())
			b.requireRefused(bus)
		})
	}
}

// requireRefused publishes what has no stream of its own.
func (b *bank) requireRefused(bus *cqrs.EventBus) {
	b.T.Helper()
	before := len(b.log())
	for event, want := range map[any]error{
		&consumertest.Deposited{Amount: 1}: messaging.ErrNoAggregate,
		&consumertest.Renamed{BaseEvent: eventsourced.BaseEvent{EventAggregateId: "account-1"}}: messaging.ErrNoAggregate,
		(*consumertest.Deposited)(nil): eventsourced.ErrInvalid,
		consumertest.Deposited{}:       eventsourced.ErrUnknownEvent,
		new(struct{ Amount int }):      eventsourced.ErrUnknownEvent,
		nil:                            eventsourced.ErrUnknownEvent,
	} {
		require.ErrorIs(b.T, bus.Publish(b.T.Context(), event), want)
	}
	require.Len(b.T, b.log(), before)
}

func TestEventGroupProcessor(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	router := b.router()
	processor, err := cqrs.NewEventGroupProcessorWithConfig(router, cqrs.EventGroupProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventGroupProcessorGenerateSubscribeTopicParams) (string, error) {
			return messaging.AllEvents, nil
		},
		SubscriberConstructor: func(params cqrs.EventGroupProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return b.Subscriber(consumertest.Grouped(params.EventGroupName)), nil
		},
		Marshaler: b.marshaler(),
	})
	require.NoError(t, err)
	calls := make(chan call, 10)
	require.NoError(t, processor.AddHandlersGroup("all",
		cqrs.NewGroupEventHandler(func(ctx context.Context, event *consumertest.Deposited) error {
			calls <- call{"mails", event, eventsourced.FromContext(ctx).Position}
			return nil
		}),
		cqrs.NewGroupEventHandler(func(ctx context.Context, event *consumertest.Renamed) error {
			calls <- call{"names", event, eventsourced.FromContext(ctx).Position}
			return nil
		}),
	))
	b.start(router)
	for i := range 3 {
		deposited := b.Record(&consumertest.Deposited{Amount: int64(i)})
		require.Equal(t, call{"mails", &consumertest.Deposited{BaseEvent: base(deposited), Amount: int64(i)}, deposited.Position}, <-calls)
		renamed := b.Record(&consumertest.Renamed{First: "J"})
		require.Equal(t, call{"names", &consumertest.Renamed{BaseEvent: base(renamed), First: "J"}, renamed.Position}, <-calls)
	}
}

func TestMarshaler(t *testing.T) {
	t.Parallel()
	marshaler, err := messaging.NewMarshaler(consumertest.Registry(), messaging.MarshalerConfig{AggregateName: func(eventsourced.Event) string { return "bank.Account" }})
	require.NoError(t, err)
	t.Run("what it makes needs no log to be read", func(t *testing.T) {
		t.Parallel()
		event := &consumertest.Deposited{BaseEvent: eventsourced.BaseEvent{EventAggregateId: "a"}, Amount: 5}
		msg, err := marshaler.Marshal(event)
		require.NoError(t, err)
		require.Equal(t, "Deposited", marshaler.NameFromMessage(msg))
		require.Equal(t, "bank.Account", msg.Metadata[messaging.MetaAggregateName])
		require.NotContains(t, msg.Metadata, messaging.MetaVersion)
		require.NotContains(t, msg.Metadata, messaging.MetaPosition)
		var again consumertest.Deposited
		require.NoError(t, marshaler.Unmarshal(msg, &again))
		require.WithinDuration(t, time.Now(), again.EventTime, time.Minute)
		require.Equal(t, "a", again.AggregateID())
		require.EqualValues(t, 5, again.Amount)
		require.Zero(t, event.EventTime, "the event is not changed")
	})
	t.Run("a message that is no event of the type is refused", func(t *testing.T) {
		t.Parallel()
		marshaled, err := messaging.Marshal(t.Context(), consumertest.Registry(), someEvent())
		require.NoError(t, err)
		require.Len(t, marshaled, 1)
		msg := marshaled[0]
		require.ErrorIs(t, marshaler.Unmarshal(msg, new(consumertest.Renamed)), messaging.ErrMalformed)
		require.ErrorIs(t, marshaler.Unmarshal(message.NewMessage("1", []byte("{}")), new(consumertest.Deposited)), messaging.ErrMalformed)
		msg.Metadata[messaging.MetaName] = "Mystery"
		require.ErrorIs(t, marshaler.Unmarshal(msg, new(consumertest.Deposited)), eventsourced.ErrUnknownEvent)
	})
	t.Run("a handler of what is not registered is noticed", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "Renamed", marshaler.Name(&consumertest.Renamed{}))
		require.PanicsWithValue(t, "messaging.Marshaler: bank.Renamed is no event of the registry", func() { marshaler.Name(consumertest.Renamed{}) })
	})
	_, err = messaging.NewMarshaler(nil, messaging.MarshalerConfig{})
	require.EqualError(t, err, "messaging.NewMarshaler: the registry is nil")
}
