package eventsourced

import (
	"context"
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
	codec    Codec
	byName   map[string]*eventType
	byType   map[reflect.Type]*eventType
	stored   map[string]*eventType // by all names that events may have in the log
	storedAs map[string][]string   // by today's names
}

// RegistryOption is what a [Registry] is made of: [Type], [Retired] and [WithCodec] are.
type RegistryOption interface{ configure(*registryConfig) }

type registryConfig struct {
	types  []*eventType
	codecs []Codec
}

// eventType describes what is stored under one name; Type makes it, or Retired.
type eventType struct {
	name    string
	goType  reflect.Type // nil when there is none any more
	newFunc func() Event
	former  []string
	steps   map[int]step // by the schema version that they lead on from

	stepTwice bool // from one version
	unchecked bool
	tolerant  bool
	problems  []error // that its options have
}

// Type describes the event type E under the name that it is stored with:
//
//	eventsourced.Type[BandCreated]("BandCreated")
func Type[E any, P interface {
	*E
	Event
}](name string, options ...TypeOption) RegistryOption {
	t := &eventType{
		name:    name,
		goType:  reflect.TypeFor[P](),
		newFunc: func() Event { return P(new(E)) },
		steps:   map[int]step{},
	}
	t.apply(options)
	return t
}

func (t *eventType) apply(options []TypeOption) {
	for i, option := range options {
		if option == nil {
			t.problems = append(t.problems, fmt.Errorf("event %q: option %d is nil", t.name, i))
			continue
		}
		option(t)
	}
}

func (t *eventType) configure(c *registryConfig) { c.types = append(c.types, t) }

// schemaVersion is the version that new events are stored with.
func (t *eventType) schemaVersion() int { return len(t.steps) + 1 }

func (t *eventType) retired() bool { return t.goType == nil }

// NewRegistry returns a registry of the given event types. It reports all problems at
// once: a name or a Go type registered twice, an invalid name, missing
// upcasters, names of a [Replace] that are not registered, and, unless the type is
// [Unchecked], what would not come back from the
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
		codec:    JSON{},
		byName:   make(map[string]*eventType, len(config.types)),
		byType:   make(map[reflect.Type]*eventType, len(config.types)),
		stored:   make(map[string]*eventType, len(config.types)),
		storedAs: map[string][]string{},
	}
	switch {
	case len(config.codecs) > 1:
		problems = append(problems, errors.New("there are two codecs"))
	case len(config.codecs) == 1 && isNil(config.codecs[0]):
		problems = append(problems, errors.New("the codec is nil"))
	case len(config.codecs) == 1:
		r.codec = config.codecs[0]
	}
	for _, t := range config.types {
		problems = append(problems, r.add(t)...)
	}
	for _, t := range config.types {
		problems = append(problems, r.stepProblems(t)...)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("event registry: %w", err)
	}
	r.findStoredNames()
	return r, nil
}

// add takes a type into the registry.
func (r *Registry) add(t *eventType) []error {
	problems := t.problems
	for _, name := range append([]string{t.name}, t.former...) {
		problems = append(problems, validateName("event name", name))
		if r.stored[name] != nil {
			problems = append(problems, fmt.Errorf("event name %q is registered twice", name))
		}
		r.stored[name] = t
	}
	if t.retired() {
		return problems
	}
	if other := r.byType[t.goType]; other != nil {
		problems = append(problems, fmt.Errorf("%s is registered twice, as %q and %q", t.goType, other.name, t.name))
	} else if !t.unchecked {
		for _, loss := range losses(t.goType) {
			problems = append(problems, fmt.Errorf("event %q: %w (or register it as eventsourced.Unchecked)", t.name, loss))
		}
	}
	r.byName[t.name], r.byType[t.goType] = t, t
	return problems
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
// returns [ErrUnknownEvent] for a type that is not registered, and what the codec returns:
// [JSON] refuses, with [ErrInvalid], a string that is not UTF-8.
func (r *Registry) Encode(ctx context.Context, events ...Event) ([]EventData, error) {
	encoded := make([]EventData, len(events))
	metadata := newMetadata(ctx)
	for i, event := range events {
		t := r.byType[reflect.TypeOf(event)]
		if t == nil {
			return nil, fmt.Errorf("encode %T: %w: register it with eventsourced.Type", event, ErrUnknownEvent)
		}
		payload, err := r.codec.Encode(ctx, event)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", t.name, err)
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
