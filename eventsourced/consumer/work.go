package consumer

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Work is what a consumer does with the events of the log. Its functions are called by the
// goroutine of [Follower.Run], one at a time, with a context that ends with the lease.
type Work struct {
	// ID says which consumer it is.
	ID ID

	// Names are those of the events that are handled. By default all are.
	Names []string

	// PageEvents is how many events are read at once, and held in memory.
	PageEvents int

	// StartAtHead lets a new consumer begin with the events that come after its first
	// start. It needs a [Store].
	StartAtHead bool

	// Retries lets a consumer that stopped at a failure try again at its first lease: a
	// restart of the process resumes it.
	Retries bool

	// Handle is given the next events, in the order of the log, and saves the position as
	// it gets on. What it has not saved it is given again, after an error with a back-off;
	// [ErrStopped] is no failure.
	Handle func(ctx context.Context, events []eventsourced.Recorded) error

	// After, if set, is up to where Handle was given events, as far as that is above the
	// position: it may return while they are being handled, and saves the position later.
	// Then it also tells the [Observer] of what was handled.
	After func() eventsourced.Position

	// Failing, if set, tells that some events are being tried again: then what is on
	// record about events stays, though others are done.
	Failing func() bool

	// Begin, if set, is called with every lease, before events are handled; what it
	// returns is called at the lease's end.
	Begin func(ctx context.Context) (end func(), err error)

	// Between, if set, is called before the log is looked at, and soon after
	// [Follower.Nudge].
	Between func(ctx context.Context) error

	// Skip moves the position over events that are not handled. By default it is
	// [Follower.Save].
	Skip func(ctx context.Context, to eventsourced.Position) error
}
