package eventsourced

import (
	"errors"
	"time"
)

// Aggregate is a consistency boundary: its state follows from its own events
// alone, and each of its changes is one append to its stream. A type becomes
// an aggregate by embedding [Root] and implementing Apply.
//
// An aggregate is used by one goroutine at a time.
type Aggregate interface {
	// Apply changes the state by one event. It is called once for each event,
	// in order: for those read from the store, and by [Record] for new ones.
	// It makes no decisions, has no side effects and ignores events that do
	// not matter to the state.
	Apply(Event)

	rooted
}

type rooted interface{ root() *Root }

var _ rooted = (*Root)(nil)

// Root is embedded in every aggregate. It keeps the identity, the version and
// the events that are recorded but not yet stored.
type Root struct {
	id       string
	version  Version
	position Position
	pending  []Event
	stored   bool // by a command: then the version is not known
}

// ID returns the aggregate's id, empty for one that no repository made.
func (r *Root) ID() string { return r.id }

// Exists tells whether the aggregate has events, stored or pending: an act that is to
// begin a stream asks it, before its first [Record].
func (r *Root) Exists() bool { return r.version > 0 || len(r.pending) > 0 || r.stored }

// Version returns the version of the last stored event: 0 for a new aggregate, also
// while its first events are pending; see Exists.
func (r *Root) Version() Version { return r.version }

// Position returns the position of the last stored event: 0 for a new aggregate.
func (r *Root) Position() Position { return r.position }

// Pending returns the events that are recorded but not yet stored. The caller
// must not change the slice.
func (r *Root) Pending() []Event { return r.pending }

func (r *Root) root() *Root { return r }

var errNilEvent = errors.New("eventsourced: record a nil event")

// Record applies event to a and adds it to the events that the next save
// stores. It sets the event's aggregate id and, when it is zero, its time (now,
// in microseconds, UTC).
//
// It returns [ErrTooManyEvents] when a has [MaxEvents] events pending already; a
// is unchanged then.
func Record(a Aggregate, event Event) error {
	if isNil(event) {
		return errNilEvent
	}
	root := a.root()
	if len(root.pending) == MaxEvents {
		return ErrTooManyEvents
	}
	base := event.base()
	base.EventAggregateId = root.id
	if base.EventTime.IsZero() {
		base.EventTime = time.Now()
	}
	base.EventTime = base.EventTime.UTC().Truncate(time.Microsecond)
	root.pending = append(root.pending, event)
	a.Apply(event)
	return nil
}

// Replay makes a the aggregate id as it is after events: they get that id, are
// applied and count as stored. It serves tests; applications use
// [Repository.Load].
func Replay(a Aggregate, id string, events ...Event) {
	root := a.root()
	root.id = id
	for _, event := range events {
		base := event.base()
		base.EventAggregateId = id
		a.Apply(event)
		root.version++
	}
}
