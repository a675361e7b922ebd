package readviewui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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

// askedLog is what a request asks of the log. Everything is in the URL.
type askedLog struct {
	names       []string
	aggregate   string // its kind
	of          string // its id
	since       string
	until       string
	correlation string
	before      eventsourced.Position // a page further back begins there
	at          eventsourced.Position // the event that is opened
	view        string                // of that event: "", "raw" or "metadata"
	still       bool
}

func (h *Handler) askedLog(asked url.Values) (a askedLog, problem string) {
	text := func(name string) string {
		value := strings.TrimSpace(asked.Get(name))
		return strings.ToValidUTF8(value[:min(len(value), maxText)], "")
	}
	for _, name := range asked["name"] {
		if name = strings.TrimSpace(name); name != "" && len(a.names) < 20 {
			a.names = append(a.names, name)
		}
	}
	a.aggregate, a.of, a.since, a.until, a.correlation = text("aggregate"), text("id"), text("since"), text("until"), text("correlation")
	a.before, a.at = position(text("before")), position(text("at"))
	a.still = text("still") != ""
	if a.view = text("view"); a.view != "raw" && a.view != "metadata" {
		a.view = ""
	}
	if add := text("add"); add != "" {
		a, problem = h.understand(a, add)
	}
	return a, problem
}

// position reads one as it is shown, in groups or not; 0 is none.
func position(text string) eventsourced.Position {
	n, _ := strconv.ParseInt(strings.NewReplacer("\u202f", "", " ", "").Replace(text), 10, 64)
	return eventsourced.Position(max(n, 0))
}

// understand adds what somebody has typed: "since 14:30", "EventCreated", "domain.Band/7", an id, a position.
func (h *Handler) understand(a askedLog, typed string) (askedLog, string) {
	word, rest, _ := strings.Cut(typed, " ")
	rest = strings.TrimSpace(rest)
	switch word = strings.ToLower(word); {
	case word == "since" && rest != "":
		a.since = rest
	case word == "until" && rest != "":
		a.until = rest
	case word == "correlation" && rest != "":
		a.correlation = rest
	case word == "name" && rest != "":
		a.names = []string{rest}
	case word == "aggregate" && rest != "":
		a.aggregate, a.of, _ = strings.Cut(rest, "/")
	case position(typed) > 0:
		a.at = position(typed)
	case slices.Contains(h.log.Registry().Names(), typed):
		a.names = []string{typed}
	case strings.Contains(typed, "/"):
		a.aggregate, a.of, _ = strings.Cut(typed, "/")
	default:
		if _, err := eventsourced.ParseEventID(typed); err == nil {
			a.correlation = strings.ToLower(typed)
			break
		}
		found := matching(h.log.Registry().Names(), typed)
		if len(found) == 0 || len(found) > 20 {
			return a, fmt.Sprintf("%q is no event of this program. Write a name, aggregate KIND/ID, since 14:30, until 14:45, correlation ID, or a position.", typed)
		}
		a.names = found
	}
	return a, ""
}

func matching(names []string, part string) (found []string) {
	for _, name := range names {
		if strings.Contains(strings.ToLower(name), strings.ToLower(part)) {
			found = append(found, name)
		}
	}
	return found
}

// url returns the page with some of what was asked for changed.
func (a askedLog) url(change func(*askedLog)) string {
	a.names = slices.Clone(a.names)
	if change != nil {
		change(&a)
	}
	v := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "0" {
			v.Set(name, value)
		}
	}
	for _, name := range a.names {
		v.Add("name", name)
	}
	set("aggregate", a.aggregate)
	set("id", a.of)
	set("since", a.since)
	set("until", a.until)
	set("correlation", a.correlation)
	set("before", strconv.FormatInt(int64(a.before), 10))
	set("at", strconv.FormatInt(int64(a.at), 10))
	set("view", a.view)
	if a.still {
		set("still", "1")
	}
	if len(v) == 0 {
		return "events"
	}
	return "events?" + v.Encode()
}

// query returns what is asked of the log. When an event was recorded is its position.
func (h *Handler) query(a askedLog) (q eventsourced.LogQuery, problem string) {
	q = eventsourced.LogQuery{Names: a.names, Correlation: a.correlation, Backwards: true, Limit: eventsShown, UpTo: a.before}
	switch {
	case a.of != "" && a.aggregate != "":
		q.Streams = []eventsourced.Stream{{AggregateName: a.aggregate, AggregateID: a.of}}
	default:
		q.AggregateName = a.aggregate
	}
	bound := func(text string, to func(eventsourced.Position)) {
		at, ok := h.when(text)
		switch {
		case ok:
			to(eventsourced.Position(at.UnixMicro()))
		case text != "":
			problem = fmt.Sprintf("%q is no time. Write 14:30, 2026-11-26 or 2026-11-26 14:30.", text)
		}
	}
	bound(a.since, func(p eventsourced.Position) { q.After = max(p-1, 0) })
	bound(a.until, func(p eventsourced.Position) {
		if p--; q.UpTo == 0 || p < q.UpTo {
			q.UpTo = max(p, 1)
		}
	})
	return q, problem
}

// when reads a time of today, a day, or both, in the page's time zone, or one as programs write it.
func (h *Handler) when(text string) (time.Time, bool) {
	now := time.Now().In(h.config.Location)
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, h.config.Location); err == nil {
			at := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, h.config.Location)
			if at.After(now) { // 23:30 after midnight is yesterday's
				at = at.AddDate(0, 0, -1)
			}
			return at, true
		}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, h.config.Location); err == nil {
			return t, t.Year() > 1970
		}
	}
	return time.Time{}, false
}

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
