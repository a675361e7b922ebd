package readview

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/migrate"
)

// ErrNewerTables is returned by [Migrate] and [Pending] when a newer version of this
// package has changed the database's tables. Run that version.
var ErrNewerTables = migrate.ErrNewer

var (
	// ErrUnknownProjection is returned by the methods of [Manager] that take a
	// name which was never given to Add. The error lists those that were.
	ErrUnknownProjection = errors.New("unknown projection")

	// ErrNoReset is returned by [Manager.ResetProjection] for a projection
	// without a reset handler.
	ErrNoReset = errors.New("the projection has no reset handler")

	// ErrNotRunning is returned by [Manager.WaitFor] for a projection that is
	// paused or failed: it would wait for ever.
	ErrNotRunning = errors.New("the projection does not run")

	// ErrGap is the failure of a projection whose messages say that some are
	// missing, and that can't ask for them: see [Feed.Requests].
	ErrGap = errors.New("events are missing")

	// ErrNewEvents is the failure of a projection that handles events which it did
	// not handle when it moved past them. Reset it, or set
	// [Projection.AcceptNewEvents].
	ErrNewEvents = errors.New("the projection handles events that it has passed over")
)

// errStale: the page does not fit what is stored. Somebody else applied it, or
// the projection was reset, paused or given other handlers. Nothing was done.
var errStale = errors.New("the page is out of date")

// EventError says which event a projection could not apply, and why. It unwraps
// to the handler's error, or to an [*eventsourced.DecodeError].
type EventError struct {
	Projection string
	Event      eventsourced.Recorded
	Err        error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("projection %s: apply %s of %s, position %d, id %s: %v",
		e.Projection, e.Event.Name, e.Event.Stream, e.Event.Position, e.Event.ID, e.Err)
}

// Unwrap returns the cause.
func (e *EventError) Unwrap() error { return e.Err }

// panicError is a handler's panic.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func newEventsError(name string, position eventsourced.Position, added []string) error {
	return fmt.Errorf("%w: %s is at position %d and now also handles %s; reset it to apply them from the start, or set AcceptNewEvents",
		ErrNewEvents, name, position, strings.Join(added, ", "))
}
