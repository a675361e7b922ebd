package readview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Inspection is an event as a projection meets it, and what is on record of it.
type Inspection struct {
	Position eventsourced.Position
	Failure  *consumer.Failure       // of the projection at this event, or of the parked event; nil for neither
	Parked   bool                    // it was put aside
	Applied  bool                    // the projection is past it, and it is not parked
	Recorded []eventsourced.Recorded // as it is stored or came; none when it is not to be had; several from a context that has split it
	Parts    []Part                  // what it is today, in this program; mostly one
	Problem  string                  // why it can't be read, upcast or decoded; "" when it can
}

// Part is what an event is today, or a part of one that was split.
type Part struct {
	Name          string
	SchemaVersion int
	Payload       json.RawMessage // after the upcasters
	Decoded       json.RawMessage // as the Go type has it, encoded again; nil when it was not decoded
	Handled       bool            // by the projection
}

// Show returns what is known of the event that a projection stands at, when position is 0, or
// of the one at a position, with its payload as this program upcasts and decodes it. It returns
// [ErrNotThere] when position is 0 and no event has failed, and [ErrUnknownProjection].
func (m *Manager) Show(ctx context.Context, name string, position eventsourced.Position) (*Inspection, error) {
	r, err := m.runner(name)
	if err != nil {
		return nil, err
	}
	shown, err := r.show(ctx, position)
	if err != nil {
		return nil, fmt.Errorf("show an event of %s: %w", name, explain(err))
	}
	return shown, nil
}

func (a *applier) show(ctx context.Context, position eventsourced.Position) (*Inspection, error) {
	stored, position, err := a.find(ctx, position)
	if err != nil {
		return nil, err
	}
	shown := &Inspection{Position: position, Applied: stored.Position >= position}
	if f := stored.failure; f != nil && f.Position == position {
		shown.Failure = f
	}
	parked, err := a.m.Parked(ctx, a.Name)
	if err != nil {
		return nil, err
	}
	for _, e := range parked {
		if e.Position == position {
			shown.Parked, shown.Applied = true, false
			shown.Failure = &consumer.Failure{EventID: e.EventID, EventName: e.EventName, Position: position,
				Error: e.Error, Stack: e.Stack, Statement: e.Statement, Time: e.ParkedAt, Since: e.ParkedAt, Attempts: e.Tries}
		}
	}
	if shown.Recorded, err = a.recordedAt(ctx, position); err != nil {
		return nil, err
	}
	if len(shown.Recorded) == 0 {
		shown.Problem = a.missing().Error()
	}
	for _, recorded := range shown.Recorded {
		parts, err := a.today(ctx, recorded)
		shown.Parts = append(shown.Parts, parts...)
		if err != nil && shown.Problem == "" {
			shown.Problem = err.Error()
		}
	}
	return shown, nil
}

// find returns how the projection stands, and a position, or that of the event at which it
// stands if it is 0.
func (a *applier) find(ctx context.Context, position eventsourced.Position) (record, eventsourced.Position, error) {
	stored, err := a.m.states.read(ctx, a.Name)
	if err != nil && (!errors.Is(err, pgx.ErrNoRows) || position == 0) {
		if errors.Is(err, pgx.ErrNoRows) {
			err = fmt.Errorf("%w: it has never run", ErrNotThere)
		}
		return record{}, 0, err
	}
	if position == 0 && (stored.failure == nil || stored.failure.Position == 0) {
		return record{}, 0, notThereError(stored, stored.Position)
	}
	if position == 0 {
		position = stored.failure.Position
	}
	return stored, position, nil
}

// missing is why an event can't be had.
func (a *applier) missing() error {
	if a.log == nil {
		return errNotKept
	}
	return errGone
}

// today returns what a stored event is today, as far as that can be told.
func (a *applier) today(ctx context.Context, recorded eventsourced.Recorded) (parts []Part, err error) {
	defer wait.Recover(&err)
	upcast, err := a.registry.Upcast(ctx, recorded)
	if err != nil {
		return nil, err
	}
	for i := range upcast {
		_, handled := a.handlers[upcast[i].Name]
		part := Part{Name: upcast[i].Name, SchemaVersion: upcast[i].SchemaVersion, Handled: handled}
		if json.Valid(upcast[i].Payload) {
			part.Payload = upcast[i].Payload
		}
		decoded, wrong := a.decode(ctx, nil, &upcast[i])
		if wrong == nil && len(decoded) == 1 {
			part.Decoded, wrong = json.Marshal(decoded[0].Event)
		}
		parts = append(parts, part)
		if err == nil {
			err = wrong
		}
	}
	return parts, err
}
