package reactor

import (
	"context"
	"errors"
	"net"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

var errMissing = errors.New("the event is not in the log any more")

// mayPass tells that an error of a reaction's may be gone after a while, and is not
// the event's: a deadline, a statement timeout, a network that fails, or that
// [consumer.Config.HangTimeout] has ended the reaction's context. An append that gave up
// waiting for the log's lock unwraps to one of them.
func mayPass(err error) bool {
	var netErr net.Error
	return pgerr.Lost(err) || errors.As(err, &netErr) || pgerr.Canceled(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
