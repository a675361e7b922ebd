package readviewui

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// maxTrouble is how many problems are said in words.
const maxTrouble = 5

// trouble is what is wrong with a consumer, and what to do next.
type trouble struct {
	standing `json:"-"`
	State    string        `json:"state"`
	Kind     consumer.Kind `json:"kind"`
	Name     string        `json:"name"`
	Topic    string        `json:"topic,omitempty"`
	Lead     string        `json:"-"` // before the name
	Says     string        `json:"what"`
	Cause    string        `json:"cause,omitempty"`
	Notices  string        `json:"notices,omitempty"`
	Safe     string        `json:"safe,omitempty"`
	Next     string        `json:"next"`
	Hint     string        `json:"hint,omitempty"`
	Button   string        `json:"-"`

	Blockers []consumer.Session `json:"blockers,omitempty"` // who holds the lock that it waits for
}

// troubles says what is wrong, the worst first, and how much more there is.
func (h *Handler) troubles(ctx context.Context, all []consumer.Status, revealed bool) (found []trouble, more int) {
	for _, s := range all {
		switch standingOf(s).Class {
		case "failed", "stalled", "retrying":
			found = append(found, h.troubleOf(s, revealed))
		}
	}
	slices.SortStableFunc(found, func(a, b trouble) int { return slices.Index(order, a.Class) - slices.Index(order, b.Class) })
	if len(found) > maxTrouble {
		found, more = found[:maxTrouble], len(found)-maxTrouble
	}
	for i := range found {
		if h.config.Hint != nil {
			found[i].Hint = h.config.Hint(ctx, found[i].Cause)
		}
	}
	return found, more
}

func (h *Handler) troubleOf(s consumer.Status, revealed bool) trouble {
	t := trouble{standing: standingOf(s), Kind: s.Kind, Name: s.Name, Topic: s.Topic, Lead: strings.ToUpper(string(s.Kind[:1])) + string(s.Kind[1:]), Button: "Open " + string(s.Kind)}
	t.State = t.Word
	since := ""
	if f := s.Failure; f != nil {
		t.Blockers = slices.Clone(f.Blockers)
		for i := range t.Blockers {
			t.Blockers[i].Query = h.statement(t.Blockers[i].Query)
		}
		t.Cause = causeOf(s, h.open(s.Name, revealed))
		if !f.Since.IsZero() {
			since = " " + dur(time.Since(f.Since)) + " ago"
		}
	}
	t.Safe = h.waits(s)
	if s.Kind == consumer.KindProjection && s.Lag > 0 {
		what := h.config.Serves[s.Name]
		if what == "" {
			t.Notices = "What it shows is from " + h.moment(time.Now().Add(-s.Lag)) + "."
		} else {
			t.Notices = what + " are from " + h.moment(time.Now().Add(-s.Lag)) + "."
		}
	}
	switch {
	case s.State == consumer.Ahead:
		t.Says = "is ahead of the log: the log is an older one"
		t.Next = "Find out whether the database was restored from a backup before you do anything else; then reset it."
	case t.Class == "failed" && s.Kind == consumer.KindProjection && s.Failure != nil && s.Failure.EventName != "":
		t.Says, t.Button = "stopped"+since, "Open failure"
		t.Next = "See what the event would do, then fix the code, or skip this one event."
	case t.Class == "failed" && s.Kind == consumer.KindProjection:
		t.Says = "does not run" + ago(since)
		t.Next = "Rebuild it beside its tables: readers see what there is meanwhile. Or reset it."
	case t.Class == "failed":
		t.Says = "stopped" + since
		t.Next = "Fix the cause, then resume it."
	case t.Class == "stalled":
		t.Says, t.Next = "does not get on", "It goes on by itself when that returns. If it never does, restart the process that runs it."
		if s.Failure != nil && len(s.Failure.Blockers) > 0 {
			t.Says = "waits for a lock that another session holds"
			t.Next = "It goes on by itself when that session ends: see who it is, and end it if it is forgotten."
		}
	default:
		t.Says = "can’t get on, and tries again"
		if s.Failure != nil && time.Until(s.Failure.Next) > time.Second {
			t.Says = "can’t get on, next try in " + dur(time.Until(s.Failure.Next))
		}
		t.Next = "It goes on by itself once the cause is gone."
		if s.Kind == consumer.KindRelay {
			t.Next = "Check that the broker is up. It goes on by itself then."
		}
	}
	return t
}

func ago(since string) string {
	if since == "" {
		return ""
	}
	return ", since" + strings.TrimSuffix(since, " ago")
}

// eventPrefix is what errors of a projection say about the event, which the page says itself.
var eventPrefix = regexp.MustCompile(`^(projection .{1,200}?: )?apply .{1,600}?, position \d+, id [0-9a-f-]{36}: `)

// bare is an error without what the page says around it.
func bare(text string) string { return eventPrefix.ReplaceAllString(text, "") }

// causeOf is the error, with the event that it is about and the tries.
func causeOf(s consumer.Status, open bool) string {
	f := s.Failure
	text := said(open || f.EventName == "", bare(f.Error))
	if f.EventName != "" && !strings.Contains(text, f.EventName) {
		text = fmt.Sprintf("At event %s, %s: %s", num(f.Position), f.EventName, text)
	}
	if f.Attempts > 1 {
		text += fmt.Sprintf(" (%s tries)", num(f.Attempts))
	}
	return text
}

// waits says what waits, and what goes on.
func (h *Handler) waits(s consumer.Status) string {
	waiting := ""
	switch {
	case s.Behind < 0:
		waiting = "Nobody knows how many events wait."
	case s.More:
		waiting = "More than " + num(s.Behind) + " events wait."
	case s.Behind == 0:
		waiting = "No event waits."
	default:
		waiting = plural(s.Behind, "event waits.", "events wait.")
	}
	switch s.Kind {
	case consumer.KindProjection:
		return waiting + " Other projections go on."
	case consumer.KindRelay, consumer.KindSubscriber:
		return "Nothing is lost: what is to be published stays in the log. " + waiting
	}
	return "Nothing is lost: what is not handled stays in the log. " + waiting
}
