package eventsourced

import (
	"context"
	"maps"
	"strconv"
)

// Metadata says around an event what is not part of it. Keys are in snake case.
// It is read-only once the event is recorded.
type Metadata map[string]string

// Keys of [Metadata] that have a meaning here.
const (
	MetaCorrelation = "correlation_id" // the request or process that all events of one chain share
	MetaCausation   = "causation_id"   // the id of the event or command that led to this one
	MetaActor       = "actor"          // who asked for it
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

type commandKey struct{}

// WithCommand returns a context under which a repository carries out a command
// once: the ids of the events that it appends follow from the command's id, so
// that doing the same again, whatever it would decide now, appends nothing and
// returns the position of the first time. A stream is changed once under one
// command: for a second change use another id.
func WithCommand(ctx context.Context, id EventID) context.Context {
	return context.WithValue(ctx, commandKey{}, id)
}

// CommandID returns the id of the command that somebody issues because of an
// event, always the same. issuer tells apart those who issue commands because of
// the same event, such as "geocoding".
func CommandID(event *Recorded, issuer string) EventID {
	return derivedID("command", event.ID[:], []byte(issuer))
}

// commandEventID returns the id of the i-th event that the command in ctx appends
// to a stream, zero when there is no command.
func commandEventID(ctx context.Context, stream Stream, i int) EventID {
	id, ok := ctx.Value(commandKey{}).(EventID)
	if !ok {
		return EventID{}
	}
	return derivedID("event", id[:], []byte(stream.AggregateName), []byte(stream.AggregateID), []byte(strconv.Itoa(i)))
}

type recordedKey struct{}

// WithRecorded returns the context in which an event is handled: [FromContext]
// returns the event, and events appended under it name it as their cause and
// share its correlation (its own id, where it has none).
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
	maps.Copy(metadata, own)
	return metadata
}
