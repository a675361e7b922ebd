package eventsourced

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Registry knows the event types of an application under the names they are
// stored with. Names are given, never derived from Go types: renaming a type
// does not touch stored data. A Registry does not change once it is made and is
// safe for concurrent use.
type Registry struct {
	byName map[string]*eventType
	byType map[reflect.Type]*eventType
}

// RegistryOption is what a [Registry] is made of: [Type] is one.
type RegistryOption interface{ configure(*registryConfig) }

type registryConfig struct{ types []*eventType }

// eventType describes one event type; Type makes it.
type eventType struct {
	name      string
	goType    reflect.Type
	newFunc   func() Event
	upcasters map[int]UpcastFunc

	upcastTwice bool // from one version
	unchecked   bool
}

// UpcastFunc turns a payload of one schema version into the next one's. It must
// be a pure function: it runs on every read, also concurrently, and must not
// keep or change its argument.
type UpcastFunc func(payload json.RawMessage) (json.RawMessage, error)

// TypeOption is an option of [Type].
type TypeOption func(*eventType)

// Upcast says how a payload of schema version from becomes one of version
// from+1. With upcasters from 1 to n-1 the current schema version is n; without
// any it is 1.
func Upcast(from int, f UpcastFunc) TypeOption {
	return func(t *eventType) {
		t.upcastTwice = t.upcastTwice || t.upcasters[from] != nil
		t.upcasters[from] = f
	}
}

// Unchecked registers a type although NewRegistry finds that not all of it comes back
// from its JSON: a field that is only used before the event is stored, an embedded type
// whose own encoding has everything.
func Unchecked() TypeOption {
	return func(t *eventType) { t.unchecked = true }
}

// Type describes the event type E under the name that it is stored with:
//
//	eventsourced.Type[BandCreated]("BandCreated")
func Type[E any, P interface {
	*E
	Event
}](name string, options ...TypeOption) RegistryOption {
	t := &eventType{
		name:      name,
		goType:    reflect.TypeFor[P](),
		newFunc:   func() Event { return P(new(E)) },
		upcasters: map[int]UpcastFunc{},
	}
	for _, option := range options {
		option(t)
	}
	return t
}

func (t *eventType) configure(c *registryConfig) { c.types = append(c.types, t) }

// schemaVersion is the version that new events are stored with.
func (t *eventType) schemaVersion() int { return len(t.upcasters) + 1 }

// NewRegistry returns a registry of the given event types. It reports all problems at
// once: a name or a Go type registered twice, an invalid name, missing
// upcasters, and, unless the type is [Unchecked], what would not come back from the
// log as it was: a field that is not exported or has the tag json:"-", is of an
// interface type, of one that JSON does not have, or of one with half of a pair of
// MarshalJSON and UnmarshalJSON (or of those for text), two fields with one JSON name,
// the base of an event in another one.
//
// A field of type any is no problem, but comes back as JSON has it: nil, bool, string,
// []any, map[string]any, and [json.Number] for all numbers, which is exact.
func NewRegistry(options ...RegistryOption) (*Registry, error) {
	var config registryConfig
	var problems []error
	for i, option := range options {
		if isNil(option) {
			problems = append(problems, fmt.Errorf("option %d is nil", i))
			continue
		}
		option.configure(&config)
	}
	r := &Registry{
		byName: make(map[string]*eventType, len(config.types)),
		byType: make(map[reflect.Type]*eventType, len(config.types)),
	}
	for _, t := range config.types {
		problems = append(problems, validateName("event name", t.name))
		if r.byName[t.name] != nil {
			problems = append(problems, fmt.Errorf("event name %q is registered twice", t.name))
		}
		if other := r.byType[t.goType]; other != nil {
			problems = append(problems, fmt.Errorf("%s is registered twice, as %q and %q", t.goType, other.name, t.name))
		}
		if t.upcastTwice {
			problems = append(problems, fmt.Errorf("event %q has two upcasters from one schema version", t.name))
		}
		for version := 1; version < t.schemaVersion(); version++ {
			if t.upcasters[version] == nil {
				problems = append(problems, fmt.Errorf("event %q has %d upcasters but none from schema version %d", t.name, len(t.upcasters), version))
			}
		}
		if !t.unchecked && r.byType[t.goType] == nil {
			for _, loss := range losses(t.goType) {
				problems = append(problems, fmt.Errorf("event %q: %w (or register it as eventsourced.Unchecked)", t.name, loss))
			}
		}
		r.byName[t.name], r.byType[t.goType] = t, t
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("event registry: %w", err)
	}
	return r, nil
}

// MustRegistry is [NewRegistry] for a program whose types are known: it panics with all
// problems.
func MustRegistry(options ...RegistryOption) *Registry {
	r, err := NewRegistry(options...)
	if err != nil {
		panic(fmt.Sprintf("eventsourced.MustRegistry: %v", err))
	}
	return r
}

// Names returns the registered event names in alphabetical order.
func (r *Registry) Names() []string { return slices.Sorted(maps.Keys(r.byName)) }

// SchemaVersion returns the current schema version of the events of this name, 0
// when it is not registered.
func (r *Registry) SchemaVersion(name string) int {
	if t := r.byName[name]; t != nil {
		return t.schemaVersion()
	}
	return 0
}

// NameOf returns the name under which events of this Go type (a pointer to the
// event's struct) are stored.
func (r *Registry) NameOf(goType reflect.Type) (string, bool) {
	if t := r.byType[goType]; t != nil {
		return t.name, true
	}
	return "", false
}

// Encode makes events ready to be appended: each gets a new id, its registered
// name, its current schema version, and the metadata that ctx carries. It
// returns [ErrUnknownEvent] for a type that is not registered, and [ErrInvalid] for a
// string that is not UTF-8, as JSON has no other.
func (r *Registry) Encode(ctx context.Context, events ...Event) ([]EventData, error) {
	encoded := make([]EventData, len(events))
	metadata := newMetadata(ctx)
	for i, event := range events {
		t := r.byType[reflect.TypeOf(event)]
		if t == nil {
			return nil, fmt.Errorf("encode %T: %w: register it with eventsourced.Type", event, ErrUnknownEvent)
		}
		payload, err := json.Marshal(event)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", t.name, err)
		}
		if !validUTF8(event, payload) {
			return nil, fmt.Errorf("encode %s: %w: a string in it is not UTF-8, which JSON would replace", t.name, ErrInvalid)
		}
		encoded[i] = EventData{
			ID:            NewEventID(),
			Name:          t.name,
			SchemaVersion: t.schemaVersion(),
			Time:          event.OccurredAt(),
			Payload:       payload,
			Metadata:      metadata,
		}
	}
	return encoded, nil
}

// Decode turns a stored event into its Go type, after its upcasters. The error
// is a [*DecodeError].
func (r *Registry) Decode(recorded Recorded) (Event, error) {
	t := r.byName[recorded.Name]
	if t == nil {
		return nil, &DecodeError{recorded, ErrUnknownEvent}
	}
	current, err := r.Upcast(recorded)
	if err != nil {
		return nil, err
	}
	event, err := unmarshal(current.Payload, t.newFunc)
	if err != nil {
		return nil, &DecodeError{recorded, err}
	}
	SetBase(event, BaseEvent{EventAggregateId: recorded.Stream.AggregateID, EventTime: recorded.Time})
	return event, nil
}

var errNewerSchema = fmt.Errorf("%w: it was written by a newer version of the program", ErrUnknownEvent)

// Upcast brings a stored event to its current schema version without decoding
// it: what leaves the log, to whom ever, leaves it in today's form. An event
// that is not registered is returned as it is. The error is a [*DecodeError].
func (r *Registry) Upcast(recorded Recorded) (Recorded, error) {
	t := r.byName[recorded.Name]
	if t == nil || recorded.SchemaVersion == t.schemaVersion() {
		return recorded, nil
	}
	if recorded.SchemaVersion > t.schemaVersion() {
		return Recorded{}, &DecodeError{recorded, errNewerSchema}
	}
	current := recorded
	for current.SchemaVersion < t.schemaVersion() {
		upcast := t.upcasters[current.SchemaVersion]
		if upcast == nil {
			return Recorded{}, &DecodeError{recorded, errors.New("schema version below 1")}
		}
		payload, err := upcast(current.Payload)
		if err != nil {
			return Recorded{}, &DecodeError{recorded, fmt.Errorf("upcast from schema %d: %w", current.SchemaVersion, err)}
		}
		current.Payload = payload
		current.SchemaVersion++
	}
	return current, nil
}
