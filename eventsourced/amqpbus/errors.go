package amqpbus

import (
	"errors"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

var (
	// ErrClosed is returned by Publish and Subscribe after Close.
	ErrClosed = errors.New("closed")

	// ErrNotConfirmed is returned by [Publisher.Publish] when the broker refused a
	// message, or did not confirm it in time. It may have it all the same: publish
	// again.
	ErrNotConfirmed = errors.New("the broker did not confirm a message")

	// ErrBlocked is returned by [Publisher.Publish] while the broker takes no
	// messages, because it is short of disk space or of memory.
	ErrBlocked = errors.New("the broker accepts no messages")

	// ErrUnroutable is [messaging.ErrUnroutable], returned by [Publisher.Publish] for a [QueueTopic] whose queue
	// is not there, for a request that no queue takes, and by [Subscriber.Upgrade] without one.
	ErrUnroutable = messaging.ErrUnroutable

	// ErrTooLong is returned by Publish and Subscribe for a topic, a queue or a
	// metadata key of more than 255 bytes, which AMQP has no room for.
	ErrTooLong = errors.New("longer than 255 bytes")

	// ErrReplyTo is returned by [Publisher.CheckReply] and [Subscriber.ForFeed].
	ErrReplyTo = errors.New("no queue of those who receive the topic")

	// ErrNoQueue is returned by [Subscriber.Answers] with [DeclareNothing].
	ErrNoQueue = errors.New("with DeclareNothing no queue is made for the answers: run it where Declare is another one, with the rights for that, " +
		"or have an operator make a queue, and give a Subscriber of it as History in a program of your own")

	// ErrInUse is returned by [Subscriber.Upgrade] while somebody receives from the queue.
	ErrInUse = errors.New("the queue has a consumer: stop all subscribers of the group first")

	// ErrURL is returned by the constructors for a URL, or one of several, that is
	// none. It does not show it, as it has a password.
	ErrURL = errors.New("the URL of the broker is not of the form amqp://user:password@host:port/vhost")
)

// unreachable is why there is no connection, and [messaging.ErrUnreachable].
type unreachable struct{ error }

func (e unreachable) Unwrap() error        { return e.error }
func (e unreachable) Is(target error) bool { return target == messaging.ErrUnreachable }

// errPhantom is a delivery that no broker has made.
var errPhantom = errors.New("an empty delivery: the connection is lost")
