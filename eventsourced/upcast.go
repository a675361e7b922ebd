package eventsourced

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// UpcastFunc turns a payload of one schema version into the next one's. It must be a pure
// function but for what it takes from ctx, such as a key: it runs on every read, also
// concurrently, and must not keep or change its argument.
type UpcastFunc func(ctx context.Context, event Stored) (json.RawMessage, error)

// ReplaceFunc returns what stands for an event of one schema version today: under other
// names, see [Stored.As], several, or none. A schema version of 0 counts as 1; a Time or
// Metadata that are zero are the event's. What holds for an [UpcastFunc] holds here too, and
// it must return as many each time: the ids of the parts follow from their order.
type ReplaceFunc func(ctx context.Context, event Stored) ([]Stored, error)

// TypeOption is an option of [Type] and [Retired].
type TypeOption func(*eventType)

// Upcast says how a payload of schema version from becomes one of version
// from+1. With upcasters from 1 to n-1 the current schema version is n; without
// any it is 1.
func Upcast(from int, f UpcastFunc) TypeOption {
	return func(t *eventType) { t.addStep(from, step{upcast: f}) }
}

// Replace says what stands for an event of schema version from: any number of events with
// these names, of types that have other names now, or of the same one in a later schema
// version. It takes the place of the [Upcast] from that version. The names are what readers
// go by who look for today's: an event whose parts have others can't be decoded.
//
//	eventsourced.Retired("Moved", eventsourced.Replace(1, split, "Renamed", "Relocated"))
func Replace(from int, f ReplaceFunc, names ...string) TypeOption {
	return func(t *eventType) { t.addStep(from, step{replace: f, names: names}) }
}

// Formerly says that the type had another name. Events that were stored under it are those
// of the type, with the same schema versions.
func Formerly(name string) TypeOption {
	return func(t *eventType) { t.former = append(t.former, name) }
}

// Unchecked registers a type although NewRegistry finds that not all of it comes back
// from its JSON: a field that is only used before the event is stored, an embedded type
// whose own encoding has everything.
func Unchecked() TypeOption {
	return func(t *eventType) { t.unchecked = true }
}

// Tolerant says that events in a newer schema version than the program knows are decoded as those of
// the version that it knows: fields that are new are ignored, and those that are gone are zero. It is
// for a registry of another context's events, see readview's Feed, whose owner promises that new
// versions are compatible: then consumers need not be deployed first. It is not for types whose events
// this program appends: what it decides on could be half of what happened.
func Tolerant() TypeOption {
	return func(t *eventType) { t.tolerant = true }
}

// Retired says what became of events under a name that no type has any more: a
// [Replace] for its last schema version, and what comes before.
func Retired(name string, options ...TypeOption) RegistryOption {
	t := &eventType{name: name, steps: map[int]step{}}
	t.apply(options)
	return t
}

// step leads on from one schema version. One of upcast and replace is set.
type step struct {
	upcast  UpcastFunc
	replace ReplaceFunc
	names   []string // that replace may return
}

func (s step) isNil() bool { return s.upcast == nil && s.replace == nil }

func (t *eventType) addStep(from int, s step) {
	_, twice := t.steps[from]
	t.stepTwice = t.stepTwice || twice
	t.steps[from] = s
}

var (
	errOlderSchema = errors.New("schema version below 1")
	errCircle      = errors.New("its upcasters lead in a circle")
)

// maxReplaced is how often an event may be replaced, one way.
const maxReplaced = 100

// Upcast brings a stored event to today's form without decoding it: what leaves the log, to
// whom ever, leaves it like that. Mostly that is one event. One that was split becomes
// several, its parts: they share its stream, version and position, as they are one event
// still, and whoever keeps a position takes all of them or none; their ids follow from its
// own, always the same. An event that is not registered is returned as it is. The
// error is a [*DecodeError].
func (r *Registry) Upcast(ctx context.Context, recorded Recorded) ([]Recorded, error) {
	if r.asStored(&recorded) || r.stored[recorded.Name] == nil {
		return []Recorded{recorded}, nil
	}
	parts, err := r.upcast(ctx, nil, recorded, 0)
	if err != nil {
		return nil, &DecodeError{recorded, err}
	}
	return parts, nil
}

// asStored tells that an event is stored as it would be today.
func (r *Registry) asStored(recorded *Recorded) bool {
	t := r.byName[recorded.Name]
	return t != nil && t.current(recorded.SchemaVersion)
}

// current tells that events of a schema version are decoded without upcasters.
func (t *eventType) current(version int) bool {
	return version == t.schemaVersion() || t.tolerant && version > t.schemaVersion()
}

// upcast appends what the event is today.
func (r *Registry) upcast(ctx context.Context, to []Recorded, event Recorded, replaced int) ([]Recorded, error) {
	t := r.stored[event.Name]
	event.Name = t.name
	for t.retired() || !t.current(event.SchemaVersion) {
		s, known := t.steps[event.SchemaVersion]
		switch {
		case event.SchemaVersion >= t.schemaVersion():
			return nil, fmt.Errorf("%w, in schema version %d; this one knows %d", ErrNewerEvent, event.SchemaVersion, t.schemaVersion())
		case !known:
			return nil, errOlderSchema
		case s.replace != nil && replaced == maxReplaced:
			return nil, errCircle
		case s.replace != nil:
			return r.replace(ctx, to, event, s, replaced+1)
		}
		payload, err := s.upcast(ctx, storedOf(&event))
		if err != nil {
			return nil, fmt.Errorf("upcast from schema %d: %w", event.SchemaVersion, err)
		}
		event.Payload = payload
		event.SchemaVersion++
	}
	return append(to, event), nil
}

func (r *Registry) replace(ctx context.Context, to []Recorded, event Recorded, s step, replaced int) ([]Recorded, error) {
	parts, err := s.replace(ctx, storedOf(&event))
	if err != nil {
		return nil, fmt.Errorf("replace %s of schema %d: %w", event.Name, event.SchemaVersion, err)
	}
	for i, stored := range parts {
		if !slices.Contains(s.names, stored.Name) {
			return nil, fmt.Errorf("replace %s of schema %d: it became %q, which is none of the names given to Replace: %q",
				event.Name, event.SchemaVersion, stored.Name, s.names)
		}
		part := event
		part.Name, part.SchemaVersion, part.Payload = stored.Name, max(stored.SchemaVersion, 1), stored.Payload
		if !stored.Time.IsZero() {
			part.Time = stored.Time
		}
		if stored.Metadata != nil {
			part.Metadata = stored.Metadata
		}
		if len(parts) > 1 {
			part.ID = PartID(event.ID, i)
		}
		if to, err = r.upcast(ctx, to, part, replaced); err != nil {
			return nil, err
		}
	}
	return to, nil
}

// StoredNames returns the names that events may be stored under which are, in whole or in
// part, of these names today, in alphabetical order. Whoever selects events by name reads
// those. A name that is not registered stands for itself.
func (r *Registry) StoredNames(names ...string) []string {
	var all []string
	for _, name := range names {
		if stored, known := r.storedAs[name]; known {
			all = append(all, stored...)
		} else {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// findStoredNames sets storedAs, once all types are known and without problems.
func (r *Registry) findStoredNames() {
	for name := range r.stored {
		for today := range r.reached(name, map[string]bool{}) {
			if !r.stored[today].retired() {
				r.storedAs[today] = append(r.storedAs[today], name)
			}
		}
	}
}

// reached adds the names that an event of a stored name may have today.
func (r *Registry) reached(name string, all map[string]bool) map[string]bool {
	t := r.stored[name]
	if all[t.name] {
		return all
	}
	all[t.name] = true
	for _, s := range t.steps {
		for _, next := range s.names {
			r.reached(next, all)
		}
	}
	return all
}

// stepProblems returns what is wrong with the steps of a type.
func (r *Registry) stepProblems(t *eventType) (problems []error) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("event %q "+format, append([]any{t.name}, args...)...))
	}
	if t.stepTwice {
		report("has two upcasters from one schema version")
	}
	for version := 1; version < t.schemaVersion(); version++ {
		switch s, given := t.steps[version]; {
		case given && s.isNil():
			report("has a nil function for schema version %d", version)
		case !given:
			report("has %d upcasters but none from schema version %d", len(t.steps), version)
		}
	}
	if t.retired() && t.steps[t.schemaVersion()-1].replace == nil {
		report("is retired without a Replace from its last schema version")
	}
	for _, s := range t.steps {
		for _, name := range s.names {
			if r.stored[name] == nil {
				report("becomes %q, which is not registered", name)
			}
		}
	}
	return problems
}
