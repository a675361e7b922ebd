package eventsourced

import "time"

// Event is something that happened to one aggregate. Every event type is a
// struct that embeds [BaseEvent] and is used as a pointer; what the struct
// adds is the event's payload, encoded as JSON. An event is not changed after
// it was recorded: handlers and aggregates share it.
type Event interface {
	// AggregateID returns the id of the aggregate the event belongs to.
	AggregateID() string
	// OccurredAt returns when the event happened: when it was recorded, unless whoever recorded it has set another time.
	OccurredAt() time.Time

	base() *BaseEvent
}

// BaseEvent carries what all events have in common. Both fields are filled in
// by [Record] and when the event is read back. They are kept in columns of the
// log, not in the payload.
type BaseEvent struct {
	EventAggregateId string    `json:"-"`
	EventTime        time.Time `json:"-"`
}

// AggregateID implements [Event].
func (e *BaseEvent) AggregateID() string { return e.EventAggregateId }

// OccurredAt implements [Event].
func (e *BaseEvent) OccurredAt() time.Time { return e.EventTime }

func (e *BaseEvent) base() *BaseEvent { return e }

// SetBase sets what event embeds, as decoding does. It serves tests.
func SetBase(event Event, base BaseEvent) { *event.base() = base }
