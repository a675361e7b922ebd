package consumer

import (
	"errors"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

var (
	// ErrLeaseLost is returned by a [LeaseStore] to a node that holds the lease
	// no more, or that is wrong about the position.
	ErrLeaseLost = errors.New("another node is active, or the position was changed")

	// ErrAhead is why a consumer has stopped whose position is above the log's head: the
	// log is an older one, from a backup or of another database. It is in the status and
	// in the log, and no method returns it.
	ErrAhead = errors.New("ahead of the log")

	// ErrStopped is returned by [Work.Handle] when it has stopped the consumer with
	// [Follower.Stop].
	ErrStopped = errors.New("the consumer is stopped")

	// ErrUnknown is returned by [Store.Pause] and [Store.Resume] for a consumer that has
	// never run.
	ErrUnknown = errors.New("no such consumer")
)

// ProblemError says why something does not work, since when, and how often it was
// tried. It unwraps to the cause.
type ProblemError struct {
	Err      error
	Since    time.Time
	Attempts int
}

func (e *ProblemError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ProblemError) Unwrap() error { return e.Err }

// WorkError is returned by a [Work] that knows which event its error is about. Its text is that of
// the cause, to which it unwraps.
type WorkError struct {
	Event eventsourced.Recorded
	Err   error
}

func (e *WorkError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *WorkError) Unwrap() error { return e.Err }
