package messaging

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// subscriptionPage is how many events a subscription reads at once.
const subscriptionPage = 32

// subscription delivers the events of one topic.
type subscription struct {
	*follower
	out chan *message.Message
}

func newSubscription(s *Subscriber, topic string) *subscription {
	consumer := Consumer{Group: s.config.ConsumerGroup, Topic: topic}
	positions := s.positions
	if consumer.Group == "" {
		positions = new(unkept)
	}
	sub := &subscription{
		follower: newFollower(s.log, positions, s.config, consumer),
		out:      make(chan *message.Message),
	}
	sub.pageEvents = subscriptionPage
	if topic != AllEvents {
		sub.names = s.log.Registry().StoredNames(topic)
	}
	sub.handle = func(ctx context.Context, events []eventsourced.Recorded) error {
		for _, event := range events {
			if err := sub.deliver(ctx, event); err != nil {
				return err
			}
		}
		return nil
	}
	return sub
}

// deliver sends an event, or the parts of the topic that it has today, until all are acked,
// and then moves the position. It
// returns the error of an event that can't be made a message: once that is cured,
// in the log or in the registry, it is read anew.
func (s *subscription) deliver(ctx context.Context, event eventsourced.Recorded) error {
	parts, err := s.upcast(ctx, event)
	if err != nil {
		return &eventError{event, err}
	}
	for _, part := range parts {
		if s.consumer.Topic != AllEvents && s.consumer.Topic != part.Name {
			continue
		}
		if err := s.deliverPart(ctx, part); err != nil {
			return err
		}
	}
	return s.save(ctx, event.Position)
}

// deliverPart sends an event in today's form until it is acked.
func (s *subscription) deliverPart(ctx context.Context, event eventsourced.Recorded) error {
	for attempt := 1; ; attempt++ {
		acked, err := s.send(ctx, event)
		switch {
		case err != nil:
			return err
		case acked:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		s.record.note(ofEvents, &event, errNotAcked)
		wait := s.config.backOff(attempt)
		s.logger.WarnContext(ctx, "message was nacked", "event_id", event.ID.String(), "event_name", event.Name,
			"position", int64(event.Position), "attempt", attempt, "wait", wait)
		sleep(ctx, wait)
	}
}

// send hands an event out once and tells whether it was acked. The message
// outlives ctx by the drain timeout: a handler should finish what it has begun.
func (s *subscription) send(ctx context.Context, event eventsourced.Recorded) (acked bool, err error) {
	msg, err := marshal(event)
	if err != nil {
		return false, &eventError{event, err}
	}
	w := s.watch(ofEvents, &event, "handing out a message")
	defer func() { w.end() }()
	msgCtx, cancel := context.WithCancel(eventsourced.WithRecorded(context.WithoutCancel(ctx), &event))
	defer cancel()
	msg.SetContext(msgCtx)
	out, ended := s.out, ctx.Done()
	var drained <-chan time.Time
	for {
		select {
		case out <- msg:
			out = nil
			w.end()
			w = s.watch(ofEvents, &event, "the handler of a message")
		case <-w.timer.C:
			if w.late(ctx) && out == nil {
				cancel()
			}
		case <-msg.Acked():
			return true, nil
		case <-msg.Nacked():
			return false, nil
		case <-ended:
			if out != nil {
				return false, nil
			}
			ended, drained = nil, time.After(s.config.DrainTimeout)
			if errors.Is(context.Cause(ctx), ErrLeaseLost) {
				cancel() // somebody else has the event now
			}
		case <-drained:
			return false, nil
		}
	}
}

// upcast survives upcasters that panic.
func (s *subscription) upcast(ctx context.Context, event eventsourced.Recorded) (parts []eventsourced.Recorded, err error) {
	made := make(chan []eventsourced.Recorded, 1)
	err = s.guard(ctx, ofEvents, &event, "an upcaster", func(ctx context.Context) error {
		parts, err := s.log.Registry().Upcast(ctx, event)
		made <- parts
		return err
	})
	if err != nil {
		var decode *eventsourced.DecodeError
		if !errors.As(err, &decode) {
			err = &eventsourced.DecodeError{Event: event, Err: err}
		}
		return nil, err
	}
	return <-made, nil
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
