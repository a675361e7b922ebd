package readviewui

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
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
	URL      string        `json:"-"` // of the button; "" is the consumer's page

	Blockers []consumer.Session `json:"blockers,omitempty"` // who holds the lock that it waits for
	Ends     []ending           `json:"-"`                  // the ways to end who is in the way
}

// troubles says what is wrong, the worst first, and how much more there is.
func (h *Handler) troubles(ctx context.Context, all []consumer.Status, revealed bool) (found []trouble, more int) {
	var idle []consumer.Status
	for _, s := range all {
		switch standingOf(s).Class {
		case "failed", "stalled", "retrying":
			found = append(found, h.troubleOf(s, revealed))
		case "catching-up":
			if before, falls := h.fallsBehind(s, time.Now()); falls {
				found = append(found, h.falling(s, before, revealed))
			}
		case notRunning.Class:
			idle = append(idle, s)
		}
	}
	found = append(found, h.notRun(idle, revealed)...)
	if !slices.ContainsFunc(all, goesOn) {
		for i := range found {
			found[i].Safe = strings.TrimSuffix(found[i].Safe, othersGoOn)
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

// otherVersion is why a program may not run a projection.
const otherVersion = ", or refuses to, as another version of it, newer or older, has filled the tables"

// notRun says of consumers that no node runs them: of those together for which this program knows no reason.
func (h *Handler) notRun(idle []consumer.Status, revealed bool) (found []trouble) {
	t := trouble{standing: notRunning, State: notRunning.Word, Lead: "Nobody runs", Safe: "Nothing is lost: events wait in the log.",
		Next:   "Start the program that runs it. If one runs, it hangs or does not reach the database" + otherVersion + "; its own log says so.",
		Button: "Open nodes", URL: "nodes"}
	var names []string
	var together []consumer.Status
	for _, s := range idle {
		if s.Failure == nil {
			together = append(together, s)
			if s.Kind != consumer.KindProjection {
				t.Next = strings.Replace(t.Next, otherVersion, "", 1)
			}
			names = append(names, s.ID().Name)
			t.Kind, t.Topic = s.Kind, s.Topic
			continue
		}
		alone := t
		alone.Notices = h.notices(s)
		alone.Kind, alone.Name, alone.Topic, alone.Cause = s.Kind, s.Name, s.Topic, h.causeOf(s, revealed)
		if alone.Next = "Start the program that is to run it, or rebuild it with this one."; s.Kind != consumer.KindProjection {
			alone.Next = "Start the program that is to run it."
		}
		alone.Button, alone.URL = "Open "+string(s.Kind), ""
		found = append(found, alone)
	}
	switch {
	case len(names) == 0:
		return found
	case len(names) > 1:
		t.Kind, t.Topic = "", ""
		t.Next = strings.NewReplacer("runs it.", "runs them.", "version of it,", "version of them,").Replace(t.Next)
	}
	t.Name, t.Notices = strings.Join(names, ", "), h.notices(together...)
	return append(found, t)
}

// appendsFail is how long a failure of an append is said.
const appendsFail = time.Minute

// What is in the way, in the place of a state.
const (
	appendsState = "Appends"
	lockedState  = "Locked"
)

// inTheWay says what keeps events from being appended, and who locks a table without which nobody knows how consumers stand.
func (h *Handler) inTheWay(l *look) (found []trouble) {
	t := trouble{standing: standing{appendsState, "stalled"}, State: appendsState, Lead: "Appends", Button: "Open log", URL: "log"}
	if b := l.Blocked; b != nil {
		holder := h.holder(&b.Holder)
		t.Says = fmt.Sprintf("wait for a lock that another session holds, for %s", dur(b.Longest))
		if b.Table != "" {
			t.standing.Word, t.State, t.Lead = lockedState, lockedState, "The table "+b.Table
			t.Says = fmt.Sprintf("is locked by another session, and others have waited for it for %s", dur(b.Longest))
		}
		t.Cause = plural(int64(b.Waiting), "session waits", "sessions wait") + " for " + holder.String()
		t.Next = "They go on by themselves when that ends. End it if it is forgotten; SELECT pg_terminate_backend(" + fmt.Sprint(holder.PID) + ") does the same."
		if b.Root != nil {
			root := h.holder(b.Root)
			t.Cause += ", which itself waits for " + root.String()
			t.Next = "They go on by themselves when that one ends, and then the other. End it if it is forgotten; SELECT pg_terminate_backend(" + fmt.Sprint(root.PID) + ") does the same."
			if root.PID == 0 {
				t.Cause = strings.TrimSuffix(t.Cause, root.String()) + "a prepared transaction"
				t.Next = "They go on by themselves when that one ends, and then the other. End it if it is forgotten: the table pg_prepared_xacts has its name, for ROLLBACK PREPARED."
			}
		}
		for _, holder := range []*pgstore.LockHolder{b.Root, &b.Holder} {
			if e := endLog(holder); e != nil {
				t.Ends = append(t.Ends, *e)
			}
		}
		if holder.Transaction != "" {
			t.Next = "They go on by themselves when that ends. End it if it is forgotten: ROLLBACK PREPARED, with its name."
		}
		found = append(found, t)
		t.Ends, t.Lead = nil, "Appends"
	}
	if log, ok := h.log.(inspected); ok {
		if at, err := log.LastFailure(); err != nil && time.Since(at) < appendsFail {
			t.standing, t.State = standing{appendsState, "failed"}, appendsState
			t.Says = "of this program fail, the last one " + dur(time.Since(at)) + " ago"
			t.Cause = h.failedAppend(err)
			t.Next = "See that the database takes writes: that it runs, has room on its disk, and nobody holds the log’s lock. Whoever wanted to append was told."
			found = append(found, t)
		}
	}
	return found
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
		t.Cause = h.causeOf(s, revealed)
		if time.Since(f.Since) > knownFor && !f.Since.IsZero() { // of a program that is refused it is found out at each look
			since = " " + dur(time.Since(f.Since)) + " ago"
		}
	}
	t.Safe = h.waits(s)
	t.Notices = h.notices(s)
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
		switch f := s.Failure; {
		case f != nil && len(f.Blockers) > 0:
			t.Says = "waits for a lock that another session holds"
			t.Next = "It goes on by itself when that session ends. End it if it is forgotten; SELECT pg_terminate_backend(" + fmt.Sprint(f.Blockers[0].PID) + ") does the same."
			t.ends(s)
		case f != nil && f.Session != nil:
			t.Says = "is at a statement that takes long, for " + dur(time.Since(f.Session.QuerySince))
			t.Next = "Wait: no lock is in its way, the server is at work, and it goes on by itself. If that happens again and again, EXPLAIN the statement: it may want an index or an ANALYZE. " +
				"To make way for one, cancel the statement: its page is tried again. A restart would only begin it anew."
			t.ends(s)
		}
	default:
		t.Says = "can’t get on, and tries again"
		if s.Failure != nil && time.Until(s.Failure.Next) > time.Second {
			t.Says = "can’t get on, next try in " + dur(time.Until(s.Failure.Next))
		}
		t.Next = "It goes on by itself once the cause is gone."
		if s.Failure != nil && s.Failure.EventName != "" {
			switch s.Kind {
			case consumer.KindProjection:
				t.Next += " If that is the event itself, see on its page what it would do: after its tries the projection stops at it, or parks it."
			case consumer.KindReactor:
				t.Next += " If that is the event itself, it is tried for a quarter of an hour by default; then the reactor parks it, and it can be skipped here, or stops."
			}
		}
		if s.Kind == consumer.KindRelay || readview.WantsBroker(s.Failure) {
			t.Next = "Check that the broker is up. It goes on by itself then."
		}
	}
	if s.Asked != "" {
		t.Says += ", " + s.Asked + " asked"
	}
	return t
}

// notices says who sees that some don't get on, and since when: "" when nobody does.
func (h *Handler) notices(of ...consumer.Status) string {
	var served []string
	late, oldest := 0, time.Duration(0)
	for _, s := range of {
		if s.Kind != consumer.KindProjection || s.Lag <= 0 {
			continue
		}
		late, oldest = late+1, max(oldest, s.Lag)
		if what := h.config.Serves[s.Name]; what != "" && !slices.Contains(served, what) {
			served = append(served, what)
		}
	}
	said, end := "What it shows is", "."
	if late > 1 {
		said, end = "What they show is", " or later."
	}
	switch {
	case late == 0:
		return ""
	case len(served) > 0:
		said = strings.Join(served, ", ") + " are"
	}
	return said + " from " + h.moment(time.Now().Add(-oldest)) + end
}

// knownFor is how long something has to last before it is said for how long.
const knownFor = 2 * time.Second

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
func (h *Handler) causeOf(s consumer.Status, revealed bool) string {
	f := s.Failure
	text := h.errorOf(s, revealed)
	if f.EventName != "" && !strings.Contains(text, f.EventName) {
		text = fmt.Sprintf("At event %s, %s: %s", num(f.Position), f.EventName, text)
	}
	if f.Attempts > 1 {
		text += fmt.Sprintf(" (%s tries)", num(f.Attempts))
	}
	return text
}

const othersGoOn = " Other projections go on."

// goesOn tells that a consumer is a projection that gets on.
func goesOn(s consumer.Status) bool {
	return s.Kind == consumer.KindProjection && slices.Contains([]string{"live", "catching-up", "rebuilding"}, standingOf(s).Class)
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
		return waiting + othersGoOn
	case consumer.KindRelay, consumer.KindSubscriber:
		return "Nothing is lost: what is to be published stays in the log. " + waiting
	}
	return "Nothing is lost: what is not handled stays in the log. " + waiting
}
