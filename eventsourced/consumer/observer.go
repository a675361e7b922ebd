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
