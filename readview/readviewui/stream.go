package readviewui

import (
	"context"
	"fmt"
	"net/http"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// States returns how an aggregate was after each of at most so many of its events, those after a
// version: something that can be shown as JSON. [StatesOf] makes one of a repository.
type States func(ctx context.Context, id string, after eventsourced.Version, most int) ([]any, error)

// maxHistory is up to which version states are shown: all events before have to be read.
const maxHistory = 5000

// StatesOf returns what shows the states of a repository's aggregates, for [Config.States]. show
// returns what of an aggregate is to be seen, which must not change with it. It panics when either is nil.
func StatesOf[A any](repository *eventsourced.Repository[A], show func(*A) any) States {
	if repository == nil || show == nil {
		panic("readviewui.StatesOf: the repository or the function is nil")
	}
	return func(ctx context.Context, id string, after eventsourced.Version, most int) (states []any, err error) {
		for a, err := range repository.History(ctx, id, after) {
			if err != nil {
				return states, err
			}
			if states = append(states, show(a)); len(states) == most {
				break
			}
		}
		return states, nil
	}
}

// stream is the page of an aggregate's events.
type stream struct {
	Aggregate string      `json:"aggregate"`
	Of        string      `json:"id"`
	Events    []streamRow `json:"events"`
	Next      string      `json:"next,omitempty"` // later ones
	First     string      `json:"-"`
	NoStates  string      `json:"no_states,omitempty"` // why there are none
	Hides     bool        `json:"redacted"`
	Here      string      `json:"-"`

	Archived eventsourced.Position `json:"archived_to,omitempty"` // events up to there are in the archive, and are not shown

	of eventsourced.Stream // as it is
}

// streamRow is an event with the state after it.
type streamRow struct {
	eventRow
	State any    `json:"state,omitempty"`
	Text  string `json:"-"` // the state, for people
}

// DocumentTitle names the document.
func (s *stream) DocumentTitle() string { return s.Aggregate + " " + short(s.Of) }

func (h *Handler) stream(ctx context.Context, r *http.Request) (any, error) {
	if h.inspector == nil {
		return nil, noLog
	}
	asked := r.URL.Query()
	of, key := eventsourced.Stream{AggregateName: asked.Get("aggregate"), AggregateID: asked.Get("id")}, []any{"aggregate", asked.Get("aggregate"), "id", asked.Get("id")}
	at := position(asked.Get("at"))
	if at > 0 { // the aggregate of an event, whose id is hidden
		event, err := h.inspector.Event(ctx, at)
		if err != nil {
			return nil, tooLong(err)
		}
		if event != nil {
			of, key = event.Stream, []any{"at", int64(at)}
		}
	}
	after := eventsourced.Position(position(asked.Get("after")))
	found, err := h.inspector.Find(ctx, eventsourced.LogQuery{After: after, Limit: eventsShown,
		Streams: []eventsourced.Stream{of}})
	if err != nil {
		return nil, tooLong(err)
	}
	if at == 0 && h.concealed(r, of, found.Events) {
		return nil, problem{Status: http.StatusNotFound, Title: "There is nothing to see", Text: noneToSee, Back: "events"}
	}
	if len(found.Events) == 0 && after == 0 {
		return nil, problem{Status: http.StatusNotFound, Title: "There is no such aggregate", Text: "No event is of " + of.AggregateName + " " + of.AggregateID + h.orArchived(found) + ".", Back: "events"}
	}
	revealed, err := h.revealed(ctx, r, "", map[string]string{"stream": of.String()})
	if err != nil {
		return nil, err
	}
	s := &stream{Aggregate: of.AggregateName, Of: of.AggregateID, Hides: h.hides(revealed), of: of}
	if len(found.Events) > 0 {
		s.Of = h.streamOf(of, found.Events[0].Name, found.Events[0].Position, revealed).AggregateID
	}
	for _, event := range found.Events {
		row := streamRow{eventRow: rowOfEvent(h.redacted(event, revealed))}
		if row.URL = (askedLog{at: event.Position}).url(nil); at == 0 {
			row.URL = askedLog{aggregate: of.AggregateName, of: of.AggregateID, at: event.Position}.url(nil)
		}
		s.Events = append(s.Events, row)
	}
	s.First, _ = query("stream", key...)
	if s.Here = s.First; after > 0 {
		s.Here, _ = query("stream", append(key, "after", int64(after))...)
	}
	if found.More {
		s.Next, _ = query("stream", append(key, "after", int64(found.Next))...)
	}
	s.Archived = found.Archived
	h.states(ctx, s)
	return s, nil
}

// orArchived says that a search ends at the archive.
func (h *Handler) orArchived(found pgstore.Found) string {
	if found.Archived == 0 {
		return ""
	}
	return " after " + h.moment(found.Archived.Time()) + ". What is older is in the archive, and was not looked at"
}

// states adds the state after each event, or says why it can't.
func (h *Handler) states(ctx context.Context, s *stream) {
	states := h.config.States[s.Aggregate]
	if states == nil || len(s.Events) == 0 {
		return
	}
	if s.Hides {
		s.NoStates = "The states are hidden: they may have personal data."
		return
	}
	if last := s.Events[len(s.Events)-1].Version; last > maxHistory {
		s.NoStates = fmt.Sprintf("States are shown up to version %s: all events before have to be read for them.", num(int64(maxHistory)))
		return
	}
	all, err := states(ctx, s.of.AggregateID, s.Events[0].Version-1, len(s.Events))
	if err != nil {
		s.NoStates = err.Error()
	}
	for i := range min(len(all), len(s.Events)) {
		s.Events[i].State, s.Events[i].Text = all[i], indentedJSON(all[i])
	}
}
