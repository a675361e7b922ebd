package readviewui

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

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
