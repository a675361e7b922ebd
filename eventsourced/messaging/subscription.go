package messaging

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// subscriptionPage is how many events a subscription reads at once.
const subscriptionPage = 32

// subscription delivers the events of one topic.
type subscription struct {
	*consumer.Follower
	log eventsourced.Log
	out chan *message.Message
}

func newSubscription(s *Subscriber, topic string) *subscription {
	positions := s.positions
	if s.config.ConsumerGroup == "" {
		positions = new(unkept)
	}
	sub := &subscription{out: make(chan *message.Message), log: s.log}
	work := consumer.Work{
		ID:         consumer.ID{Kind: consumer.KindSubscriber, Name: s.config.ConsumerGroup, Topic: topic},
		PageEvents: subscriptionPage,
		Handle: func(ctx context.Context, events []eventsourced.Recorded) error {
			for _, event := range events {
				if err := sub.deliver(ctx, event); err != nil {
					return err
				}
			}
			return nil
		},
	}
	if topic != AllEvents {
		work.Names = s.log.Registry().StoredNames(topic)
	}
	sub.Follower = consumer.NewFollower(s.log, positions, s.config.Config, work)
	return sub
}

// deliver sends an event, or the parts of the topic that it has today, until all are acked,
// and then moves the position. It
// returns the error of an event that can't be made a message: once that is cured,
// in the log or in the registry, it is read anew.
func (s *subscription) deliver(ctx context.Context, event eventsourced.Recorded) error {
	parts, err := s.upcast(ctx, event)
	if err != nil {
		return &consumer.WorkError{Event: event, Err: err}
	}
	for _, part := range parts {
		if topic := s.ID().Topic; topic != AllEvents && topic != part.Name {
			continue
		}
		if err := s.deliverPart(ctx, part); err != nil {
			return err
		}
	}
	return s.Save(ctx, event.Position)
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
		s.Note(consumer.PartEvents, &event, errNotAcked)
		pause := s.Config().BackOffAfter(attempt)
		s.Logger().WarnContext(ctx, "message was nacked", "event_id", event.ID.String(), "event_name", event.Name,
			"position", int64(event.Position), "attempt", attempt, "wait", pause)
		wait.Sleep(ctx, pause)
	}
}

// send hands an event out once and tells whether it was acked. The message
// outlives ctx by the drain timeout: a handler should finish what it has begun.
func (s *subscription) send(ctx context.Context, event eventsourced.Recorded) (acked bool, err error) {
	msg, err := MarshalRecorded(event)
	if err != nil {
		return false, &consumer.WorkError{Event: event, Err: err}
	}
	ctx, tell := s.Config().Tracer.Handling(ctx, consumer.Handling{ID: s.ID(), Events: 1, Causes: consumer.Causes(&event)})
	defer func() {
		switch {
		case acked:
			tell(event.Position, nil)
		case ctx.Err() != nil:
			tell(0, context.Cause(ctx))
		default:
			tell(0, errNotAcked)
		}
	}()
	w := s.Watch(consumer.PartEvents, &event, "handing out a message")
	defer func() { w.End() }()
	msgCtx, cancel := context.WithCancel(eventsourced.WithRecorded(context.WithoutCancel(ctx), &event))
	defer cancel()
	msg.SetContext(msgCtx)
	out, ended := s.out, ctx.Done()
	var drained <-chan time.Time
	for {
		select {
		case out <- msg:
			out = nil
			w.End()
			w = s.Watch(consumer.PartEvents, &event, "the handler of a message")
		case <-w.C():
			if w.Late(ctx) && out == nil {
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
			ended, drained = nil, time.After(s.Config().DrainTimeout)
			if errors.Is(context.Cause(ctx), consumer.ErrLeaseLost) {
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
	err = s.Guard(ctx, consumer.PartEvents, &event, "an upcaster", func(ctx context.Context) error {
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

func (u *unkept) Acquire(context.Context, consumer.ID, string, time.Duration) (consumer.Lease, error) {
	return consumer.Lease{Held: true, Position: u.position}, nil
}

func (u *unkept) Renew(context.Context, consumer.ID, string, time.Duration) error { return nil }

func (u *unkept) Save(_ context.Context, _ consumer.ID, _ string, _, to eventsourced.Position) error {
	u.position = to
	return nil
}

func (u *unkept) Release(context.Context, consumer.ID, string) error { return nil }
