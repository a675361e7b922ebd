package messaging

import "errors"

var (
	// ErrClosed is returned by Subscribe and Publish after Close.
	ErrClosed = errors.New("closed")

	// ErrMalformed is returned by [Unmarshal] for a message that is not an event,
	// and by [Publisher.Publish] for one that can't become one: delivering it again
	// does not help. The error names the metadata key and its value.
	ErrMalformed = errors.New("malformed message")

	// ErrNoAggregate is returned by [Marshaler.Marshal] for an event of which it does
	// not know the aggregate, and so the stream.
	ErrNoAggregate = errors.New("the event's aggregate is not known")

	errNotAcked = errors.New("the message was nacked")
)
