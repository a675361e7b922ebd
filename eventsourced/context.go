package eventsourced

import (
	"context"
	"maps"
	"slices"
)

// Metadata says around an event what is not part of it. Keys are in snake case.
// It is read-only once the event is recorded.
type Metadata map[string]string

// Keys of [Metadata] that have a meaning here.
const (
	MetaCorrelation = "correlation_id" // the request or process that all events of one chain share
	MetaCausation   = "causation_id"   // the id of the event or command that led to this one
	MetaActor       = "actor"          // who asked for it

	// The trace that an event is of, as W3C's Trace Context has it. What is appended in the
	// handling of an event is of the same trace, and messages carry both.
	MetaTraceParent = "traceparent"
	MetaTraceState  = "tracestate"
)

type metadataKey struct{}

// WithMetadata returns a context under which [Registry.Encode], and so every
// repository, gives new events this metadata entry besides those ctx has.
func WithMetadata(ctx context.Context, key, value string) context.Context {
	metadata := maps.Clone(contextMetadata(ctx))
	if metadata == nil {
		metadata = make(Metadata, 1)
	}
	metadata[key] = value
	return context.WithValue(ctx, metadataKey{}, metadata)
}

// WithCorrelation is [WithMetadata] for [MetaCorrelation].
func WithCorrelation(ctx context.Context, id string) context.Context {
	return WithMetadata(ctx, MetaCorrelation, id)
}

// WithCausation is [WithMetadata] for [MetaCausation].
func WithCausation(ctx context.Context, id string) context.Context {
	return WithMetadata(ctx, MetaCausation, id)
}

// WithActor is [WithMetadata] for [MetaActor].
func WithActor(ctx context.Context, actor string) context.Context {
	return WithMetadata(ctx, MetaActor, actor)
}

// ContextActor returns who [WithActor] says it is, "" for nobody.
func ContextActor(ctx context.Context) string { return contextMetadata(ctx)[MetaActor] }

type recordedKey struct{}

// WithRecorded returns the context in which an event is handled: [FromContext]
// returns the event, and events appended under it name it as their cause and
// share its correlation (its own id, where it has none), and its trace, if it has one.
func WithRecorded(ctx context.Context, event *Recorded) context.Context {
	return context.WithValue(ctx, recordedKey{}, event)
}

// FromContext returns the event that is being handled: its id, name, version,
// position and metadata. It returns nil outside a handler. The event is
// read-only.
func FromContext(ctx context.Context) *Recorded {
	event, _ := ctx.Value(recordedKey{}).(*Recorded)
	return event
}

func contextMetadata(ctx context.Context) Metadata {
	metadata, _ := ctx.Value(metadataKey{}).(Metadata)
	return metadata
}

// newMetadata returns the metadata of events made under ctx, nil when there is
// none. What the context says wins over what follows from the handled event.
func newMetadata(ctx context.Context) Metadata {
	own, cause := contextMetadata(ctx), FromContext(ctx)
	if cause == nil {
		return own
	}
	correlation := cause.Metadata[MetaCorrelation]
	if correlation == "" {
		correlation = cause.ID.String()
	}
	metadata := Metadata{MetaCorrelation: correlation, MetaCausation: cause.ID.String()}
	if own[MetaTraceParent] == "" {
		PassTrace(cause.Metadata, metadata)
	}
	maps.Copy(metadata, own)
	return metadata
}

// WithTrace returns a context under which new events are of the trace that metadata has, and of no other. It is
// [WithMetadata] for [MetaTraceParent] and [MetaTraceState].
func WithTrace(ctx context.Context, metadata Metadata) context.Context {
	own := maps.Clone(contextMetadata(ctx))
	if own == nil {
		own = make(Metadata, 2)
	}
	delete(own, MetaTraceParent)
	delete(own, MetaTraceState)
	PassTrace(metadata, own)
	return context.WithValue(ctx, metadataKey{}, own)
}

// Traced returns events with the trace that ctx has by [WithTrace] in the place of theirs; those that ctx has none
// for, and an event whose metadata would exceed [MaxMetadata] by it, as they are. It is for stores, and changes
// nothing of what it is given.
func Traced(ctx context.Context, events []EventData) []EventData {
	trace := contextMetadata(ctx)
	if trace[MetaTraceParent] == "" {
		return events
	}
	events = slices.Clone(events)
	for i := range events {
		metadata := maps.Clone(events[i].Metadata)
		if metadata == nil {
			metadata = make(Metadata, 2)
		}
		delete(metadata, MetaTraceState)
		PassTrace(trace, metadata)
		if validateMetadata(metadata) == nil {
			events[i].Metadata = metadata
		}
	}
	return events
}

// PassTrace copies the trace from one event's metadata to that of another, which belongs to it.
func PassTrace(from, to Metadata) {
	for _, key := range []string{MetaTraceParent, MetaTraceState} {
		if value := from[key]; value != "" {
			to[key] = value
		}
	}
}
