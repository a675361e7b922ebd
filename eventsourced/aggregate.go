package eventsourced

import (
	"errors"
	"fmt"
	"time"
)

// Aggregate is a consistency boundary: its state follows from its own events
// alone, and each of its changes is one append to its stream. A struct becomes
// an aggregate by embedding [Root]; its zero value is the aggregate without events.
//
// An event changes the state by a method of one of the two, the same for all events of an
// aggregate:
//
//	func (e *Deposited) ApplyTo(a *Account) { a.balance += e.Amount } // of each event
//
//	func (a *Account) Apply(event eventsourced.Event) { // or of the aggregate, for all
//		switch e := event.(type) { ... }
//	}
//
// The method is called once for each event, in order: for those read from the store, and
// by [Record] for new ones. It makes no decisions, has no side effects and ignores what
// does not matter to the state.
//
// An aggregate is used by one goroutine at a time.
type Aggregate interface{ root() *Root }

var _ Aggregate = (*Root)(nil)

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
// It returns [ErrTooManyEvents] when a has [MaxEvents] events pending already, and
// [ErrNotApplied] for an event without ApplyTo when a has no Apply; a and event are
// unchanged then.
func Record[A any, P interface {
	*A
	Aggregate
}](a P, event Event) error {
	if isNil(event) {
		return errNilEvent
	}
	root := a.root()
	if len(root.pending) == MaxEvents {
		return ErrTooManyEvents
	}
	apply, err := applierOf((*A)(a), event)
	if err != nil {
		return fmt.Errorf("record %T: %w", event, err)
	}
	base := event.base()
	base.EventAggregateId = root.id
	if base.EventTime.IsZero() {
		base.EventTime = time.Now()
	}
	base.EventTime = base.EventTime.UTC().Truncate(time.Microsecond)
	root.pending = append(root.pending, event)
	apply.apply((*A)(a), event)
	return nil
}

// Replay makes a the aggregate id as it is after events: they get that id, are
// applied and count as stored. It serves tests; applications use
// [Repository.Load]. It returns [ErrNotApplied] as [Record] does, with a as it is after
// the events before.
func Replay[A any, P interface {
	*A
	Aggregate
}](a P, id string, events ...Event) error {
	root := a.root()
	root.id = id
	for _, event := range events {
		apply, err := applierOf((*A)(a), event)
		if err != nil {
			return fmt.Errorf("replay %T: %w", event, err)
		}
		event.base().EventAggregateId = id
		apply.apply((*A)(a), event)
		root.version++
	}
	return nil
}
