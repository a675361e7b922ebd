package amqpbus

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/internal/wait"
)

// handle hands out a delivery until it is done with, and calls handed once it is handed out. On an error the connection is to be
// closed: the broker then takes back what is not acked, all at once and so in order.
func (s *Subscriber) handle(ctx context.Context, sub *subscription, delivery amqp.Delivery, handed func()) error {
	received, err := marshaler{}.Unmarshal(delivery)
	if err != nil {
		return err
	}
	if err := s.handOut(ctx, sub, received, handed); err != nil {
		return err
	}
	if err := delivery.Ack(false); err != nil {
		return fmt.Errorf("tell the broker that a message is handled: %w", err)
	}
	return nil
}

// handOut returns nil when a message was acked, or buried, in the end; or the error of ctx.
func (s *Subscriber) handOut(ctx context.Context, sub *subscription, received *message.Message, handed func()) error {
	for attempt := 1; ; attempt++ {
		reason, err := s.handOutOnce(ctx, received, sub.out, handed)
		if err != nil || reason == "" {
			return err
		}
		if s.config.Attempts > 0 && attempt >= s.config.Attempts && s.bury(ctx, sub, received, reason, attempt) {
			return nil
		}
		pause := s.config.backOff(attempt)
		s.config.Logger.WarnContext(ctx, "message was nacked", "queue", sub.queue, "message_uuid", received.UUID, "attempt", attempt, "wait", pause)
		wait.Sleep(ctx, pause)
	}
}

// handOutOnce returns why the message was nacked, or "" when it was acked. The error is
// that of ctx.
func (s *Subscriber) handOutOnce(ctx context.Context, received *message.Message, out chan<- *message.Message, handed func()) (reason string, err error) {
	msg := received.Copy()
	msgCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	note := new(note)
	msg.SetContext(context.WithValue(msgCtx, noteKey{}, note))
	select {
	case out <- msg:
		handed()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	ended := ctx.Done()
	var drained <-chan time.Time
	for {
		select {
		case <-msg.Acked():
			return "", nil
		case <-msg.Nacked():
			return note.read(), ctx.Err()
		case <-ended:
			ended, drained = nil, time.After(s.config.DrainTimeout)
		case <-drained:
			return "", ctx.Err()
		}
	}
}

// bury puts a message into the dead-letter queue, and tells whether it is there.
func (s *Subscriber) bury(ctx context.Context, sub *subscription, received *message.Message, reason string, tries int) bool {
	queue := s.DeadLetterQueue(sub.topic)
	letter := DeadLetter{Message: received.Copy(), Reason: reason, Time: time.Now(), Tries: tries, Queue: sub.queue, Topic: sub.topic}
	msg := letter.mark()
	msg.SetContext(ctx)
	if err := s.dead.Publish(QueueTopic(queue), msg); err != nil { //nolint:contextcheck // the message has it
		s.config.Logger.WarnContext(ctx, "message not buried, it comes again", "queue", queue, "message_uuid", msg.UUID, "error", err)
		return false
	}
	s.config.Logger.ErrorContext(ctx, "message could not be handled", "dead_letter_queue", queue, "message_uuid", msg.UUID, "reason", reason)
	return true
}
