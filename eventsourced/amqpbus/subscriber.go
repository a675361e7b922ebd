package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Subscriber receives from RabbitMQ, at least once and, unless
// [SubscriberConfig.Competing] is set, one message after the other in order. It is
// safe for concurrent use. Each subscription has a connection of its own.
type Subscriber struct {
	url    string
	host   string
	config SubscriberConfig
	dead   *Publisher // nil without a dead-letter queue

	mu            sync.Mutex
	closed        bool
	subscriptions map[int]*subscription
	next          int
	running       sync.WaitGroup
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// NewSubscriber returns a subscriber to the broker of url, which is of the form
// amqp://user:password@host:port/vhost, or amqps. It does not connect yet. It
// returns [ErrURL].
func NewSubscriber(url string, config SubscriberConfig) (*Subscriber, error) {
	host, err := checkURL(url)
	if err = errors.Join(err, config.validate()); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	s := &Subscriber{url: url, host: host, config: config, subscriptions: map[int]*subscription{}}
	if config.Attempts > 0 {
		s.dead, err = NewPublisher(url, PublisherConfig{TLS: config.TLS, Logger: config.Logger})
	}
	return s, err
}

// Queue returns the name of the queue for a topic: "topic.group".
func (s *Subscriber) Queue(topic string) string { return topic + "." + s.config.Group }

// DeadLetterQueue returns the name of the queue for what could not be handled, see
// [SubscriberConfig.Attempts].
func (s *Subscriber) DeadLetterQueue(topic string) string { return s.Queue(topic) + ".dead" }

// Subscribe returns the messages of a topic, from the moment on at which the queue
// was declared first. Each comes when the one before was acked, and again, as a new
// message, after a Nack and a back-off. The channel is closed when ctx ends or Close
// is called. The context of a message outlives ctx by
// [SubscriberConfig.DrainTimeout], while it is being handled.
//
// It returns [ErrClosed] after Close and [ErrTooLong], and fails for no other reason:
// a broker that is down is waited for, and so is a queue of another kind: Problem
// tells.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, ErrClosed)
	}
	if len(s.DeadLetterQueue(topic)) > maxName {
		return nil, fmt.Errorf("subscribe to %.40s...: the name of the queue is %w", topic, ErrTooLong)
	}
	ctx, cancel := context.WithCancel(ctx)
	sub := &subscription{
		topic: topic, queue: s.Queue(topic), cancel: cancel, out: make(chan *message.Message),
		problem: &consumer.ProblemError{Err: fmt.Errorf("receive from %s at %s: %w", s.Queue(topic), s.host, errConnecting), Since: time.Now()},
	}
	id := s.next
	s.next++
	s.subscriptions[id] = sub
	s.running.Go(func() {
		defer close(sub.out)
		defer s.forget(id)
		s.run(ctx, sub)
	})
	return sub.out, nil
}

// SubscribeInitialize declares the queue of a topic, so that nothing is lost of what
// is published from now on. Subscribe does it as well. It fails when the broker does
// not answer, and when there is a queue or an exchange of the name with other
// properties.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	conn, err := amqp.DialConfig(s.url, connection("declare "+s.Queue(topic), s.config.TLS, nil))
	if err != nil {
		return fmt.Errorf("declare %s at %s: %w", s.Queue(topic), s.host, err)
	}
	defer func() { _ = conn.Close() }()
	channel, err := conn.Channel()
	if err == nil {
		err = s.declare(channel, topic)
	}
	if err != nil {
		return fmt.Errorf("declare %s at %s: %w", s.Queue(topic), s.host, err)
	}
	return nil
}

// Close ends all subscriptions and returns when their channels are closed. It waits
// for messages that are being handled, see [SubscriberConfig.DrainTimeout]. It may be
// called again, and concurrently.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, sub := range s.subscriptions {
		sub.cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
	if s.dead != nil {
		return s.dead.Close()
	}
	return nil
}

func (s *Subscriber) forget(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[id].cancel()
	delete(s.subscriptions, id)
}

func (s *Subscriber) declare(channel *amqp.Channel, topic string) error {
	if err := channel.ExchangeDeclare(topic, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	arguments := amqp.Table{"x-queue-type": string(s.config.QueueType)}
	if s.config.Attempts > 0 {
		if _, err := channel.QueueDeclare(s.DeadLetterQueue(topic), true, false, false, false, arguments); err != nil {
			return err
		}
	}
	if !s.config.Competing {
		arguments["x-single-active-consumer"] = true
	}
	queue := s.Queue(topic)
	if _, err := channel.QueueDeclare(queue, true, false, false, false, arguments); err != nil {
		return err
	}
	for _, key := range s.config.Bindings {
		if err := channel.QueueBind(queue, key, topic, false, nil); err != nil {
			return err
		}
	}
	return nil
}
