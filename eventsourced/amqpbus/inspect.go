package amqpbus

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// QueueState is what [Subscriber.Inspect] found.
type QueueState struct {
	Queue     string
	There     bool
	AsWanted  bool // of the configured QueueType, and all else that can't be changed
	Messages  int  // that wait
	Consumers int
	HalfDone  bool // an Upgrade was interrupted: run it again
}

// Inspect looks at the queue of a topic, and changes nothing if it is there.
func (s *Subscriber) Inspect(ctx context.Context, topic string) (state QueueState, err error) {
	conn, err := s.broker.dial(ctx, "inspect "+s.Queue(topic), nil)
	if err == nil {
		defer func() { _ = conn.Close() }()
		state, err = s.inspect(conn, s.Queue(topic), s.config.arguments(major(conn), s.config.Competing))
	}
	if err != nil {
		return QueueState{}, fmt.Errorf("inspect %s at %s: %w", s.Queue(topic), s.broker, err)
	}
	return state, nil
}

// Queues returns how the queue of a topic stands, and that of its dead letters: how many messages
// wait, and for how many consumers. It needs no permission and changes nothing; nothing is said of AsWanted.
func (s *Subscriber) Queues(ctx context.Context, topic string) (states []QueueState, err error) {
	conn, err := s.broker.dial(ctx, "look at "+s.Queue(topic), nil)
	if err != nil {
		return nil, fmt.Errorf("look at %s at %s: %w", s.Queue(topic), s.broker, err)
	}
	defer func() { _ = conn.Close() }()
	for _, queue := range []string{s.Queue(topic), s.DeadLetterQueue(topic)} {
		isThere, found, err := there(conn, queue)
		if err != nil {
			return states, fmt.Errorf("look at %s at %s: %w", queue, s.broker, explain(err))
		}
		states = append(states, QueueState{Queue: queue, There: isThere, Messages: found.Messages, Consumers: found.Consumers})
	}
	return states, nil
}

func (s *Subscriber) inspect(conn *amqp.Connection, queue string, arguments amqp.Table) (state QueueState, err error) {
	state.Queue = queue
	if state.HalfDone, _, err = there(conn, oldOf(queue)); err != nil {
		return state, err
	}
	if !state.HalfDone {
		if state.HalfDone, _, err = there(conn, newOf(queue)); err != nil {
			return state, err
		}
	}
	var found amqp.Queue
	if state.There, found, err = there(conn, queue); err != nil || !state.There {
		return state, err
	}
	state.Messages, state.Consumers = found.Messages, found.Consumers
	err = onChannel(conn, func(channel *amqp.Channel) error {
		_, err := channel.QueueDeclare(queue, true, false, false, false, arguments)
		return err
	})
	if refusal := (*amqp.Error)(nil); errors.As(err, &refusal) && refusal.Code == amqp.PreconditionFailed {
		return state, nil
	}
	state.AsWanted = err == nil
	return state, err
}

// there tells whether a queue is there.
func there(conn *amqp.Connection, name string) (bool, amqp.Queue, error) {
	var queue amqp.Queue
	err := onChannel(conn, func(channel *amqp.Channel) (err error) {
		queue, err = channel.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	})
	if refusal := (*amqp.Error)(nil); errors.As(err, &refusal) && refusal.Code == amqp.NotFound {
		return false, queue, nil
	}
	return err == nil, queue, err
}
