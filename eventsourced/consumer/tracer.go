package consumer

import (
	"context"
	"iter"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Tracer is told what consumers do when it begins: the spans of a trace hang on it. Its methods are
// called by the goroutines that do the work, of all consumers concurrently, and hold them up until they
// return. Embed [NoTracer]: so a program compiles when there is more to be told.
type Tracer interface {
	// Handling is called before each try at a piece of work, which goes on under the context that it
	// returns. end is called once when the try has ended, with up to where everything is done, 0 if
	// nothing was, and with the error that it failed with.
	Handling(ctx context.Context, work Handling) (_ context.Context, end func(eventsourced.Position, error))

	// HandlingEvent is called before each event of a page, and of nothing else; the rest is as with
	// Handling. end may be nil.
	HandlingEvent(ctx context.Context, id ID, event *eventsourced.Recorded) (_ context.Context, end func(error))
}

// Handling is a piece of work that a [Tracer] is told of: a transaction in which a projection applies a
// page of events, a call of a reaction, a group of messages that a relay publishes, a message that a
// subscriber hands out.
type Handling struct {
	ID     ID
	Topic  string                          // that a relay publishes to
	Events int                             // that are to be handled
	Causes iter.Seq[eventsourced.Metadata] // of those events; only while Handling runs
}

// NoTracer is a [Tracer] that does nothing.
type NoTracer struct{}

// Handling implements [Tracer].
func (NoTracer) Handling(ctx context.Context, _ Handling) (context.Context, func(eventsourced.Position, error)) {
	return ctx, func(eventsourced.Position, error) {}
}

// HandlingEvent implements [Tracer].
func (NoTracer) HandlingEvent(ctx context.Context, _ ID, _ *eventsourced.Recorded) (context.Context, func(error)) {
	return ctx, nil
}

// Causes returns what Causes of a [Handling] is when it is about one event.
func Causes(event *eventsourced.Recorded) iter.Seq[eventsourced.Metadata] {
	return func(yield func(eventsourced.Metadata) bool) { yield(event.Metadata) }
}
