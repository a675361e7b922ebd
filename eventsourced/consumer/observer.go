package consumer

import (
	"context"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Observer is told what consumers do: metrics hang on it. Its methods are called by the
// goroutines that do the work, of all consumers concurrently, and hold them up until they
// return. Embed [NoObserver]: so a program compiles when there is more to be told.
type Observer interface {
	// Handled is called after events were handled and the position that says so was saved.
	Handled(ctx context.Context, progress Progress)

	// Failed is called after each try that failed.
	Failed(ctx context.Context, id ID, failure Failure)

	// Parked is called after an event was put aside, so that others could go on.
	Parked(ctx context.Context, id ID, failure Failure)

	// Stalled is called once when something under way takes so long that the state is [Stalled]. If it
	// fails or goes on, one of the above is called next.
	Stalled(ctx context.Context, id ID, failure Failure)

	// Standby is called when a node of projections begins to stand by for one: because another
	// node runs it, then cause is nil, or because this program may not run it.
	Standby(ctx context.Context, id ID, cause error)

	// Reset is called after this process has reset a projection.
	Reset(ctx context.Context, id ID)

	// Rebuilt is called after this process has rebuilt a projection beside its tables, which
	// took so long.
	Rebuilt(ctx context.Context, id ID, took time.Duration)
}

// Progress is what [Observer.Handled] is told.
type Progress struct {
	ID       ID
	Events   int                   // that were handled
	Position eventsourced.Position // everything up to it is done
	Took     time.Duration
}

// NoObserver is an [Observer] that does nothing.
type NoObserver struct{}

// Handled implements [Observer].
func (NoObserver) Handled(context.Context, Progress) {}

// Failed implements [Observer].
func (NoObserver) Failed(context.Context, ID, Failure) {}

// Parked implements [Observer].
func (NoObserver) Parked(context.Context, ID, Failure) {}

// Stalled implements [Observer].
func (NoObserver) Stalled(context.Context, ID, Failure) {}

// Standby implements [Observer].
func (NoObserver) Standby(context.Context, ID, error) {}

// Reset implements [Observer].
func (NoObserver) Reset(context.Context, ID) {}

// Rebuilt implements [Observer].
func (NoObserver) Rebuilt(context.Context, ID, time.Duration) {}
