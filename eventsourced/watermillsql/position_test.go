package watermillsql_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/watermillsql"
)

func TestRestartContinues(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(5)
	another := b.grouped()
	another.ConsumerGroup = "another group"
	anotherMessages := b.subscribe(b.subscriber(another), "Deposited")
	first := b.subscriber(b.grouped())
	messages := b.subscribe(first, "Deposited")
	b.ack(messages, events[:3]...)
	b.receive(messages, events[3]) // and the process stops
	require.NoError(t, first.Close())

	second := b.subscriber(b.grouped())
	b.ack(b.subscribe(second, "Deposited"), events[3:]...)
	b.moved("Deposited", events[4])

	b.ack(anotherMessages, events...)
}

// A lease that lies further ahead than leases are long is of a clock that went back.
func TestLeaseOfAClockThatWentBack(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(1)
	b.exec(`INSERT INTO consumers (name, topic, node, lease_until, lease_length)
		VALUES ('g', 'Deposited', 'dead', clock_timestamp() + interval '1 year', interval '1 second')`)
	b.ack(b.subscribe(b.subscriber(b.grouped()), "Deposited"), events...)
}

func TestPositionSetByHand(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(4)
	messages := b.subscribe(b.subscriber(b.grouped()), "Deposited")
	first := b.receive(messages, events[0])
	set := make(chan error, 1)
	go func() {
		_, err := b.pool.Exec(t.Context(), `UPDATE consumers SET position = $1`, int64(events[1].Position))
		set <- err
	}()
	b.waiting()
	first.Ack()
	b.ack(messages, events[1:]...)
	require.NoError(t, await(b, set, "the statement's end"))
	b.ack(messages, events[2:]...)
}

// One is active, the other neither gets a message nor waits for a lock.
func TestTwoSubscribersOfAGroup(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(3)
	active := b.subscriber(b.grouped())
	activeMessages := b.subscribe(active, "Deposited")
	msg := b.receive(activeMessages, events[0])

	config, looks := b.grouped(), newLooks()
	config.BackoffManager = looks
	standby, third := b.subscriber(config), b.subscriber(b.grouped())
	standbyMessages := b.subscribe(standby, "Deposited")
	b.subscribe(third, "Deposited")
	looks.inVain(b)
	require.Zero(t, b.locked())
	require.NoError(t, third.Close(), "Close does not wait for the page of another one")

	msg.Ack()
	b.receive(activeMessages, events[1])
	require.NoError(t, active.Close())
	b.ack(standbyMessages, events[1:]...)
}

// Two subscribers share the events of a log that grows, and none comes twice.
func TestSubscribersTakeTurns(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.adapter = newAdapter(t, watermillsql.Config{PageEvents: 2})
	config, looks := b.grouped(), newLooks()
	config.BackoffManager = looks
	one, two := b.subscribe(b.subscriber(config), "Deposited"), b.subscribe(b.subscriber(config), "Deposited")
	const events = 200
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() { b.appendSome(events / 4) })
	}
	var received []string
	for range events {
		select {
		case msg := <-one:
			received = append(received, msg.UUID)
			msg.Ack()
		case msg := <-two:
			received = append(received, msg.UUID)
			msg.Ack()
		case <-time.After(time.Minute):
			require.Fail(t, "no message")
		}
	}
	writing.Wait()
	require.Equal(t, b.log(), received)
	require.Empty(t, looks.failed, "taking turns is no error")
}

// A Subscriber of package messaging and one of watermill-sql, of the same group.
func TestChangeOfKind(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(4)
	ours, err := messaging.NewSubscriber(b.store, consumer.NewStore(b.pool, consumer.Config{}), messaging.SubscriberConfig{
		Config:        consumer.Config{PollInterval: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)},
		ConsumerGroup: "g",
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ours.Close()) })
	ourMessages := b.subscribe(ours, "Deposited")
	msg := b.receive(ourMessages, events[0])

	config, looks := b.grouped(), newLooks()
	config.BackoffManager = looks
	stock := b.subscriber(config)
	stockMessages := b.subscribe(stock, "Deposited")
	looks.inVain(b) // the other one has the lease
	msg.Ack()
	b.ack(ourMessages, events[1])
	b.moved("Deposited", events[1])
	require.NoError(t, ours.Close())
	stockMessage := b.receive(stockMessages, events[2])

	again, err := messaging.NewSubscriber(b.store, consumer.NewStore(b.pool, consumer.Config{}), messaging.SubscriberConfig{ConsumerGroup: "g"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Close()) })
	againMessages := b.subscribe(again, "Deposited")
	b.waiting()
	stockMessage.Ack()
	b.receive(stockMessages, events[3])
	require.NoError(t, stock.Close())
	b.ack(againMessages, events[3])
}

func TestConnectionLost(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.adapter = newAdapter(t, watermillsql.Config{Unregistered: true})
	messages := b.subscribe(b.subscriber(b.grouped()), "topic")
	const writers, each = 8, 100
	publisher := messaging.NewPublisher(b.store)
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
		if id := msg.Metadata.Get(messaging.MetaEventID); !received[id] {
			received[id] = true
			order = append(order, id)
			if len(order)%150 == 0 {
				require.NoError(t, terminateSessions(t.Context(), b.db.URL, b.application))
			}
		}
		msg.Ack()
	}
	writing.Wait()
	require.Equal(t, b.log(), order, "all of them, in the order of the log")
}

// A page comes again, whole, when the transaction that held it is lost.
func TestConnectionLostInAPage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(3)
	messages := b.subscribe(b.subscriber(b.grouped()), "Deposited")
	b.ack(messages, events[:2]...)
	last := b.receive(messages, events[2])
	require.NoError(t, terminateSessions(t.Context(), b.db.URL, b.application))
	last.Ack()
	b.ack(messages, events...)
	b.moved("Deposited", events[2])
}

// appendSome appends n deposits, concurrently with others.
func (b *bank) appendSome(n int) {
	ctx := context.WithoutCancel(b.t.Context())
	accounts := eventsourced.NewRepository[Account](b.store, "bank.Account", eventsourced.RepositoryConfig{})
	for range n {
		_, err := accounts.Update(ctx, eventsourced.NewEventID().String(), func(a *Account) error {
			return eventsourced.Record(a, &Deposited{Amount: 1})
		})
		if err != nil {
			b.t.Error(err)
		}
	}
}

// log returns the ids of all events, in the order of the log.
func (b *bank) log() (ids []string) {
	b.t.Helper()
	for event, err := range b.store.ReadLog(b.t.Context(), eventsourced.LogQuery{}) {
		require.NoError(b.t, err)
		ids = append(ids, event.ID.String())
	}
	return ids
}
