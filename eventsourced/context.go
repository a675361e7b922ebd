package eventsourced

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
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

type (
	commandKey   struct{}
	executionKey struct{}
)

// command is what WithCommand puts into a context.
type command struct {
	id        EventID
	execution *execution
}

// execution is what is done in one go under commands.
type execution struct {
	mu      sync.Mutex
	changes map[change]struct{} // that are made, or being made
}

type change struct {
	command EventID
	stream  Stream
}

func newExecution() *execution { return &execution{changes: map[change]struct{}{}} }

// WithCommand returns a context under which a repository carries out a command
// once: the ids of the events that it appends follow from the command's id, so
// that doing the same again, whatever it would decide now, appends nothing and
// returns the position of the first time.
//
// Each call begins an execution of the command; a repetition, in this process or
// another one, is the same id in another execution. In one execution a command changes
// a stream once: a second change could not be told from a repetition of the first, and
// is refused with [ErrCommandUsed]. That goes for an Update whose act records nothing or
// fails as well, as it may do otherwise the next time, but not for one that fails for
// other reasons, such as a lost connection. Put what belongs together into one act, or
// give the second change a [WithStep] of its own.
//
// An id that is zero, as of a command that came without one, is refused with [ErrInvalid] at the first change:
// all such commands would be one.
func WithCommand(ctx context.Context, id EventID) context.Context {
	running, ok := ctx.Value(executionKey{}).(*execution)
	if !ok {
		running = newExecution()
	}
	return context.WithValue(ctx, commandKey{}, command{id, running})
}

// WithStep returns a context for a part of the command that ctx has, which may change
// the same streams once more: a command of its own, whose id follows from that one's and
// the step's name. It returns ctx when there is no command.
func WithStep(ctx context.Context, name string) context.Context {
	c, ok := ctx.Value(commandKey{}).(command)
	if !ok || c.id.IsZero() {
		return ctx
	}
	return context.WithValue(ctx, commandKey{}, command{derivedID("step", c.id[:], []byte(name)), c.execution})
}

// WithExecution returns a context under which all calls of [WithCommand] with one id
// are one execution. It is for those who call handlers: each attempt gets one, as those
// of a reactor do, and a handler that names its command twice is noticed.
func WithExecution(ctx context.Context) context.Context {
	return context.WithValue(ctx, executionKey{}, newExecution())
}

// beginChange is called before a stream is changed, and end after it, with whether the
// change is made, or decided against. Without a command both do nothing.
func beginChange(ctx context.Context, stream Stream) (end func(made bool), err error) {
	c, ok := ctx.Value(commandKey{}).(command)
	if !ok {
		return func(bool) {}, nil
	}
	if c.id.IsZero() {
		return nil, fmt.Errorf("change %s by a command: %w: its id is zero", stream, ErrInvalid)
	}
	running, this := c.execution, change{c.id, stream}
	running.mu.Lock()
	defer running.mu.Unlock()
	if _, used := running.changes[this]; used {
		return nil, fmt.Errorf("change %s by command %s: %w", stream, c.id, ErrCommandUsed)
	}
	running.changes[this] = struct{}{}
	return func(made bool) {
		if !made {
			running.mu.Lock()
			defer running.mu.Unlock()
			delete(running.changes, this)
		}
	}, nil
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
	c, ok := ctx.Value(commandKey{}).(command)
	if !ok {
		return EventID{}
	}
	return derivedID("event", c.id[:], []byte(stream.AggregateName), []byte(stream.AggregateID), []byte(strconv.Itoa(i)))
}

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
