package messaging

import "errors"

var (
	// ErrClosed is returned by Subscribe and Publish after Close.
	ErrClosed = errors.New("closed")

	// ErrMalformed is returned by [Unmarshal], and by what package relay unmarshals, for a message that is not an event,
	// and by [Publisher.Publish] for one that can't become one: delivering it again
	// does not help. The error names the metadata key and its value.
	ErrMalformed = errors.New("malformed message")

	// ErrWireVersion is returned by [Unmarshal], and by what package relay unmarshals, for what
	// was written in a version of the wire format that this program does not know: by a newer
	// one. Delivering it again helps once this program is a newer one, too.
	ErrWireVersion = errors.New("unknown version of the wire format")

	// ErrNoAggregate is returned by [Marshaler.Marshal] for an event of which it does
	// not know the aggregate, and so the stream.
	ErrNoAggregate = errors.New("the event's aggregate is not known")

	// ErrUnroutable is what a Publisher returns, as amqpbus.Publisher does, when what it publishes to leads to nobody: a
	// queue that is gone. Package relay gives up an answer then, where it sends smaller pages after other errors.
	ErrUnroutable = errors.New("there is no such queue")

	// ErrUnreachable is what a Publisher returns, as amqpbus.Publisher does, when there is no connection to publish over, so that
	// the error is about none of the messages. Package relay sends a page again later then, as it is.
	ErrUnreachable = errors.New("the broker can't be reached")

	errNotAcked = errors.New("the message was nacked")
)
