package amqpbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Upgraded is what [Subscriber.Upgrade] has done.
type Upgraded struct {
	Moved int // messages

	// Late are those that came in the moment in which the new queue took over. They
	// are in it behind others that are later, and perhaps twice. A projection asks for
	// the history then. There are none while the publisher is quiet.
	Late int
}

var errAgain = errors.New("messages came meanwhile: run it again")

// Upgrade makes the queue of a topic, and its dead-letter queue, of the configured
// [QueueType], such as Quorum where it was Classic, with all its messages in order. No
// subscriber of the group may run, in whatever process: [ErrInUse]. Without such a queue it
// is [ErrUnroutable]. Nothing that is
// published meanwhile is lost; see Upgraded.Late. When it is interrupted, run it again,
// before a subscriber. Bindings are those of the configuration; others are lost.
//
// Meanwhile messages wait in the queues "<queue>.old" and "<queue>.new". What is sent to
// the queue past the exchange, such as history, fails while there is none, for a moment.
func (s *Subscriber) Upgrade(ctx context.Context, topic string) (done Upgraded, err error) {
	conn, err := s.broker.dial(ctx, "upgrade "+s.Queue(topic), nil)
	if err == nil {
		defer func() { _ = conn.Close() }()
		err = s.upgrade(ctx, conn, s.Queue(topic), topic, s.config.Competing, &done)
		if err == nil {
			err = s.upgrade(ctx, conn, s.DeadLetterQueue(topic), "", true, &done)
		}
	}
	if err != nil {
		return done, fmt.Errorf("upgrade %s at %s: %w", s.Queue(topic), s.broker, explain(err))
	}
	return done, nil
}

func oldOf(queue string) string { return queue + ".old" }
func newOf(queue string) string { return queue + ".new" }

// upgrade changes one queue, which is bound to the exchange of topic, if that is not "".
// Every step may be done twice.
func (s *Subscriber) upgrade(ctx context.Context, conn *amqp.Connection, queue, topic string, competing bool, done *Upgraded) error {
	arguments, plain := s.config.arguments(major(conn), competing), s.config.arguments(major(conn), true)
	state, err := s.inspect(conn, queue, arguments)
	switch {
	case err != nil:
		return err
	case state.Consumers > 0:
		return fmt.Errorf("%s: %w", queue, ErrInUse)
	case topic != "" && !state.There && !state.HalfDone: // dead letters there need not be
		return fmt.Errorf("%s: %w", queue, ErrUnroutable)
	case !state.HalfDone && (state.AsWanted || !state.There):
		return nil
	}
	err = onChannel(conn, func(channel *amqp.Channel) error {
		for _, name := range []string{oldOf(queue), newOf(queue)} {
			if _, err := channel.QueueDeclare(name, true, false, false, false, plain); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if state.There && !state.AsWanted {
		if err := s.empty(ctx, conn, queue, topic); err != nil {
			return err
		}
	}
	return s.fill(ctx, conn, queue, topic, arguments, done)
}

// empty moves what is in a queue aside, has what comes meanwhile go to the new one, and
// deletes the queue.
func (s *Subscriber) empty(ctx context.Context, conn *amqp.Connection, queue, topic string) error {
	if err := s.rebind(conn, queue, newOf(queue), topic); err != nil {
		return err
	}
	for {
		if _, err := move(ctx, conn, queue, oldOf(queue)); err != nil {
			return err
		}
		if deleted, err := deleteEmpty(conn, queue); deleted || err != nil {
			return err
		}
	}
}

// deleteEmpty deletes a queue that is empty. Quorum queues can't be asked to look themselves.
func deleteEmpty(conn *amqp.Connection, queue string) (deleted bool, err error) {
	err = onChannel(conn, func(channel *amqp.Channel) error {
		state, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		switch {
		case err != nil:
			return err
		case state.Consumers > 0:
			return ErrInUse
		case state.Messages > 0:
			return nil // something came meanwhile, past the exchange
		}
		_, err = channel.QueueDelete(queue, false, false, false)
		deleted = err == nil
		return err
	})
	return deleted, err
}

// fill makes the queue and moves back what was moved aside, then what came meanwhile.
func (s *Subscriber) fill(ctx context.Context, conn *amqp.Connection, queue, topic string, arguments amqp.Table, done *Upgraded) error {
	err := onChannel(conn, func(channel *amqp.Channel) error {
		_, err := channel.QueueDeclare(queue, true, false, false, false, arguments)
		return err
	})
	if err != nil {
		return err
	}
	n, err := move(ctx, conn, oldOf(queue), queue)
	if done.Moved += n; err != nil {
		return err
	}
	n, err = move(ctx, conn, newOf(queue), queue)
	if done.Moved += n; err != nil {
		return err
	}
	if err := s.rebind(conn, newOf(queue), queue, topic); err != nil {
		return err
	}
	n, err = move(ctx, conn, newOf(queue), queue)
	done.Moved, done.Late = done.Moved+n, done.Late+n
	if err != nil {
		return err
	}
	for _, name := range []string{oldOf(queue), newOf(queue)} {
		if deleted, err := deleteEmpty(conn, name); err != nil || !deleted {
			return cmp.Or(err, errAgain)
		}
	}
	return nil
}

// rebind binds one queue, and then no longer the other one: between the two both get
// what is published.
func (s *Subscriber) rebind(conn *amqp.Connection, from, to, topic string) error {
	if topic == "" {
		return nil
	}
	return onChannel(conn, func(channel *amqp.Channel) error {
		if err := s.bind(channel, to, topic); err != nil {
			return err
		}
		for _, key := range s.config.Bindings {
			if err := channel.QueueUnbind(from, key, topic, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// onChannel calls do with a channel of its own: an error of the broker ends it.
func onChannel(conn *amqp.Connection, do func(*amqp.Channel) error) error {
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = channel.Close() }()
	return do(channel)
}
