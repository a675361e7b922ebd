package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/readview"
)

const (
	relayEvents  = 20_000
	stockRelayed = 2_000 // for the contender that awaits each confirm
	remoteEvents = 100_000
	liveEvents   = 5_000
)

var silent = slog.New(slog.DiscardHandler)

// broker is the RabbitMQ of all figures that need one.
var broker struct {
	start  sync.Once
	server *devservices.RabbitMQ
	err    error
}

func startRabbitMQ(ctx context.Context) (string, error) {
	broker.start.Do(func() {
		config := devservices.RabbitMQConfig{Log: os.Stderr}
		broker.server, broker.err = devservices.StartRabbitMQ(ctx, config)
		if errors.Is(broker.err, devservices.ErrNotInstalled) {
			if broker.err = devservices.InstallRabbitMQ(ctx, os.Stderr); broker.err == nil {
				broker.server, broker.err = devservices.StartRabbitMQ(ctx, config)
			}
		}
	})
	if broker.err != nil {
		return "", broker.err
	}
	return broker.server.URL(), nil
}

func closeBroker() error {
	if broker.server == nil {
		return nil
	}
	return broker.server.Close()
}

// prepareRelay has messages go into one queue, which is durable.
func prepareRelay(ctx context.Context, e *environment) ([]contender, error) {
	if err := migrate.Run(ctx, e.pool, migrate.Config{}, relay.Migrations()); err != nil {
		return nil, err
	}
	if err := e.fill(ctx, relayEvents, 1); err != nil {
		return nil, err
	}
	url, err := startRabbitMQ(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	q := &relayQueue{conn: conn, topic: e.name}
	if err := q.declare(); err != nil {
		return nil, err
	}
	messages, err := e.messages(ctx)
	if err != nil {
		return nil, err
	}
	purged := func(run func(context.Context) (float64, error)) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			value, err := run(ctx)
			return value, errors.Join(err, q.purge())
		}
	}
	return []contender{
		{ours, purged(func(ctx context.Context) (float64, error) { return e.relay(ctx, url, q.topic) })},
		{bareClient, purged(func(ctx context.Context) (float64, error) { return q.publish(ctx, messages) })},
		{stockPublisher, purged(func(context.Context) (float64, error) { return q.stock(url, messages[:stockRelayed]) })},
	}, nil
}

// messages returns what the relay publishes.
func (e *environment) messages(ctx context.Context) (messages []*message.Message, err error) {
	for recorded, err := range e.store.ReadLog(ctx, eventsourced.LogQuery{}) {
		if err != nil {
			return nil, err
		}
		marshaled, err := messaging.Marshal(ctx, e.store.Registry(), recorded)
		if err != nil {
			return nil, err
		}
		messages = append(messages, marshaled...)
	}
	return messages, nil
}

// relay publishes the log from its beginning.
func (e *environment) relay(ctx context.Context, url, topic string) (float64, error) {
	if _, err := e.pool.Exec(ctx, `TRUNCATE consumers, relay_topics`); err != nil {
		return 0, err
	}
	head, err := e.last(ctx)
	if err != nil {
		return 0, err
	}
	return rate(relayEvents, func() error {
		return e.withRelay(ctx, url, relay.Config{Topic: func(eventsourced.Recorded) string { return topic }}, func(relay *relay.Relay) error {
			return until(ctx, func() (bool, error) {
				status, err := relay.Status(ctx)
				return status.Position >= head, err
			})
		})
	})
}

func (e *environment) withRelay(ctx context.Context, url string, config relay.Config, work func(*relay.Relay) error) error {
	publisher, err := amqpbus.NewPublisher(url, amqpbus.PublisherConfig{Logger: silent})
	if err != nil {
		return err
	}
	config.Logger = silent
	it, err := relay.New(e.store, e.pool, publisher, config)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- it.Run(running) }()
	err = work(it)
	stop()
	return errors.Join(err, <-ran, publisher.Close())
}

// until waits for a condition, with a look every few milliseconds.
func until(ctx context.Context, condition func() (bool, error)) error {
	for {
		if done, err := condition(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// relayQueue is a durable queue bound to an exchange.
type relayQueue struct {
	conn  *amqp.Connection
	topic string
}

func (q *relayQueue) declare() error {
	channel, err := q.conn.Channel()
	if err != nil {
		return err
	}
	if err := channel.ExchangeDeclare(q.topic, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare(q.topic, true, false, false, false, nil); err != nil {
		return err
	}
	return errors.Join(channel.QueueBind(q.topic, "#", q.topic, false, nil), channel.Close())
}

func (q *relayQueue) purge() error {
	channel, err := q.conn.Channel()
	if err != nil {
		return err
	}
	_, err = channel.QueuePurge(q.topic, false)
	return errors.Join(err, channel.Close())
}

// publish is what one would write by hand: messages that are ready, in groups of
// the relay's size, persistent, each group confirmed before the next.
func (q *relayQueue) publish(ctx context.Context, messages []*message.Message) (float64, error) {
	channel, err := q.conn.Channel()
	if err != nil {
		return 0, err
	}
	if err := channel.Confirm(false); err != nil {
		return 0, err
	}
	value, err := rate(len(messages), func() error {
		for len(messages) > 0 {
			n := min(len(messages), relay.DefaultGroupEvents)
			if err := publishGroup(ctx, channel, q.topic, messages[:n]); err != nil {
				return err
			}
			messages = messages[n:]
		}
		return nil
	})
	return value, errors.Join(err, channel.Close())
}

func publishGroup(ctx context.Context, channel *amqp.Channel, topic string, messages []*message.Message) error {
	confirms := make([]*amqp.DeferredConfirmation, len(messages))
	for i, msg := range messages {
		publishing, err := wamqp.DefaultMarshaler{}.Marshal(msg)
		if err != nil {
			return err
		}
		if confirms[i], err = channel.PublishWithDeferredConfirmWithContext(ctx, topic, "Deposited", false, false, publishing); err != nil {
			return err
		}
	}
	for _, confirm := range confirms {
		if acked, err := confirm.WaitContext(ctx); err != nil || !acked {
			return fmt.Errorf("not confirmed: %w", err)
		}
	}
	return nil
}

// stock publishes with watermill-amqp's own Publisher, with confirms.
func (q *relayQueue) stock(url string, messages []*message.Message) (float64, error) {
	config := wamqp.NewDurablePubSubConfig(url, nil)
	config.Exchange.Type = amqp.ExchangeTopic
	config.Publish.ConfirmDelivery = true
	publisher, err := wamqp.NewPublisher(config, watermill.NopLogger{})
	if err != nil {
		return 0, err
	}
	value, err := rate(len(messages), func() error { return publisher.Publish(q.topic, messages...) })
	return value, errors.Join(err, publisher.Close())
}

// prepareRemote compares how a remote projection gets its history with how it gets
// live messages.
func prepareRemote(ctx context.Context, e *environment) ([]contender, error) {
	if err := migrate.Run(ctx, e.pool, migrate.Config{}, relay.Migrations()); err != nil {
		return nil, err
	}
	if err := e.fill(ctx, remoteEvents, 1); err != nil {
		return nil, err
	}
	url, err := startRabbitMQ(ctx)
	if err != nil {
		return nil, err
	}
	classic := amqpbus.SubscriberConfig{QueueType: amqpbus.Classic}
	return []contender{
		{inPages, func(ctx context.Context) (float64, error) { return e.remote(ctx, url, remoteEvents, true, classic) }},
		{live, func(ctx context.Context) (float64, error) { return e.remote(ctx, url, liveEvents, false, classic) }},
	}, nil
}

// prepareAhead compares live messages of a quorum queue that are sent ahead with those that are
// sent one by one, for each of which the queue has to note the last Ack first.
func prepareAhead(ctx context.Context, e *environment) ([]contender, error) {
	if err := migrate.Run(ctx, e.pool, migrate.Config{}, relay.Migrations()); err != nil {
		return nil, err
	}
	if err := e.fill(ctx, liveEvents, 1); err != nil {
		return nil, err
	}
	url, err := startRabbitMQ(ctx)
	if err != nil {
		return nil, err
	}
	run := func(prefetch int) func(context.Context) (float64, error) {
		config := amqpbus.SubscriberConfig{QueueType: amqpbus.Quorum, Prefetch: prefetch}
		return func(ctx context.Context) (float64, error) { return e.remote(ctx, url, liveEvents, false, config) }
	}
	return []contender{{ahead, run(100)}, {live, run(1)}}, nil
}

// remote lets a projection apply n events over the broker. With history the relay
// has published everything before anybody listened; otherwise all messages wait in
// the queue when the projection starts.
func (e *environment) remote(ctx context.Context, url string, n int, history bool, queue amqpbus.SubscriberConfig) (float64, error) {
	if err := e.clear(ctx, 0); err != nil {
		return 0, err
	}
	if _, err := e.pool.Exec(ctx, `TRUNCATE consumers, relay_topics`); err != nil {
		return 0, err
	}
	var last eventsourced.Position
	if err := e.pool.QueryRow(ctx, `SELECT tstamp FROM events ORDER BY tstamp LIMIT 1 OFFSET $1`, n-1).Scan((*int64)(&last)); err != nil {
		return 0, err
	}
	topic := fmt.Sprintf("%s.%d", e.name, time.Now().UnixNano())
	queue.Group, queue.Logger = "bench", silent
	subscriber, err := amqpbus.NewSubscriber(url, queue)
	if err != nil {
		return 0, err
	}
	requests, err := amqpbus.NewSubscriber(url, amqpbus.SubscriberConfig{Group: "relay", Logger: silent})
	if err != nil {
		return 0, err
	}
	if err := errors.Join(subscriber.SubscribeInitialize(topic), requests.SubscribeInitialize(topic+".requests")); err != nil {
		return 0, err
	}
	config := relay.Config{
		Topic:        func(eventsourced.Recorded) string { return topic },
		Requests:     requests,
		RequestTopic: topic + ".requests",
		StartAtHead:  history,
	}
	if !history { // only so many, and no more than that
		config.Topic = func(event eventsourced.Recorded) string {
			if event.Position > last {
				return ""
			}
			return topic
		}
	}
	var value float64
	err = e.withRelay(ctx, url, config, func(relay *relay.Relay) error {
		err := until(ctx, func() (bool, error) {
			status, err := relay.Status(ctx)
			return status.Position >= last, err
		})
		if err != nil {
			return err
		}
		value, err = e.receive(ctx, url, topic, subscriber, last, n, history)
		return err
	})
	return value, errors.Join(err, requests.Close())
}

// receive measures from the start of the projection to its last event.
func (e *environment) receive(ctx context.Context, url, topic string, subscriber *amqpbus.Subscriber, last eventsourced.Position, n int, history bool) (value float64, err error) {
	publisher, err := amqpbus.NewPublisher(url, amqpbus.PublisherConfig{Logger: silent})
	if err != nil {
		return 0, err
	}
	router := message.NewDefaultRouter(watermill.NopLogger{})
	manager, err := readview.NewManager(router, nil, e.pool, readview.Config{Config: consumer.Config{Logger: silent}})
	if err != nil {
		return 0, err
	}
	feed := readview.Feed{Registry: e.store.Registry(), Subscriber: subscriber, Topic: topic}
	if history {
		feed.Requests, feed.RequestTopic, feed.ReplyTo = publisher, topic+".requests", amqpbus.QueueTopic(subscriber.Queue(topic))
	}
	if err := manager.AddRemote(balances, feed); err != nil {
		return 0, err
	}
	ran := make(chan error, 1)
	value, err = rate(n, func() error {
		go func() { ran <- router.Run(ctx) }()
		<-router.Running()
		return manager.WaitFor(ctx, last)
	})
	return value, errors.Join(err, router.Close(), <-ran, publisher.Close())
}
