package amqpbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
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
