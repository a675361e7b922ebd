package amqpbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

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
