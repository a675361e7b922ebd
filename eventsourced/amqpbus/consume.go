package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// subscription is a topic that is subscribed to.
type subscription struct {
	topic  string
	queue  string
	cancel context.CancelFunc
	out    chan *message.Message

	problem *consumer.ProblemError // why it does not receive, nil when it does; guarded by Subscriber.mu
}

var (
	errConnecting = errors.New("it has not connected yet")
	errLost       = errors.New("the connection is lost")
	errNoConsumer = errors.New("the broker ended the subscription: was the queue deleted?")
)

// Problem tells why this subscriber does not receive messages now: the broker is down
// or refuses the connection, or the queue is of another kind than it is to have. It
// is nil when all its subscriptions receive, or stand by for another subscriber of
// the group, and when there are none. The error has a [*consumer.ProblemError], with
// since when. It may be called at any time.
func (s *Subscriber) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(s.subscriptions)) {
		if problem := s.subscriptions[id].problem; problem != nil {
			problems = append(problems, problem)
		}
	}
	if len(problems) == 1 {
		return problems[0]
	}
	return errors.Join(problems...)
}

// fails notes that a subscription does not receive, and tells whether that is news.
func (s *Subscriber) fails(sub *subscription, err error) (news bool) {
	err = fmt.Errorf("receive from %s at %s: %w", sub.queue, s.host, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	problem := &consumer.ProblemError{Err: err, Since: time.Now(), Attempts: 1}
	if before := sub.problem; before != nil {
		problem.Since, problem.Attempts = before.Since, before.Attempts+1
		news = before.Error() != err.Error()
	} else {
		news = true
	}
	sub.problem = problem
	return news
}

// receives notes that a subscription receives.
func (s *Subscriber) receives(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.problem = nil
}

// run receives until ctx ends.
func (s *Subscriber) run(ctx context.Context, sub *subscription) {
	logger := s.config.Logger.With("broker", s.host, "queue", sub.queue)
	for failures := 1; ctx.Err() == nil; failures++ {
		received, err := s.receive(ctx, sub)
		if received {
			failures = 1
		}
		if ctx.Err() != nil {
			return
		}
		pause := s.config.backOff(failures)
		if s.fails(sub, err) {
			logger.WarnContext(ctx, "subscription does not receive, and tries again", "error", err, "wait", pause)
		} else {
			logger.DebugContext(ctx, "subscription waits before it connects again", "error", err, "wait", pause)
		}
		wait.Sleep(ctx, pause)
	}
}

// receive connects, and hands out messages until ctx ends or the connection does.
func (s *Subscriber) receive(ctx context.Context, sub *subscription) (received bool, err error) {
	conn, err := s.dial(ctx, sub.queue)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.CloseDeadline(time.Now().Add(closeTimeout)) }()
	deliveries, err := s.consume(conn, sub)
	if err != nil {
		return false, explain(err)
	}
	s.receives(sub)
	s.config.Logger.InfoContext(ctx, "subscription receives", "broker", s.host, "queue", sub.queue)
	defer s.watch(conn, sub)()
	for {
		select {
		case delivery, open := <-deliveries:
			switch {
			case open:
			case conn.IsClosed():
				return received, errLost
			default:
				return received, errNoConsumer
			}
			received = true
			if err := s.handle(ctx, sub, delivery); err != nil {
				return true, err
			}
		case <-ctx.Done():
			return received, ctx.Err()
		}
	}
}

// dial connects. It ends with ctx.
func (s *Subscriber) dial(ctx context.Context, queue string) (*amqp.Connection, error) {
	var below atomic.Pointer[net.Conn]
	stop := context.AfterFunc(ctx, func() {
		if conn := below.Load(); conn != nil {
			_ = (*conn).Close()
		}
	})
	defer stop()
	return amqp.DialConfig(s.url, connection(queue, s.config.TLS, func(conn net.Conn) {
		if below.Store(&conn); ctx.Err() != nil {
			_ = conn.Close()
		}
	}))
}

// consume declares the queue and has the broker deliver from it.
func (s *Subscriber) consume(conn *amqp.Connection, sub *subscription) (<-chan amqp.Delivery, error) {
	channel, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := s.declare(channel, sub.topic); err != nil {
		return nil, err
	}
	if err := channel.Qos(1, 0, false); err != nil {
		return nil, err
	}
	return channel.Consume(sub.queue, "", false, false, false, false, nil)
}

// watch notes when the connection is lost, also while a message is being handled.
func (s *Subscriber) watch(conn *amqp.Connection, sub *subscription) (stop func()) {
	closed, ended, done := conn.NotifyClose(make(chan *amqp.Error, 1)), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case err := <-closed:
			cause := amqp.ErrClosed
			if err != nil {
				cause = err
			}
			s.fails(sub, fmt.Errorf("%w: %w", errLost, cause))
		case <-ended:
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}

// explain adds what to do.
func explain(err error) error {
	var refusal *amqp.Error
	if errors.As(err, &refusal) && refusal.Code == amqp.PreconditionFailed {
		return fmt.Errorf("%w (delete what has that name, if nothing in it is needed, or ask for what it is)", err)
	}
	return err
}

// handle hands out a delivery until it is acked. The broker has it meanwhile.
func (s *Subscriber) handle(ctx context.Context, sub *subscription, delivery amqp.Delivery) error {
	received, err := marshaler{}.Unmarshal(delivery)
	if err != nil {
		return err
	}
	done := s.handOut(ctx, sub, received)
	if done {
		err = delivery.Ack(false)
	} else {
		err = delivery.Nack(false, true) // the broker keeps it for the next subscription
	}
	if err != nil {
		return fmt.Errorf("tell the broker that a message is handled: %w", err)
	}
	return nil
}

// handOut tells whether a message was acked, or buried, in the end.
func (s *Subscriber) handOut(ctx context.Context, sub *subscription, received *message.Message) (done bool) {
	for attempt := 1; ; attempt++ {
		acked, err := s.handOutOnce(ctx, received, sub.out)
		switch {
		case err != nil:
			return false
		case acked:
			return true
		case attempt == s.config.Attempts:
			return s.bury(ctx, sub.topic, received)
		}
		pause := s.config.backOff(attempt)
		s.config.Logger.WarnContext(ctx, "message was nacked", "queue", sub.queue, "message_uuid", received.UUID, "attempt", attempt, "wait", pause)
		wait.Sleep(ctx, pause)
	}
}

// handOutOnce tells whether the message was acked; the error is that of ctx.
func (s *Subscriber) handOutOnce(ctx context.Context, received *message.Message, out chan<- *message.Message) (acked bool, err error) {
	msg := received.Copy()
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
