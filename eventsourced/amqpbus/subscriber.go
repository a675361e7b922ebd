package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Subscriber receives from RabbitMQ, at least once and, unless
// [SubscriberConfig.Competing] is set, one message after the other in order. It is
// safe for concurrent use. Each subscription has a connection of its own.
type Subscriber struct {
	url    string
	host   string
	config SubscriberConfig
	dead   *Publisher // nil without a dead-letter queue

	mu      sync.Mutex
	closed  bool
	cancels map[int]context.CancelFunc
	next    int
	running sync.WaitGroup
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
	s := &Subscriber{url: url, host: host, config: config, cancels: map[int]context.CancelFunc{}}
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
// a broker that is down is waited for.
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
	id := s.next
	s.next++
	s.cancels[id] = cancel
	out := make(chan *message.Message)
	s.running.Go(func() {
		defer close(out)
		defer s.forget(id)
		s.run(ctx, topic, out)
	})
	return out, nil
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
	for _, cancel := range s.cancels {
		cancel()
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
	s.cancels[id]()
	delete(s.cancels, id)
}

// run receives until ctx ends.
func (s *Subscriber) run(ctx context.Context, topic string, out chan<- *message.Message) {
	logger := s.config.Logger.With("broker", s.host, "queue", s.Queue(topic))
	for failures := 1; ctx.Err() == nil; failures++ {
		received, err := s.receive(ctx, topic, out)
		if received {
			failures = 1
		}
		if ctx.Err() == nil {
			wait := s.config.backOff(failures)
			logger.WarnContext(ctx, "subscription waits before it connects again", "error", err, "wait", wait)
			sleep(ctx, wait)
		}
	}
}

// receive connects, and hands out messages until ctx ends. Once it is connected it
// reconnects by itself.
func (s *Subscriber) receive(ctx context.Context, topic string, out chan<- *message.Message) (received bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inner, err := wamqp.NewSubscriber(s.watermill(topic), quiet(s.config.Logger))
	if err != nil {
		return false, err
	}
	defer func() {
		cancel() // or Close would wait for a connection that is being made
		err = errors.Join(err, inner.Close())
	}()
	messages, err := inner.Subscribe(ctx, topic)
	if err != nil {
		return false, err
	}
	for {
		select {
		case msg, open := <-messages:
			if !open {
				return received, errors.New("the subscription has ended")
			}
			received = true
			s.handOut(ctx, topic, msg, out)
		case <-ctx.Done():
			return received, nil
		}
	}
}

// handOut hands out a message until it is acked. The broker has it meanwhile.
func (s *Subscriber) handOut(ctx context.Context, topic string, received *message.Message, out chan<- *message.Message) {
	for attempt := 1; ; attempt++ {
		acked, err := s.handOutOnce(ctx, received, out)
		switch {
		case err != nil:
			received.Nack() // the broker keeps it for the next subscription
			return
		case acked:
			received.Ack()
			return
		case attempt == s.config.Attempts:
			if s.bury(ctx, topic, received) {
				received.Ack()
			} else {
				received.Nack()
			}
			return
		}
		wait := s.config.backOff(attempt)
		s.config.Logger.WarnContext(ctx, "message was nacked", "queue", s.Queue(topic), "message_uuid", received.UUID, "attempt", attempt, "wait", wait)
		sleep(ctx, wait)
	}
}

// handOutOnce tells whether the message was acked; the error is that of ctx.
func (s *Subscriber) handOutOnce(ctx context.Context, received *message.Message, out chan<- *message.Message) (acked bool, err error) {
	msg := received.Copy()
	delete(msg.Metadata, wamqp.MetadataRedeliveredKey) // not the event's
	msgCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	msg.SetContext(msgCtx)
	select {
	case out <- msg:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	ended := ctx.Done()
	var drained <-chan time.Time
	for {
		select {
		case <-msg.Acked():
			return true, nil
		case <-msg.Nacked():
			return false, ctx.Err()
		case <-ended:
			ended, drained = nil, time.After(s.config.DrainTimeout)
		case <-drained:
			return false, ctx.Err()
		}
	}
}

// bury puts a message into the dead-letter queue, and tells whether it is there.
func (s *Subscriber) bury(ctx context.Context, topic string, received *message.Message) bool {
	msg := received.Copy()
	msg.SetContext(ctx)
	queue := s.DeadLetterQueue(topic)
	if err := s.dead.Publish(QueueTopic(queue), msg); err != nil { //nolint:contextcheck // the message has it
		s.config.Logger.WarnContext(ctx, "message not buried, it comes again", "queue", queue, "message_uuid", msg.UUID, "error", err)
		return false
	}
	s.config.Logger.ErrorContext(ctx, "message could not be handled", "dead_letter_queue", queue, "message_uuid", msg.UUID)
	return true
}

// watermill returns the safe set-up of watermill-amqp, see the package
// documentation.
func (s *Subscriber) watermill(topic string) wamqp.Config {
	config := wamqp.NewDurablePubSubConfig(s.url, func(topic string) string { return s.Queue(topic) })
	connection := connection(s.Queue(topic), s.config.TLS, nil)
	config.Connection.AmqpConfig = &connection
	config.Connection.Reconnect = &wamqp.ReconnectConfig{
		BackoffInitialInterval:     s.config.BackOff,
		BackoffRandomizationFactor: 0.5,
		BackoffMultiplier:          2,
		BackoffMaxInterval:         s.config.MaxBackOff,
	}
	config.Marshaler = marshaler{}
	config.TopologyBuilder = topology{s}
	return config
}

// topology declares what a subscription needs.
type topology struct{ s *Subscriber }

// BuildTopology implements [wamqp.TopologyBuilder].
func (t topology) BuildTopology(channel *amqp.Channel, params wamqp.BuildTopologyParams, _ wamqp.Config, _ watermill.LoggerAdapter) error {
	return t.s.declare(channel, params.Topic)
}

// ExchangeDeclare implements [wamqp.TopologyBuilder].
func (topology) ExchangeDeclare(channel *amqp.Channel, name string, _ wamqp.Config) error {
	return channel.ExchangeDeclare(name, amqp.ExchangeTopic, true, false, false, false, nil)
}

func (s *Subscriber) declare(channel *amqp.Channel, topic string) error {
	if err := (topology{}).ExchangeDeclare(channel, topic, wamqp.Config{}); err != nil {
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

// quiet is the logger of watermill-amqp: what it takes for an error is a lost
// connection for the most part, which it mends.
func quiet(logger *slog.Logger) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(logger, map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelInfo,
	})
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
