package amqpbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// inFlight is how many messages wait for their confirms at the same time.
const inFlight = 1000

const queuePrefix = "queue:"

// QueueTopic returns the topic that leads into one queue, past all exchanges. It
// can be published to and not subscribed to.
func QueueTopic(queue string) string { return queuePrefix + queue }

// Publisher publishes to RabbitMQ. It is safe for concurrent use, but sends one
// Publish after the other, so that what one caller publishes stays in order. Publish
// reconnects at once: back off before calling it again.
type Publisher struct {
	broker *broker
	config PublisherConfig

	mu         sync.Mutex // of one Publish at a time; guards what follows
	session    *session   // nil when there is no connection
	connecting bool       // because of Problem
	connectAt  time.Time  // not before, because of Problem

	problem atomic.Pointer[consumer.ProblemError] // see Problem
	closed  atomic.Bool
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher to the broker of url, which is of the form
// amqp://user:password@host:port/vhost, or amqps; or to a cluster: the URLs of its nodes,
// separated by commas. It does not connect yet, so that a broker which is down at the
// start is no different from one that goes down. It returns [ErrURL].
func NewPublisher(url string, config PublisherConfig) (*Publisher, error) {
	broker, err := newBroker(url, config.TLS, config.Heartbeat)
	if err = errors.Join(err, config.validate()); err != nil {
		return nil, err
	}
	return &Publisher{broker: broker, config: config.withDefaults()}, nil
}

// Publish sends messages in order and returns nil when the broker has them all,
// where they outlive its restart. Otherwise it may have some of them, not
// necessarily the first ones: publish all of them again, with the same ids.
//
// A message without a queue is confirmed and dropped: have the queues declared
// first, see [Subscriber.SubscribeInitialize]. A request, which is a message with [messaging.MetaExpires],
// is not: who asks is to know that nobody receives it, by [ErrUnroutable].
//
// Publish returns when the context of the first message ends, and after
// [PublisherConfig.ConfirmTimeout]. It returns [ErrNotConfirmed], [ErrBlocked],
// [ErrUnroutable], [ErrTooLong], [ErrClosed], or the error of the connection, which is a [messaging.ErrUnreachable] when there is none.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.publish(messages[0].Context(), topic, messages)
	if err == nil {
		p.problem.Store(nil)
		return nil
	}
	if p.session != nil && !errors.Is(err, ErrUnroutable) {
		// The confirms of what was sent might be taken for those of what comes next.
		p.session.end()
		p.session = nil
		p.broker.another()
	}
	return fmt.Errorf("publish to %s at %s: %w", topic, p.broker, err)
}

// CheckReply returns [ErrReplyTo] unless an answer about a topic may go to replyTo: to the topic,
// or into the queue of one of its groups. Package relay asks it before it answers.
func (p *Publisher) CheckReply(topic, replyTo string) error {
	group, ofGroup := strings.CutPrefix(replyTo, QueueTopic(topic+"."))
	if replyTo != topic && (!ofGroup || group == "" || strings.HasSuffix(group, deadSuffix)) {
		return fmt.Errorf("reply to %.100q: %w: want %s, or %s and the name of a group", replyTo, ErrReplyTo, topic, QueueTopic(topic+"."))
	}
	return nil
}

// Close ends the connection. It waits for what is being published. It may be called
// again.
func (p *Publisher) Close() error {
	p.closed.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != nil {
		p.session.end()
		p.session = nil
	}
	return nil
}

func (p *Publisher) publish(ctx context.Context, topic string, messages []*message.Message) error {
	if p.closed.Load() {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(strings.TrimPrefix(topic, queuePrefix)) > maxName {
		return fmt.Errorf("the topic is %w", ErrTooLong)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.ConfirmTimeout, ErrNotConfirmed)
	defer cancel()
	s, err := p.connect(ctx)
	if err != nil {
		return unreachable{cmp.Or(context.Cause(ctx), err)}
	}
	// A write to a broker that does not read waits until somebody closes the
	// connection.
	stop := context.AfterFunc(ctx, s.cut)
	defer stop()
	defer s.giveUpBlocked()()
	if err = s.declare(topic); err == nil {
		for len(messages) > 0 && err == nil {
			n := min(len(messages), inFlight)
			err = s.send(ctx, topic, messages[:n], p.config.RoutingKey)
			messages = messages[n:]
		}
	}
	switch {
	case err == nil:
		return nil
	case s.blocked.Load():
		return fmt.Errorf("%w: %s", ErrBlocked, s.reason())
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return err
	}
}

// connect returns the connection, a new one if there is none.
func (p *Publisher) connect(ctx context.Context) (*session, error) {
	if p.session != nil {
		select {
		case <-p.session.ended:
			p.session.end()
			p.session = nil
		default:
			return p.session, nil
		}
	}
	s, err := open(ctx, p.broker, p.config)
	if err != nil {
		return nil, err
	}
	p.config.Logger.InfoContext(ctx, "connected to publish", "broker", s.conn.RemoteAddr().String())
	p.session = s
	return s, nil
}

// session is one connection with one channel.
type session struct {
	conn     *amqp.Connection
	channel  *amqp.Channel
	declared map[string]bool // topics
	passive  bool            // they are only looked at

	returns chan amqp.Return // what had no queue

	below   atomic.Pointer[net.Conn]
	blocked atomic.Bool
	why     atomic.Pointer[string]
	ended   chan struct{} // closed with the connection
}

func open(ctx context.Context, broker *broker, config PublisherConfig) (*session, error) {
	s := &session{declared: map[string]bool{}, passive: config.Declare != DeclareAll, ended: make(chan struct{})}
	stop := context.AfterFunc(ctx, s.cut)
	defer stop()
	conn, err := broker.dial(ctx, "publisher", func(conn net.Conn) { s.below.Store(&conn) })
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s.conn = conn
	go s.watch(conn.NotifyBlocked(make(chan amqp.Blocking, 1)))
	if s.channel, err = conn.Channel(); err == nil {
		err = s.channel.Confirm(false)
		s.returns = s.channel.NotifyReturn(make(chan amqp.Return, inFlight)) // never blocks the connection
	}
	if err != nil {
		s.end()
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	go s.closeWith(s.channel.NotifyClose(make(chan *amqp.Error, 1)))
	return s, nil
}

// closeWith ends a connection without its channel, which is of no use.
func (s *session) closeWith(closed <-chan *amqp.Error) {
	<-closed //nolint:errcheck // who publishes gets it
	s.cut()
}

// watch notes when the broker blocks the connection. It ends with it.
func (s *session) watch(blockings <-chan amqp.Blocking) {
	defer close(s.ended)
	for blocking := range blockings {
		s.why.Store(&blocking.Reason)
		s.blocked.Store(blocking.Active)
	}
}

// blockedPatience is how long a Publish waits for a broker that takes no messages.
const blockedPatience = time.Second

// giveUpBlocked ends the connection when the broker blocks it for long, until stop is called: the
// caller is to know, and to tell, why nothing moves.
func (s *session) giveUpBlocked() (stop func()) {
	stopped := make(chan struct{})
	go func() {
		look := time.NewTicker(blockedPatience / 4)
		defer look.Stop()
		for looks := 0; looks < 4; {
			select {
			case <-stopped:
				return
			case <-look.C:
			}
			if looks++; !s.blocked.Load() {
				looks = 0
			}
		}
		s.cut()
	}()
	return func() { close(stopped) }
}

func (s *session) reason() string {
	if why := s.why.Load(); why != nil {
		return *why
	}
	return ""
}

// declare makes sure that the exchange of a topic is there.
func (s *session) declare(topic string) error {
	if s.declared[topic] || strings.HasPrefix(topic, queuePrefix) {
		return nil
	}
	if err := declareExchange(s.channel, topic, s.passive); err != nil {
		return fmt.Errorf("declare the exchange: %w", explain(err))
	}
	s.declared[topic] = true
	return nil
}

// declareExchange makes the exchange of a topic, or only looks whether it is there.
func declareExchange(channel *amqp.Channel, topic string, passive bool) error {
	if passive {
		return channel.ExchangeDeclarePassive(topic, amqp.ExchangeTopic, true, false, false, false, nil)
	}
	return channel.ExchangeDeclare(topic, amqp.ExchangeTopic, true, false, false, false, nil)
}

// send sends messages and waits for their confirms.
func (s *session) send(ctx context.Context, topic string, messages []*message.Message, routingKey func(*message.Message) string) error {
	confirms := make([]*amqp.DeferredConfirmation, len(messages))
	for i, msg := range messages {
		publishing, err := marshaler{}.Marshal(msg)
		if err != nil {
			return fmt.Errorf("message %s: %w", msg.UUID, err)
		}
		exchange, key := topic, ""
		queue, direct := strings.CutPrefix(topic, queuePrefix)
		if direct {
			exchange, key = "", queue
		} else if key, err = route(msg, &publishing, routingKey); err != nil {
			return fmt.Errorf("message %s: %w", msg.UUID, err)
		}
		mandatory := direct || msg.Metadata[messaging.MetaExpires] != ""
		if confirms[i], err = s.channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, mandatory, false, publishing); err != nil {
			return fmt.Errorf("message %s: %w", msg.UUID, err)
		}
	}
	for i, confirm := range confirms {
		if acked, err := confirm.WaitContext(ctx); err != nil || !acked {
			return fmt.Errorf("message %s: %w", messages[i].UUID, errors.Join(ErrNotConfirmed, err))
		}
	}
	var unroutable error
	for {
		select {
		case returned, open := <-s.returns: // before it was confirmed
			if !open { // the connection is lost, and all was confirmed before
				return unroutable
			}
			unroutable = cmp.Or(unroutable, fmt.Errorf("message %s: %w", returned.MessageId, ErrUnroutable))
			if returned.Exchange != "" {
				unroutable = fmt.Errorf("nobody receives from there: %w", ErrUnroutable)
			}
		default:
			return unroutable
		}
	}
}

// cut ends the connection below, which ends whatever waits for it.
func (s *session) cut() {
	if below := s.below.Load(); below != nil {
		_ = (*below).Close()
	}
}

// closeTimeout is how long the broker has to say goodbye.
const closeTimeout = time.Second

// end closes the connection and waits until nothing of it is left.
func (s *session) end() {
	timer := time.AfterFunc(closeTimeout, s.cut)
	defer timer.Stop()
	_ = s.conn.Close() // what was confirmed is safe, and nothing else counts
	<-s.ended
}
