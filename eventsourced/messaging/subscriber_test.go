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
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

func TestPositionMovesAfterTheAck(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(3)
	messages := b.subscribe(b.subscriber(grouped("g")), messaging.AllEvents)
	before := eventsourced.Position(0)
	for _, event := range events {
		msg := b.receive(messages, event)
		require.Equal(t, before, b.position(messaging.AllEvents))
		require.True(t, msg.Ack())
		before = event.Position
	}
	b.eventually("the last one too", func() bool { return b.position(messaging.AllEvents) == before })
}

func TestNackRedelivers(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(2)
	config := grouped("g")
	config.BackOff, config.MaxBackOff = 10*time.Millisecond, 40*time.Millisecond
	messages := b.subscribe(b.subscriber(config), "Deposited")
	first := b.receive(messages, events[0])
	started, last := time.Now(), first
	for _, wait := range []int{10, 20, 40, 40} {
		nacked := time.Now()
		require.True(t, last.Nack())
		again := b.receive(messages, events[0])
		require.GreaterOrEqual(t, time.Since(nacked), time.Duration(wait)*time.Millisecond, "it comes later and later")
		require.NotSame(t, last, again)
		require.True(t, first.Equals(again))
		last = again
	}
	require.Less(t, time.Since(started), 10*time.Second)
	require.Zero(t, b.position("Deposited"))
	require.True(t, last.Ack())
	b.receive(messages, events[1]).Ack()
}

func TestMessageContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	b := newBank(t)
	event := b.record(&Deposited{Amount: 5})
	subscriber := b.subscriber(grouped("g"))
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	messages, err := subscriber.Subscribe(ctx, "Deposited")
	require.NoError(t, err)
	nacked := b.receive(messages, event)
	require.NoError(t, nacked.Context().Err())
	require.Equal(t, "value", nacked.Context().Value(key{}))
	require.Equal(t, &event, eventsourced.FromContext(nacked.Context()))
	nacked.Nack()
	b.wait(nacked.Context().Done(), "the context of a nacked message is cancelled")
	acked := b.receive(messages, event)
	acked.Ack()
	b.wait(acked.Context().Done(), "the context of an acked message is cancelled")
	cancel()
	b.eventually("the channel is closed when the context ends", func() bool { return b.closed(messages) })
}

func TestCloseInMidMessage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	event := b.record(&Deposited{Amount: 1})
	subscriber := b.subscriber(grouped("g"))
	messages, other := b.subscribe(subscriber, "Deposited"), b.subscribe(subscriber, "Renamed")
	msg := b.receive(messages, event)
	var closing sync.WaitGroup
	for range 3 {
		closing.Go(func() {
			if err := subscriber.Close(); err != nil || !b.closed(messages) || !b.closed(other) {
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
	require.Zero(t, b.position("Deposited"))
	b.receive(b.subscribe(b.subscriber(grouped("g")), "Deposited"), event).Ack()
}

func TestCloseLetsAMessageFinish(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(2)
	config := grouped("g")
	config.DrainTimeout = time.Hour
	subscriber := b.subscriber(config)
	messages := b.subscribe(subscriber, "Deposited")
	msg := b.receive(messages, events[0])
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if err := subscriber.Close(); err != nil {
			t.Error(err)
		}
	}()
	b.eventually("it closes", func() bool {
		_, err := subscriber.Subscribe(t.Context(), "Renamed")
		return errors.Is(err, messaging.ErrClosed)
	})
	require.NoError(t, msg.Context().Err())
	require.True(t, msg.Ack())
	b.wait(closed, "Close returns")
	require.True(t, b.closed(messages))
	require.Equal(t, events[0].Position, b.position("Deposited"))
}

func TestRestartResumesAfterTheLastAck(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(100) // several pages
	config := grouped("g")
	config.PollInterval = time.Hour // so long that a lease must be given back
	for restart := 0; restart < len(events); restart += 10 {
		subscriber := b.subscriber(config)
		messages := b.subscribe(subscriber, messaging.AllEvents)
		for _, event := range events[restart : restart+10] {
			b.receive(messages, event).Ack()
		}
		if restart+10 < len(events) {
			b.receive(messages, events[restart+10]) // neither acked nor nacked
		}
		require.NoError(t, subscriber.Close())
	}
}

func TestSubscribersOfAGroupShare(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(60)
	subscribers := []*messaging.Subscriber{b.subscriber(grouped("g")), b.subscriber(grouped("g"))}
	channels := []<-chan *message.Message{b.subscribe(subscribers[0], "Deposited"), b.subscribe(subscribers[1], "Deposited")}
	other := b.subscribe(b.subscriber(grouped("other")), "Deposited")
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
		b.receive(other, event).Ack() // another group has a position of its own
	}
}

func TestZombie(t *testing.T) {
	t.Parallel()
	for name, acksEarly := range map[string]bool{"acks while it is cut off": true, "acks when it is back": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.deposit(3)
			network := &cutOff{PositionStore: b.positions}
			config := grouped("g")
			config.DrainTimeout = time.Hour
			zombie := b.subscribe(b.subscriberOver(network, config), "Deposited")
			old := b.receive(zombie, events[0])
			network.cut.Store(true)
			if acksEarly {
				old.Ack()
			}
			heir := b.subscribe(b.subscriber(grouped("g")), "Deposited")
			b.receive(heir, events[0]).Ack() // when the lease has ended
			b.receive(heir, events[1]).Ack()
			last := b.receive(heir, events[2])
			network.cut.Store(false)
			b.wait(old.Context().Done(), "the zombie's message is cancelled")
			old.Ack()
			require.Equal(t, events[1].Position, b.position("Deposited"), "the position does not go back")
			last.Ack()
			b.eventually("the heir goes on", func() bool { return b.position("Deposited") >= events[2].Position })
			event := b.record(&Deposited{Amount: 1})
			b.receive(heir, event).Ack()
			require.False(t, b.closed(zombie), "the zombie stands by")
		})
	}
}

func TestAckDuringAnOutage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(2)
	network := &cutOff{PositionStore: b.positions}
	config := grouped("g")
	logger, failed := logSignal("position not saved")
	config.Logger = logger
	messages := b.subscribe(b.subscriberOver(network, config), "Deposited")
	msg := b.receive(messages, events[0])
	network.cut.Store(true)
	msg.Ack()
	b.wait(failed, "the position can't be saved")
	network.cut.Store(false)
	b.receive(messages, events[1]).Ack() // what was acked does not come again
}

func TestAPositionSetByHand(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(3)
	messages := b.subscribe(b.subscriber(grouped("g")), "Deposited")
	for _, event := range events[:2] {
		b.receive(messages, event).Ack()
	}
	last := b.receive(messages, events[2])
	b.exec(`UPDATE consumers SET position = 0`)
	last.Ack()
	for _, event := range events {
		b.receive(messages, event).Ack()
	}
}

func TestPositionOfARareTopic(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(3)
	messages := b.subscribe(b.subscriber(grouped("g")), "Renamed")
	b.eventually("the position goes to the head", func() bool { return b.position("Renamed") == events[2].Position })
	b.receive(messages, b.record(&Renamed{First: "A", Last: "B"})).Ack()
}

// The poll interval makes the subscription compare its position with the head all
// the time, while events of its topic and others are appended.
func TestNothingIsPassedOver(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := grouped("")
	config.PollInterval = time.Millisecond
	messages := b.subscribe(b.subscriberOver(nil, config), "Renamed")
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
				_, err := b.store.Append(t.Context(), eventsourced.Stream{AggregateName: "a", AggregateID: fmt.Sprint(w)}, eventsourced.Any, []eventsourced.EventData{event})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range count {
		msg := b.next(messages)
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
			event := b.recordOld(payload)
			config := grouped("g")
			logger, refused := logSignal("consumer waits before it goes on")
			config.Logger = logger
			messages := b.subscribe(b.subscriber(config), messaging.AllEvents)
			b.wait(refused, "the error is logged")
			require.Zero(t, b.position(messaging.AllEvents), "the event is not passed over")
			b.exec(`UPDATE events SET payload = '{"Name": "Jo"}'`)
			b.receive(messages, event).Ack()
		})
	}
}

func TestUpcast(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	event := b.recordOld(`{"Name": "Jo"}`)
	msg := b.receive(b.subscribe(b.subscriber(grouped("g")), "Renamed"), event)
	require.JSONEq(t, `{"First": "J", "Last": "o"}`, string(msg.Payload))
	require.Equal(t, "2", msg.Metadata.Get(messaging.MetaSchemaVersion))
	msg.Ack()
}

func TestConnectionLost(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := grouped("g")
	config.Unregistered = true
	subscriber, publisher := b.subscriber(config), messaging.NewPublisher(b.store)
	messages := b.subscribe(subscriber, "topic")
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
		msg := b.next(messages)
		if !received[msg.UUID] {
			received[msg.UUID] = true
			order = append(order, msg.UUID)
			if len(order)%150 == 0 {
				require.NoError(t, terminateSessions(t.Context(), b.db.URL, b.application))
			}
		}
		msg.Ack()
	}
	writing.Wait()
	var log []string
	for event, err := range b.store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
		require.NoError(t, err)
		log = append(log, event.Metadata["watermill_uuid"])
	}
	require.Equal(t, log, order, "all of them, in the order of the log")
}

func TestSubscriberConfig(t *testing.T) {
	t.Parallel()
	_, err := messaging.NewSubscriber(nil, nil, messaging.SubscriberConfig{
		ConsumerGroup: "g", PollInterval: -1, BackOff: -1, MaxBackOff: -1, DrainTimeout: -1,
	})
	require.EqualError(t, err, `messaging.NewSubscriber: the log is nil
messaging.SubscriberConfig: PollInterval is negative
messaging.SubscriberConfig: BackOff is negative
messaging.SubscriberConfig: MaxBackOff is negative
messaging.SubscriberConfig: DrainTimeout is negative
messaging.SubscriberConfig: ConsumerGroup needs a PositionStore`)
}
