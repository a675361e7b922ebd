package readviewui

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// eventsShown is how many events a page has.
const eventsShown = 50

// events is the page of the log's tail.
type events struct {
	Head   eventsourced.Position `json:"head"`
	Events []eventRow            `json:"events"`
	Older  string                `json:"older,omitempty"` // where there are more, or may be
	Cut    bool                  `json:"cut"`             // not all were looked at

	Archived eventsourced.Position `json:"archived_to,omitempty"` // events up to there are in the archive, and were not looked at
	CutAt    time.Time             `json:"cut_at,omitzero"`       // those before were not
	Problem  string                `json:"problem,omitempty"`
	Event    *eventView            `json:"event,omitempty"` // that is opened

	Chips  []chip    `json:"-"`
	Names  []string  `json:"-"` // of the registry
	Still  bool      `json:"-"` // it is not live
	Pause  string    `json:"-"` // or goes on
	Newest string    `json:"-"`
	Hidden []chip    `json:"-"` // parameters that the form keeps
	asked  askedLog  `json:"-"`
	Now    time.Time `json:"-"`
}

// DocumentTitle names the document.
func (e *events) DocumentTitle() string {
	if e.Event != nil {
		return e.Event.Name + " " + num(int64(e.Event.Position))
	}
	return "Events"
}

// chip is a filter that is on, with where it is off.
type chip struct{ Name, Value, URL string }

// eventRow is an event in the list.
type eventRow struct {
	Position  eventsourced.Position `json:"position"`
	Recorded  time.Time             `json:"recorded"`
	ID        string                `json:"id"`
	Name      string                `json:"name"`
	Aggregate string                `json:"aggregate"`
	Of        string                `json:"aggregate_id"`
	Version   eventsourced.Version  `json:"version"`
	URL       string                `json:"-"`
	Chosen    bool                  `json:"-"`
}

func rowOfEvent(e eventsourced.Recorded) eventRow {
	return eventRow{Position: e.Position, Recorded: e.Position.Time(), ID: e.ID.String(), Name: e.Name,
		Aggregate: e.Stream.AggregateName, Of: e.Stream.AggregateID, Version: e.Version}
}

// Kind is the aggregate's name without its package.
func (e eventRow) Kind() string { return e.Aggregate[strings.LastIndexByte(e.Aggregate, '.')+1:] }

func (h *Handler) events(ctx context.Context, r *http.Request) (any, error) {
	if h.inspector == nil {
		return nil, noLog
	}
	a, wrong := h.askedLog(r.URL.Query())
	q, wrongTime := h.query(a)
	e := &events{asked: a, Problem: strings.TrimSpace(wrong + " " + wrongTime), Names: h.log.Registry().Names(), Now: time.Now(), Head: h.look(ctx).head()}
	e.links()
	if e.Problem == "" {
		found, err := h.inspector.Find(ctx, q)
		if err != nil {
			return nil, tooLong(err)
		}
		if len(q.Streams) == 1 && h.concealed(r, q.Streams[0], found.Events) {
			found, e.Problem = pgstore.Found{}, noneToSee
		}
		for _, event := range found.Events {
			row := rowOfEvent(h.redacted(event, false))
			row.Chosen = row.Position == a.at
			row.URL = a.url(func(a *askedLog) { a.at, a.view = row.Position, "" })
			e.Events = append(e.Events, row)
			e.Head = max(e.Head, row.Position)
		}
		if e.Archived = found.Archived; found.More {
			e.Archived = 0 // that is further back
		}
		if e.Cut = found.Cut; found.More {
			e.Older = a.url(func(a *askedLog) { a.before = found.Next })
			e.CutAt = found.Next.Time()
		}
	}
	if a.at > 0 {
		view, err := h.eventView(ctx, r, a)
		if err != nil {
			return nil, tooLong(err)
		}
		e.Event = view
	}
	return e, nil
}

// head is the log's, as far as somebody has seen it.
func (l *look) head() (head eventsourced.Position) {
	for _, s := range l.All {
		head = max(head, s.Head)
	}
	return head
}

func (e *events) links() {
	a := e.asked
	for _, name := range a.names {
		e.Chips = append(e.Chips, chip{"name", name, a.url(func(a *askedLog) {
			a.names = slices.DeleteFunc(a.names, func(n string) bool { return n == name })
		})})
	}
	for _, c := range []struct {
		name, value string
		off         func(*askedLog)
	}{
		{"aggregate", strings.TrimSuffix(a.aggregate+"/"+a.of, "/"), func(a *askedLog) { a.aggregate, a.of = "", "" }},
		{"since", a.since, func(a *askedLog) { a.since = "" }},
		{"until", a.until, func(a *askedLog) { a.until = "" }},
		{"correlation", a.correlation, func(a *askedLog) { a.correlation = "" }},
	} {
		if c.value != "" {
			e.Chips = append(e.Chips, chip{c.name, c.value, a.url(c.off)})
		}
	}
	values, _ := url.ParseQuery(strings.TrimPrefix(strings.TrimPrefix(a.url(func(a *askedLog) { a.before, a.at, a.view = 0, 0, "" }), "events"), "?"))
	for name, all := range values {
		for _, value := range all {
			e.Hidden = append(e.Hidden, chip{Name: name, Value: value})
		}
	}
	slices.SortFunc(e.Hidden, func(a, b chip) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	e.Still = a.still || a.before > 0
	e.Pause = a.url(func(a *askedLog) { a.still, a.before = !e.Still, 0 })
	e.Newest = a.url(func(a *askedLog) { a.before = 0 })
}

// indentedJSON is a value as people read it.
func indentedJSON(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
