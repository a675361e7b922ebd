package messaging

import (
	"context"
	"errors"
	"net"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

var (
	// ErrClosed is returned by Subscribe and Publish after Close.
	ErrClosed = errors.New("closed")

	// ErrMalformed is returned by [Unmarshal] for a message that is not an event,
	// and by [Publisher.Publish] for one that can't become one: delivering it again
	// does not help. The error names the metadata key and its value.
	ErrMalformed = errors.New("malformed message")

	// ErrLeaseLost is returned by a [PositionStore] to a node that holds the lease
	// no more, or that is wrong about the position.
	ErrLeaseLost = errors.New("another node is active, or the position was changed")

	// ErrNoAggregate is returned by [Marshaler.Marshal] for an event of which it does
	// not know the aggregate, and so the stream.
	ErrNoAggregate = errors.New("the event's aggregate is not known")

	// ErrAhead is why a consumer has stopped whose position is above the log's head.
	// It is in the status and in the log, and no method returns it.
	ErrAhead = errors.New("ahead of the log")

	errMissing = errors.New("the event is not in the log any more")
)

// mayPass tells that an error of a reaction's may be gone after a while, and is not
// the event's: a deadline, a statement timeout, a network that fails, or that
// [ReactorConfig.HangTimeout] has ended the reaction's context. An append that gave up
// waiting for the log's lock unwraps to one of them.
func mayPass(err error) bool {
	var netErr net.Error
	return pgerr.Lost(err) || errors.As(err, &netErr) || pgerr.Code(err) == "57014" || // a statement timeout
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
