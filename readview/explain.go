package readview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// DefaultSteps is how many changes [Manager.Explain] returns.
const DefaultSteps = 1000

// ExplainOptions are those of [Manager.Explain].
type ExplainOptions struct {
	Where    string                // which rows, as after WHERE in SQL, of what they are or have ever been. Required.
	Table    string                // of the projection's Tables. Defaults to the only one that has the columns of Where.
	Limit    int                   // how many changes to return at most, the last ones. Defaults to [DefaultSteps].
	History  *Feed                 // as in [RebuildOptions]
	Progress func(RebuildProgress) // is told how far it is, twice a second, by one goroutine at a time
}

// Explained is what [Manager.Explain] has found.
type Explained struct {
	Projection string                `json:"projection"`
	Table      string                `json:"table"`
	Position   eventsourced.Position `json:"position"`   // up to which events were looked at
	Live       []json.RawMessage     `json:"live"`       // the rows that Where is true of now, ten at most
	MoreLive   bool                  `json:"more_live"`  // there are more than those
	Steps      []Step                `json:"steps"`      // in the order of the log
	MoreSteps  bool                  `json:"more_steps"` // there are earlier ones, which the Limit has left out
}

// Step is what an event has done to a row.
type Step struct {
	Position eventsourced.Position         `json:"position"`
	Event    *eventsourced.Recorded        `json:"-"`       // nil when the log does not have it any more
	Op       string                        `json:"op"`      // INSERT, UPDATE, DELETE, or TRUNCATE of the whole table
	Key      json.RawMessage               `json:"key"`     // the row's key afterwards, or before it was deleted
	Before   json.RawMessage               `json:"before"`  // the row; null when it was not there
	After    json.RawMessage               `json:"after"`   // null when it is not there any more
	Columns  map[string][2]json.RawMessage `json:"columns"` // that changed: before, after
}

// Explain replays the projection's events into shadow tables up to where the projection is, and returns the events that
// have made the rows of which Where is true, or was once: in order, each with what it changed, deletions and changes of the
// key included. It never changes the live tables and does not hold the projection up; it takes about two to five times as long as a
// replay: each change is noted with its event, so that no statements of several events go together. What was skipped or is parked is left out, as it is in the live tables.
//
// Its errors are those of [Manager.Verify], and what the database says of Where.
func (m *Manager) Explain(ctx context.Context, name string, options ExplainOptions) (Explained, error) {
	r, err := m.runner(name)
	if err != nil {
		return Explained{}, err
	}
	if options.Limit < 0 || strings.TrimSpace(options.Where) == "" {
		return Explained{}, errors.New("readview.ExplainOptions: Where is empty, or Limit is negative")
	}
	setDefault(&options.Limit, DefaultSteps)
	p, err := m.newReplay(ctx, r, kindExplain, "explain", options.History, options.Progress)
	if err == nil {
		e := &explanation{replay: p, options: options}
		e.result.Projection = name
		defer p.close()
		err = e.end(ctx, e.run(ctx))
		if err == nil {
			return e.result, nil
		}
	}
	return Explained{}, fmt.Errorf("explain rows of %s: %w", name, explain(err))
}
