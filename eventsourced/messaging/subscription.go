package messaging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const (
	pageEvents      = 32              // read at once, and held in memory
	positionTimeout = 5 * time.Second // of one call to the position store
)

// subscription delivers the events of one topic. All but the lease's renewal
// happens in one goroutine.
type subscription struct {
	log       eventsourced.Log
	positions PositionStore
	config    SubscriberConfig
	logger    *slog.Logger
	consumer  Consumer
	names     []string // nil is all
	node      string   // unique to this subscription
	out       chan *message.Message

	position eventsourced.Position // everything up to it is done
	headAt   time.Time             // when to compare it with the log's head again
	failures int                   // in a row
}

func newSubscription(s *Subscriber, topic string) *subscription {
	sub := &subscription{
		log:       s.log,
		positions: s.positions,
		config:    s.config,
		logger:    s.config.Logger.With("consumer_group", s.config.ConsumerGroup, "topic", topic),
		consumer:  Consumer{Group: s.config.ConsumerGroup, Topic: topic},
		node:      s.config.Node + "/" + eventsourced.NewEventID().String()[24:],
		out:       make(chan *message.Message),
	}
	if sub.consumer.Group == "" {
		sub.positions = new(unkept)
	}
	if topic != AllEvents {
		sub.names = []string{topic}
	}
	return sub
}

// run delivers events until ctx ends, whenever it is this subscription's turn.
func (s *subscription) run(ctx context.Context) {
	news := s.log.Listen(ctx)
	for ctx.Err() == nil {
		pause, err := s.lead(ctx, news)
		if err != nil && ctx.Err() == nil {
			s.failures++
			pause = s.config.backOff(s.failures)
			s.logger.WarnContext(ctx, "subscription waits before it goes on", "error", err, "wait", pause)
		}
		sleep(ctx, pause)
	}
	err := detached(ctx, func(ctx context.Context) error {
		return s.positions.Release(ctx, s.consumer, s.node)
	})
	if err != nil {
		s.logger.InfoContext(ctx, "lease not released, it ends by itself", "error", err)
	}
}

// lead delivers events as long as it holds the lease. Without one it returns how
// long to wait before asking again.
func (s *subscription) lead(ctx context.Context, news <-chan struct{}) (time.Duration, error) {
	var lease Lease
	err := detached(ctx, func(ctx context.Context) (err error) {
		lease, err = s.positions.Acquire(ctx, s.consumer, s.node, s.config.leaseTime())
		return err
	})
	if err != nil {
		return 0, err
	}
	if !lease.Held {
		return min(max(lease.Left, time.Millisecond), s.config.PollInterval), nil
	}
	s.position = lease.Position

	leading, lose := context.WithCancelCause(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { s.renew(leading, lose) })
	defer renewal.Wait()
	defer lose(nil)
	err = s.follow(leading, news)
	if errors.Is(err, ErrLeaseLost) || errors.Is(context.Cause(leading), ErrLeaseLost) {
		s.logger.WarnContext(ctx, "subscription starts again", "error", err)
		return 0, nil
	}
	return 0, err
}

// renew keeps the lease until ctx ends, and ends ctx when the lease is lost. When
// the position store fails it goes on trying: nothing is lost with the lease.
func (s *subscription) renew(ctx context.Context, lose context.CancelCauseFunc) {
	for sleep(ctx, s.config.leaseTime()/4) {
		err := detached(ctx, func(ctx context.Context) error {
			return s.positions.Renew(ctx, s.consumer, s.node, s.config.leaseTime())
		})
		if errors.Is(err, ErrLeaseLost) {
			lose(ErrLeaseLost)
		}
	}
}

// follow delivers event after event and waits at the end of the log for more.
func (s *subscription) follow(ctx context.Context, news <-chan struct{}) error {
	for ctx.Err() == nil {
		events, err := s.read(ctx)
		if err != nil {
			return err
		}
		for _, event := range events {
			if err := s.deliver(ctx, event); err != nil {
				return err
			}
		}
		s.failures = 0
		if len(events) == 0 {
			s.wait(ctx, news)
		}
	}
	return ctx.Err()
}

// read returns the next events. When there are none it moves the position, now and
// then, to the head of the log: a consumer of a rare event is not behind.
func (s *subscription) read(ctx context.Context) ([]eventsourced.Recorded, error) {
	events, err := s.page(ctx, 0)
	if err != nil || len(events) > 0 || time.Now().Before(s.headAt) {
		return events, err
	}
	s.headAt = time.Now().Add(s.config.PollInterval)
	// The head is read before the events are looked for once more: one that comes
	// in between is above it.
	head, err := s.log.Head(ctx)
	if err != nil || head <= s.position {
		return nil, err
	}
	if events, err = s.page(ctx, head); err != nil || len(events) > 0 {
		return events, err
	}
	return nil, s.save(ctx, head)
}

func (s *subscription) page(ctx context.Context, upTo eventsourced.Position) (events []eventsourced.Recorded, err error) {
	query := eventsourced.LogQuery{After: s.position, UpTo: upTo, Names: s.names, Limit: pageEvents}
	for event, err := range s.log.ReadLog(ctx, query) {
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return events, nil
}

// deliver sends an event until it is acked, and then moves the position. It
// returns the error of an event that can't be made a message: once that is cured,
// in the log or in the registry, it is read anew.
func (s *subscription) deliver(ctx context.Context, event eventsourced.Recorded) error {
	for attempt := 1; ; attempt++ {
		acked, err := s.send(ctx, event)
		switch {
		case err != nil:
			return err
		case acked:
			return s.save(ctx, event.Position)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		wait := s.config.backOff(attempt)
		s.logger.WarnContext(ctx, "message was nacked", "event_id", event.ID.String(), "event_name", event.Name,
			"position", int64(event.Position), "attempt", attempt, "wait", wait)
		sleep(ctx, wait)
	}
}

// send hands an event out once and tells whether it was acked. The message
// outlives ctx by the drain timeout: a handler should finish what it has begun.
func (s *subscription) send(ctx context.Context, event eventsourced.Recorded) (acked bool, err error) {
	msg, err := s.marshal(event)
	if err != nil {
		return false, err
	}
	msgCtx, cancel := context.WithCancel(eventsourced.WithRecorded(context.WithoutCancel(ctx), &event))
	defer cancel()
	msg.SetContext(msgCtx)
	select {
	case s.out <- msg:
	case <-ctx.Done():
		return false, nil
	}
	ended := ctx.Done()
	var drained <-chan time.Time
	for {
		select {
		case <-msg.Acked():
			return true, nil
		case <-msg.Nacked():
			return false, nil
		case <-ended:
			ended, drained = nil, time.After(s.config.DrainTimeout)
			if errors.Is(context.Cause(ctx), ErrLeaseLost) {
				cancel() // somebody else has the event now
			}
		case <-drained:
			return false, nil
		}
	}
}

// marshal survives upcasters that panic.
func (s *subscription) marshal(event eventsourced.Recorded) (msg *message.Message, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &eventsourced.DecodeError{Event: event, Err: fmt.Errorf("panic: %v", value)}
		}
	}()
	return Marshal(s.log.Registry(), event)
}

// save moves the position. An event whose handler is done should not come again
// only because the connection was lost, so it gives up only with ctx.
func (s *subscription) save(ctx context.Context, to eventsourced.Position) error {
	for attempt := 1; ; attempt++ {
		err := detached(ctx, func(ctx context.Context) error {
			return s.positions.Save(ctx, s.consumer, s.node, s.position, to)
		})
		if err == nil {
			s.position = to
			return nil
		}
		s.logger.WarnContext(ctx, "position not saved", "position", int64(to), "error", err)
		if ctx.Err() != nil || errors.Is(err, ErrLeaseLost) {
			return err
		}
		sleep(ctx, s.config.backOff(attempt))
	}
}

// detached calls the position store. The call outlives ctx: an Ack counts, and the
// lease is given back, also when ctx ends in the midst of it.
func detached(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), positionTimeout)
	defer cancel()
	return call(ctx)
}

// wait waits for news, for the poll interval at most.
func (s *subscription) wait(ctx context.Context, news <-chan struct{}) {
	timer := time.NewTimer(s.config.PollInterval)
	defer timer.Stop()
	select {
	case <-news:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// sleep waits for d and tells whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// unkept is the position of one subscription without a consumer group.
type unkept struct{ position eventsourced.Position }

func (u *unkept) Acquire(context.Context, Consumer, string, time.Duration) (Lease, error) {
	return Lease{Held: true, Position: u.position}, nil
}

func (u *unkept) Renew(context.Context, Consumer, string, time.Duration) error { return nil }

func (u *unkept) Save(_ context.Context, _ Consumer, _ string, _, to eventsourced.Position) error {
	u.position = to
	return nil
}

func (u *unkept) Release(context.Context, Consumer, string) error { return nil }
