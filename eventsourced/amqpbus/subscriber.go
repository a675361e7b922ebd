package amqpbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Subscriber receives from RabbitMQ, at least once and, unless
// [SubscriberConfig.Competing] is set, one message after the other in order. It is
// safe for concurrent use. Each subscription has a connection of its own.
type Subscriber struct {
	broker *broker
	config SubscriberConfig // Prefetch and AtOnce as they were given
	dead   *Publisher       // nil without a dead-letter queue

	mu            sync.Mutex
	feeds         bool // projections
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
// amqp://user:password@host:port/vhost, or amqps; or to a cluster: the URLs of its nodes,
// separated by commas. It does not connect yet. It returns [ErrURL].
func NewSubscriber(url string, config SubscriberConfig) (*Subscriber, error) {
	broker, err := newBroker(url, config.TLS, config.Heartbeat)
	if err = errors.Join(err, config.validate()); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	s := &Subscriber{broker: broker, config: config, subscriptions: map[int]*subscription{}}
	if config.Attempts > 0 {
		s.dead, err = NewPublisher(url, PublisherConfig{TLS: config.TLS, Heartbeat: config.Heartbeat, Logger: config.Logger})
	}
	return s, err
}

// ForFeed readies the subscriber for a projection of another context's events: from then on the defaults of
// [SubscriberConfig.Prefetch] and AtOnce are those for projections. It refuses one that a projection can't do with: it needs all
// messages of the topic, for itself, in order, and again until they are handled; and replyTo has to
// lead to its queue. It returns what tells that queue from others. Package readview calls it.
func (s *Subscriber) ForFeed(topic, replyTo string) (queue any, err error) {
	var problems []error
	if s.config.Attempts > 0 {
		problems = append(problems, errors.New("amqpbus.SubscriberConfig: Attempts has to be 0: a dead letter would be asked for again for ever"))
	}
	if s.config.Competing {
		problems = append(problems, errors.New("amqpbus.SubscriberConfig: Competing has to be false: the order counts"))
	}
	if !slices.Contains(s.config.Bindings, "#") {
		problems = append(problems, fmt.Errorf(`amqpbus.SubscriberConfig: Bindings are %q, want "#", all: what is not bound is taken for lost`, s.config.Bindings))
	}
	if own := QueueTopic(s.Queue(topic)); replyTo != topic && replyTo != own {
		problems = append(problems, fmt.Errorf("ReplyTo is %.100q: %w: want %s or %s", replyTo, ErrReplyTo, own, topic))
	}
	if err = errors.Join(problems...); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.feeds = true
	}
	return queueID{strings.Join(s.broker.urls, ","), s.Queue(topic)}, err
}

// answersLeft is when the broker removes a queue of [Subscriber.Answers] that nobody reads any more.
const answersLeft = time.Minute

// Answers returns a subscriber to the topic with a queue of its own, for who asks for history once, such as a rebuild: only what is
// published to replyTo comes by it. The queue is made by Subscribe, and goes a minute after its reader has, however that ended.
// It returns [ErrNoQueue] when this subscriber may make none.
func (s *Subscriber) Answers(topic string) (subscriber message.Subscriber, replyTo string, err error) {
	if s.config.Declare == DeclareNothing {
		return nil, "", ErrNoQueue
	}
	config := s.config
	config.Group += ".answers-" + eventsourced.NewEventID().String()
	config.temporary, config.Attempts, config.Competing, config.AtOnce = true, 0, false, 1
	own := &Subscriber{broker: s.broker, config: config, subscriptions: map[int]*subscription{}}
	return own, QueueTopic(own.Queue(topic)), nil
}

// Subscribe returns the messages of a topic, from the moment on at which the queue
// was declared first. Each comes when the one before was acked, unless [SubscriberConfig.AtOnce] is more, and again, as a new
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
	if len(s.DeadLetterQueue(topic))+len(".new") > maxName { // as Upgrade needs
		return nil, fmt.Errorf("subscribe to %.40s...: the name of the queue is %w", topic, ErrTooLong)
	}
	ctx, cancel := context.WithCancel(ctx)
	sub := &subscription{
		topic: topic, queue: s.Queue(topic), cancel: cancel, out: make(chan *message.Message),
		prefetch: cmp.Or(s.config.Prefetch, DefaultPrefetch), atOnce: cmp.Or(s.config.AtOnce, 1),
		problem: &consumer.ProblemError{Err: fmt.Errorf("receive from %s at %s: %w", s.Queue(topic), s.broker, errConnecting), Since: time.Now()},
	}
	if s.feeds {
		sub.prefetch = cmp.Or(s.config.Prefetch, FeedPrefetch)
		sub.atOnce = cmp.Or(s.config.AtOnce, sub.prefetch)
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
	err := s.withChannel(context.Background(), "declare "+s.Queue(topic), func(conn *amqp.Connection, channel *amqp.Channel) error {
		return s.declare(conn, channel, topic)
	})
	if err != nil {
		return fmt.Errorf("declare %s at %s: %w", s.Queue(topic), s.broker, explain(err))
	}
	return nil
}

// withChannel calls do with a connection of its own.
func (s *Subscriber) withChannel(ctx context.Context, name string, do func(*amqp.Connection, *amqp.Channel) error) error {
	conn, err := s.broker.dial(ctx, name, nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseDeadline(time.Now().Add(closeTimeout)) }()
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	return do(conn, channel)
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
