package messaging_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestPositionMovesAfterTheAck(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(3)
	messages := b.Subscribe(b.Subscriber(consumertest.Grouped("g")), messaging.AllEvents)
	before := eventsourced.Position(0)
	for _, event := range events {
		msg := b.Receive(messages, event)
		require.Equal(t, before, b.Position(messaging.AllEvents))
		require.True(t, msg.Ack())
		before = event.Position
	}
	b.Eventually("the last one too", func() bool { return b.Position(messaging.AllEvents) == before })
}

func TestNackRedelivers(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(2)
	config := consumertest.Grouped("g")
	config.BackOff, config.MaxBackOff = 10*time.Millisecond, 40*time.Millisecond
	messages := b.Subscribe(b.Subscriber(config), "Deposited")
	first := b.Receive(messages, events[0])
	started, last := time.Now(), first
	for _, wait := range []int{10, 20, 40, 40} {
		nacked := time.Now()
		require.True(t, last.Nack())
		again := b.Receive(messages, events[0])
		require.GreaterOrEqual(t, time.Since(nacked), time.Duration(wait)*time.Millisecond, "it comes later and later")
		require.NotSame(t, last, again)
		require.True(t, first.Equals(again))
		last = again
	}
	require.Less(t, time.Since(started), 10*time.Second)
	require.Zero(t, b.Position("Deposited"))
	require.True(t, last.Ack())
	b.Receive(messages, events[1]).Ack()
}

func TestMessageContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	b := newBank(t)
	event := b.Record(&consumertest.Deposited{Amount: 5})
	subscriber := b.Subscriber(consumertest.Grouped("g"))
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	messages, err := subscriber.Subscribe(ctx, "Deposited")
	require.NoError(t, err)
	nacked := b.Receive(messages, event)
	require.NoError(t, nacked.Context().Err())
	require.Equal(t, "value", nacked.Context().Value(key{}))
	require.Equal(t, &event, eventsourced.FromContext(nacked.Context()))
	nacked.Nack()
	b.Wait(nacked.Context().Done(), "the context of a nacked message is cancelled")
	acked := b.Receive(messages, event)
	acked.Ack()
	b.Wait(acked.Context().Done(), "the context of an acked message is cancelled")
	cancel()
	b.Eventually("the channel is closed when the context ends", func() bool { return b.Closed(messages) })
}

func TestCloseInMidMessage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	event := b.Record(&consumertest.Deposited{Amount: 1})
	subscriber := b.Subscriber(consumertest.Grouped("g"))
	messages, other := b.Subscribe(subscriber, "Deposited"), b.Subscribe(subscriber, "Renamed")
	msg := b.Receive(messages, event)
	var closing sync.WaitGroup
	for range 3 {
		closing.Go(func() {
			if err := subscriber.Close(); err != nil || !b.Closed(messages) || !b.Closed(other) {
				t.Error("not closed", err)
			}
		})
	}
	closing.Wait()
	require.Error(t, msg.Context().Err(), "the message is given up")
	require.True(t, msg.Ack())
	require.NoError(t, subscriber.Close())
	_, err := subscriber.Subscribe(t.Context(), "Deposited")
	require.ErrorIs(t, err, messaging.ErrClosed)
	require.EqualError(t, err, "subscribe to Deposited: closed")
	require.Zero(t, b.Position("Deposited"))
	b.Receive(b.Subscribe(b.Subscriber(consumertest.Grouped("g")), "Deposited"), event).Ack()
}

func TestCloseLetsAMessageFinish(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(2)
	config := consumertest.Grouped("g")
	config.DrainTimeout = time.Hour
	subscriber := b.Subscriber(config)
	messages := b.Subscribe(subscriber, "Deposited")
	msg := b.Receive(messages, events[0])
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if err := subscriber.Close(); err != nil {
			t.Error(err)
		}
	}()
	b.Eventually("it closes", func() bool {
		_, err := subscriber.Subscribe(t.Context(), "Renamed")
		return errors.Is(err, messaging.ErrClosed)
	})
	require.NoError(t, msg.Context().Err())
	require.True(t, msg.Ack())
	b.Wait(closed, "Close returns")
	require.True(t, b.Closed(messages))
	require.Equal(t, events[0].Position, b.Position("Deposited"))
}

func TestRestartResumesAfterTheLastAck(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(100) // several pages
	config := consumertest.Grouped("g")
	config.PollInterval = time.Hour // so long that a lease must be given back
	for restart := 0; restart < len(events); restart += 10 {
		subscriber := b.Subscriber(config)
		messages := b.Subscribe(subscriber, messaging.AllEvents)
		for _, event := range events[restart : restart+10] {
			b.Receive(messages, event).Ack()
		}
		if restart+10 < len(events) {
			b.Receive(messages, events[restart+10]) // neither acked nor nacked
		}
		require.NoError(t, subscriber.Close())
	}
}

func TestSubscribersOfAGroupShare(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(60)
	config := consumertest.Grouped("g")
	config.PollInterval = 2 * time.Second // a lease that a busy machine keeps
	subscribers := []*messaging.Subscriber{b.Subscriber(config), b.Subscriber(config)}
	channels := []<-chan *message.Message{b.Subscribe(subscribers[0], "Deposited"), b.Subscribe(subscribers[1], "Deposited")}
	other := b.Subscribe(b.Subscriber(consumertest.Grouped("other")), "Deposited")
	active := -1
	receive := func(event eventsourced.Recorded) (from int) {
		select {
		case msg := <-channels[0]:
			require.Equal(t, event.ID.String(), msg.UUID)
			require.True(t, msg.Ack())
			return 0
		case msg := <-channels[1]:
			require.Equal(t, event.ID.String(), msg.UUID)
			require.True(t, msg.Ack())
			return 1
		case <-time.After(time.Minute):
			require.Fail(t, "no message")
			return -1
		}
	}
	for _, event := range events[:30] {
		from := receive(event)
		require.True(t, active == -1 || active == from, "one is active, the other one stands by")
		active = from
	}
	require.NoError(t, subscribers[active].Close())
	channels[active] = nil
	for _, event := range events[30:] {
		require.Equal(t, 1-active, receive(event), "the other one takes over")
	}
	for _, event := range events {
		b.Receive(other, event).Ack() // another group has a position of its own
	}
}

func TestZombie(t *testing.T) {
	t.Parallel()
	for name, acksEarly := range map[string]bool{"acks while it is cut off": true, "acks when it is back": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.Deposit(3)
			network := &consumertest.CutOff{LeaseStore: b.Consumers}
			config := consumertest.Grouped("g")
			config.DrainTimeout = time.Hour
			zombie := b.Subscribe(b.SubscriberOver(network, config), "Deposited")
			old := b.Receive(zombie, events[0])
			network.Cut.Store(true)
			if acksEarly {
				old.Ack()
			}
			heir := b.Subscribe(b.Subscriber(consumertest.Grouped("g")), "Deposited")
			b.Receive(heir, events[0]).Ack() // when the lease has ended
			b.Receive(heir, events[1]).Ack()
			last := b.Receive(heir, events[2])
			network.Cut.Store(false)
			b.Wait(old.Context().Done(), "the zombie's message is cancelled")
			old.Ack()
			require.Equal(t, events[1].Position, b.Position("Deposited"), "the position does not go back")
			last.Ack()
			b.Eventually("the heir goes on", func() bool { return b.Position("Deposited") >= events[2].Position })
			event := b.Record(&consumertest.Deposited{Amount: 1})
			b.Receive(heir, event).Ack()
			require.False(t, b.Closed(zombie), "the zombie stands by")
		})
	}
}

func TestAckDuringAnOutage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(2)
	network := &consumertest.CutOff{LeaseStore: b.Consumers}
	config := consumertest.Grouped("g")
	logger, failed := consumertest.LogSignal("position not saved")
	config.Logger = logger
	messages := b.Subscribe(b.SubscriberOver(network, config), "Deposited")
	msg := b.Receive(messages, events[0])
	network.Cut.Store(true)
	msg.Ack()
	b.Wait(failed, "the position can't be saved")
	network.Cut.Store(false)
	b.Receive(messages, events[1]).Ack() // what was acked does not come again
}

func TestAPositionSetByHand(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(3)
	messages := b.Subscribe(b.Subscriber(consumertest.Grouped("g")), "Deposited")
	for _, event := range events[:2] {
		b.Receive(messages, event).Ack()
	}
	last := b.Receive(messages, events[2])
	b.Exec(`UPDATE consumers SET position = 0`)
	last.Ack()
	for _, event := range events {
		b.Receive(messages, event).Ack()
	}
}

func TestPositionOfARareTopic(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(3)
	messages := b.Subscribe(b.Subscriber(consumertest.Grouped("g")), "Renamed")
	b.Eventually("the position goes to the head", func() bool { return b.Position("Renamed") == events[2].Position })
	b.Receive(messages, b.Record(&consumertest.Renamed{First: "A", Last: "B"})).Ack()
}

// The poll interval makes the subscription compare its position with the head all
// the time, while events of its topic and others are appended.
func TestNothingIsPassedOver(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := consumertest.Grouped("")
	config.PollInterval = time.Millisecond
	messages := b.Subscribe(b.SubscriberOver(nil, config), "Renamed")
	const count = 300
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := range count {
				name := "Deposited"
				if w == 0 {
					name = "Renamed"
				}
				event := eventsourced.EventData{ID: eventsourced.NewEventID(), Name: name, SchemaVersion: 2, Time: time.Now(), Payload: fmt.Appendf(nil, "%d", i)}
				_, err := b.Store.Append(t.Context(), eventsourced.Stream{AggregateName: "a", AggregateID: fmt.Sprint(w)}, eventsourced.Any, []eventsourced.EventData{event})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range count {
		msg := b.Next(messages)
		require.Equal(t, fmt.Sprint(i), string(msg.Payload))
		msg.Ack()
	}
	writers.Wait()
}

func TestUndecodableEvent(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{"an upcaster's error": `{"Name": 1}`, "an upcaster's panic": `{"Name": "panic"}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			event := b.RecordOld(payload)
			config := consumertest.Grouped("g")
			logger, refused := consumertest.LogSignal("consumer waits before it goes on")
			config.Logger = logger
			messages := b.Subscribe(b.Subscriber(config), messaging.AllEvents)
			b.Wait(refused, "the error is logged")
			require.Zero(t, b.Position(messaging.AllEvents), "the event is not passed over")
			b.Exec(`UPDATE events SET payload = '{"Name": "Jo"}'`)
			b.Receive(messages, event).Ack()
		})
	}
}

func TestUpcast(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	event := b.RecordOld(`{"Name": "Jo"}`)
	msg := b.Receive(b.Subscribe(b.Subscriber(consumertest.Grouped("g")), "Renamed"), event)
	require.JSONEq(t, `{"First": "J", "Last": "o"}`, string(msg.Payload))
	require.Equal(t, "2", msg.Metadata.Get(messaging.MetaSchemaVersion))
	msg.Ack()
}

func TestConnectionLost(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := consumertest.Grouped("g")
	config.Unregistered = true
	subscriber, publisher := b.Subscriber(config), messaging.NewPublisher(b.Store)
	messages := b.Subscribe(subscriber, "topic")
	const writers, each = 8, 100
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				msg := message.NewMessage(eventsourced.NewEventID().String(), []byte("x"))
				for publisher.Publish("topic", msg) != nil && t.Context().Err() == nil {
				}
			}
		})
	}
	received := map[string]bool{}
	var order []string
	for len(order) < writers*each {
		msg := b.Next(messages)
		if !received[msg.UUID] {
			received[msg.UUID] = true
			order = append(order, msg.UUID)
			if len(order)%150 == 0 {
				require.NoError(t, terminateSessions(t.Context(), b.DB.URL, b.Application))
			}
		}
		msg.Ack()
	}
	writing.Wait()
	var log []string
	for event, err := range b.Store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
		require.NoError(t, err)
		log = append(log, event.Metadata["watermill_uuid"])
	}
	require.Equal(t, log, order, "all of them, in the order of the log")
}

func TestSubscriberConfig(t *testing.T) {
	t.Parallel()
	_, err := messaging.NewSubscriber(nil, nil, messaging.SubscriberConfig{
		ConsumerGroup: "g", Config: consumer.Config{PollInterval: -1, BackOff: -1, MaxBackOff: -1, DrainTimeout: -1},
	})
	require.EqualError(t, err, `messaging.NewSubscriber: the log is nil
messaging.SubscriberConfig: PollInterval is negative
messaging.SubscriberConfig: BackOff is negative
messaging.SubscriberConfig: MaxBackOff is negative
messaging.SubscriberConfig: DrainTimeout is negative
messaging.SubscriberConfig: ConsumerGroup needs a consumer.LeaseStore`)
}
