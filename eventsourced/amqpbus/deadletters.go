package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// DeadLetter is a message that could not be handled, see [SubscriberConfig.Attempts]. In the
// dead-letter queue it is the message as it came, with these fields as further headers.
type DeadLetter struct {
	Message *message.Message // as it came
	Reason  string           // the last error, if [Reasons] is among the router's middlewares
	Time    time.Time        // when it was given up
	Tries   int              // in a row, before that
	Queue   string           // which it came from, and goes back to
	Topic   string           // which it was published to
}

// Headers of a dead letter, all strings.
const (
	headerReason = "dead_letter_reason"
	headerTime   = "dead_letter_time" // RFC 3339, UTC
	headerTries  = "dead_letter_tries"
	headerQueue  = "dead_letter_queue"
	headerTopic  = "dead_letter_topic"
)

// maxReason is how many bytes of an error go along.
const maxReason = 4096

// mark returns the message with the headers.
func (d DeadLetter) mark() *message.Message {
	msg := d.Message.Copy()
	msg.Metadata[headerReason] = d.Reason[:min(len(d.Reason), maxReason)]
	msg.Metadata[headerTime] = d.Time.UTC().Format(time.RFC3339Nano)
	msg.Metadata[headerTries] = strconv.Itoa(d.Tries)
	msg.Metadata[headerQueue] = d.Queue
	msg.Metadata[headerTopic] = d.Topic
	return msg
}

// deadLetter undoes mark. What somebody else has put there has no reason.
func (s *Subscriber) deadLetter(topic string, delivery amqp.Delivery) (DeadLetter, error) {
	msg, err := marshaler{}.Unmarshal(delivery)
	if err != nil {
		return DeadLetter{}, err
	}
	letter := DeadLetter{Message: msg, Reason: msg.Metadata[headerReason], Queue: s.Queue(topic), Topic: topic}
	letter.Time, _ = time.Parse(time.RFC3339Nano, msg.Metadata[headerTime])
	letter.Tries, _ = strconv.Atoi(msg.Metadata[headerTries])
	for _, name := range deadHeaders {
		delete(msg.Metadata, name)
	}
	return letter, nil
}

var deadHeaders = []string{headerReason, headerTime, headerTries, headerQueue, headerTopic}

// DeadLetters returns the first messages of a topic's dead-letter queue, at most limit, and
// leaves them there. It fails when there is no such queue.
func (s *Subscriber) DeadLetters(ctx context.Context, topic string, limit int) (letters []DeadLetter, err error) {
	err = s.eachDeadLetter(ctx, topic, limit, func(_ *amqp.Channel, _ amqp.Delivery, letter DeadLetter) error {
		letters = append(letters, letter)
		return nil
	})
	return letters, err
}

// Requeue puts the messages with these ids, or all, from the dead-letter queue of a topic back
// to the end of the queue of this group, and returns them. Other groups, which had them, don't
// get them again. What is interrupted may have put one back twice. It returns [ErrUnroutable]
// when the queue is not there.
func (s *Subscriber) Requeue(ctx context.Context, topic string, ids ...string) (requeued []DeadLetter, err error) {
	var out *forwarder
	err = s.eachDeadLetter(ctx, topic, 0, func(channel *amqp.Channel, delivery amqp.Delivery, letter DeadLetter) (err error) {
		if len(ids) > 0 && !slices.Contains(ids, letter.Message.UUID) {
			return nil
		}
		if out == nil {
			if out, err = newForwarder(channel, s.Queue(topic)); err != nil {
				return err
			}
		}
		if err := out.forward(ctx, delivery); err != nil {
			return err
		}
		requeued = append(requeued, letter)
		return delivery.Ack(false)
	})
	return requeued, err
}

// eachDeadLetter calls do with what is there now, up to limit, if that is not 0. What do does
// not ack stays.
func (s *Subscriber) eachDeadLetter(ctx context.Context, topic string, limit int, do func(*amqp.Channel, amqp.Delivery, DeadLetter) error) error {
	queue := s.DeadLetterQueue(topic)
	err := s.withChannel(ctx, "dead letters of "+queue, func(_ *amqp.Connection, channel *amqp.Channel) error {
		state, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		if refusal := (*amqp.Error)(nil); errors.As(err, &refusal) && refusal.Code == amqp.NotFound {
			return fmt.Errorf("%w (a subscriber with Attempts makes it; without that nothing is given up)", err)
		}
		if err != nil {
			return explain(err)
		}
		if limit <= 0 {
			limit = state.Messages
		}
		for range min(limit, state.Messages) {
			delivery, there, err := channel.Get(queue, false)
			if err != nil || !there || ctx.Err() != nil {
				return orCause(ctx, err)
			}
			letter, err := s.deadLetter(topic, delivery)
			if err != nil {
				return err
			}
			if err := do(channel, delivery, letter); err != nil {
				return fmt.Errorf("message %s: %w", letter.Message.UUID, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("dead letters of %s at %s: %w", queue, s.broker, err)
	}
	return nil
}

func orCause(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return context.Cause(ctx)
}

// Reasons is a Watermill middleware that keeps a handler's error, for the dead letter that its
// message may become: a Nack does not tell. Add it to the router after those that retry.
func Reasons(handler message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		note, _ := msg.Context().Value(noteKey{}).(*note)
		if note == nil {
			return handler(msg)
		}
		defer func() {
			if panicked := recover(); panicked != nil {
				note.write(fmt.Sprint("panic: ", panicked))
				panic(panicked)
			}
		}()
		messages, err := handler(msg)
		if err != nil {
			note.write(err.Error())
		}
		return messages, err
	}
}

type noteKey struct{}

// note is why a handler did not handle a message.
type note struct {
	mu   sync.Mutex
	text string
}

func (n *note) write(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text = text
}

// read returns what is noted, which is not "".
func (n *note) read() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.text == "" {
		return "nacked"
	}
	return n.text
}
