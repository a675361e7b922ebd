package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
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

	prefetch, atOnce int

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
	err = fmt.Errorf("receive from %s at %s: %w", sub.queue, s.broker, err)
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
	logger := s.config.Logger.With("broker", s.broker.String(), "queue", sub.queue)
	for failures := 1; ctx.Err() == nil; failures++ {
		received, err := s.receive(ctx, sub)
		if received {
			failures = 1
		}
		if ctx.Err() != nil {
			return
		}
		s.broker.another()
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
	conn, err := s.broker.dial(ctx, sub.queue, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.CloseDeadline(time.Now().Add(closeTimeout)) }()
	deliveries, err := s.consume(conn, sub)
	if err != nil {
		return false, explain(err)
	}
	s.receives(sub)
	s.config.Logger.InfoContext(ctx, "subscription receives", "broker", conn.RemoteAddr().String(), "queue", sub.queue)
	defer s.watch(conn, sub)()
	var (
		running sync.WaitGroup
		places  = make(chan struct{}, sub.atOnce)
		failed  = make(chan error, 1)
		before  = make(chan struct{}) // closed when the message before is handed out
	)
	close(before)
	defer running.Wait()
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return received, ctx.Err()
		}
		select {
		case err := <-failed:
			return true, err
		default:
		}
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
			turn, handed := before, make(chan struct{})
			before = handed
			running.Go(func() {
				defer func() { <-places }()
				<-turn
				isHanded := sync.OnceFunc(func() { close(handed) })
				defer isHanded()
				if err := s.handle(ctx, sub, delivery, isHanded); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		case err := <-failed:
			return true, err
		case <-ctx.Done():
			return received, ctx.Err()
		}
	}
}

// consume declares the queue and has the broker deliver from it.
func (s *Subscriber) consume(conn *amqp.Connection, sub *subscription) (<-chan amqp.Delivery, error) {
	channel, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := s.declare(conn, channel, sub.topic); err != nil {
		return nil, err
	}
	if err := channel.Qos(sub.prefetch, 0, false); err != nil {
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
