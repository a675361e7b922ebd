package pgstore

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Tracer is told of appends when they begin: the spans of a trace hang on it. Its method is called by
// the goroutines that append, concurrently, and holds them up until it returns. Embed [NoTracer]: so a
// program compiles when there is more to be told.
type Tracer interface {
	// Appending is called for each [Store.Append] and [Store.AppendTx] that is valid. The append goes on
	// under the context that it returns, and its events get the trace that this context has, see
	// [eventsourced.WithTrace]. end is called once, with the position or the error that the caller gets.
	Appending(ctx context.Context, stream eventsourced.Stream, events []eventsourced.EventData) (_ context.Context, end func(eventsourced.Position, error))
}

// NoTracer is a [Tracer] that does nothing.
type NoTracer struct{}

// Appending implements [Tracer].
func (NoTracer) Appending(ctx context.Context, _ eventsourced.Stream, _ []eventsourced.EventData) (context.Context, func(eventsourced.Position, error)) {
	return ctx, func(eventsourced.Position, error) {}
}

// begin tells the tracer of a request, if there is one.
func (s *Store) begin(ctx context.Context, r *request) (context.Context, func(eventsourced.Position, error)) {
	if s.config.Tracer == nil {
		r.ctx = ctx
		return ctx, func(eventsourced.Position, error) {}
	}
	ctx, end := s.config.Tracer.Appending(ctx, r.stream, r.events)
	r.ctx, r.events = ctx, eventsourced.Traced(ctx, r.events)
	return ctx, end
}
