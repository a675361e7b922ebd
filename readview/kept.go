package readview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// keptEvent is an event as it is kept in a table, where no log has it.
type keptEvent struct {
	ID            string                `json:"id"`
	Name          string                `json:"name"`
	AggregateName string                `json:"aggregate_name"`
	AggregateID   string                `json:"aggregate_id"`
	Version       int64                 `json:"version"`
	SchemaVersion int                   `json:"schema_version"`
	Time          time.Time             `json:"time"`
	Metadata      eventsourced.Metadata `json:"metadata,omitempty"`
	Tags          []string              `json:"tags,omitempty"`
	Payload       []byte                `json:"payload"` // any bytes: it may be what is wrong with the event
}

// kept is the event of a page at a position as JSON, with all its parts; nil if it can be read
// in the log.
func (a *applier) kept(p *page, at eventsourced.Position) *string {
	if a.log != nil {
		return nil
	}
	for i := range p.items {
		it := &p.items[i]
		if it.recorded.Position != at {
			continue
		}
		return keptText(a, append([]eventsourced.Recorded{it.recorded}, it.joined...))
	}
	return nil
}

// keptText is the parts of an event as JSON, nil if they can be read in the log.
func keptText(a *applier, events []eventsourced.Recorded) *string {
	if a.log != nil {
		return nil
	}
	var all []keptEvent
	for _, e := range events {
		all = append(all, keptEvent{e.ID.String(), e.Name, e.Stream.AggregateName, e.Stream.AggregateID, int64(e.Version),
			e.SchemaVersion, e.Time, e.Metadata, e.Tags, e.Payload})
	}
	encoded, _ := json.Marshal(all) // of strings and numbers, which it takes
	text := string(encoded)
	return &text
}

// recordedAt returns the event at a position, from the log or from where it is kept, with
// all its parts; none when it is nowhere.
func (a *applier) recordedAt(ctx context.Context, at eventsourced.Position) (events []eventsourced.Recorded, err error) {
	if a.log != nil {
		for event, err := range a.log.ReadLog(ctx, eventsourced.LogQuery{After: at - 1, UpTo: at}) {
			if err != nil {
				return nil, fmt.Errorf("read the log: %w", err)
			}
			events = append(events, event)
		}
		return events, nil
	}
	sql, err := a.m.states.sql(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := a.m.pool.Query(ctx, sql.recorded, a.Name, int64(at))
	if err != nil {
		return nil, explain(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[*string])
	if err != nil {
		return nil, explain(err)
	}
	for _, text := range texts {
		if text == nil {
			continue
		}
		var all []keptEvent
		if err := json.Unmarshal([]byte(*text), &all); err != nil {
			return nil, err
		}
		for _, e := range all {
			id, err := eventsourced.ParseEventID(e.ID)
			if err != nil {
				return nil, err
			}
			events = append(events, eventsourced.Recorded{
				EventData: eventsourced.EventData{ID: id, Name: e.Name, SchemaVersion: e.SchemaVersion, Time: e.Time, Payload: e.Payload, Metadata: e.Metadata, Tags: e.Tags},
				Stream:    eventsourced.Stream{AggregateName: e.AggregateName, AggregateID: e.AggregateID}, Version: eventsourced.Version(e.Version), Position: at,
			})
		}
		return events, nil
	}
	return nil, nil
}

var (
	errGone    = errors.New("there is no such event in the log, or not any more")
	errNotKept = errors.New("the event is with the other context: only those that have failed or are parked are kept here")
)

// pageAt returns a page of the one event at a position.
func (a *applier) pageAt(ctx context.Context, at eventsourced.Position, generation int64) (*page, error) {
	events, err := a.recordedAt(ctx, at)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, a.missing()
	}
	p := newPage(a.Name, at-1, at, generation)
	for _, event := range events {
		p.add(ctx, a, event)
		if len(p.items) > 1 {
			p.join(0)
		}
	}
	return p, nil
}
