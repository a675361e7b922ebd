package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// waiting is how many events a consumer has before it, for people.
func waiting(s consumer.Status) eventsourced.Backlog {
	return eventsourced.Backlog{Behind: s.Behind, More: s.More}
}

// eventOf names the event that a failure is about, "" when it is about none.
func eventOf(f *consumer.Failure) string {
	if f.EventName == "" {
		return ""
	}
	return fmt.Sprintf("%s, position %d, id %s", f.EventName, f.Position, f.EventID)
}

// failureOf is why a consumer does not get on, "" when it does.
func failureOf(s consumer.Status) string {
	if s.Failure == nil {
		return ""
	}
	text := s.Failure.Error
	if event := eventOf(s.Failure); event != "" && s.Kind != consumer.KindProjection { // whose errors name it
		text = event + ": " + text
	}
	return forOperators(text)
}

// advice says what to do about a failure.
func (c *Commands) advice(s consumer.Status) string {
	switch s.State {
	case consumer.Standby:
		return "Another program runs it, or nobody: see docs/operating.md."
	case consumer.Ahead:
		return "The log has gone back: see docs/operating.md before you do anything."
	case consumer.Failed:
	case consumer.Paused:
		return "It goes on when it is resumed: " + c.quote("readviews resume "+s.Name) + "."
	case consumer.Stalled:
		if s.Failure.Session != nil && len(s.Failure.Blockers) == 0 {
			return fmt.Sprintf("The server is at work for it, and no lock is in its way: it goes on by itself. EXPLAIN says why the statement takes long; %s cancels it, and its page is tried again.", c.quote("readviews end-session "+s.Name))
		}
		if len(s.Failure.Blockers) == 0 {
			return "It goes on by itself when that returns. If it never does, restart the process that runs it." + c.mayLeaveOut(s)
		}
		return "It goes on by itself when that session ends; to end it: " + c.quote("readviews end-session "+s.Name)
	default:
		return "It tries again by itself once the cause is gone." + c.mayLeaveOut(s)
	}
	if s.Kind == consumer.KindProjection && s.Failure.EventName == "" { // it is refused, or misses events
		return "Run " + c.quote("readviews rebuild "+s.Name) + " beside its tables, or " + c.quote("readviews reset "+s.Name) + "."
	}
	resume := "Fix the cause, then run " + c.quote("readviews resume "+s.Name)
	if way := c.mayLeaveOut(s); s.Kind == consumer.KindReactor && way != "" {
		return resume + "." + way
	}
	if s.Kind == consumer.KindReactor && s.Failure.EventName == "" { // of an inbox: it is refused, or misses events
		return resume + ", or have all received again: " + c.quote("readviews reset "+s.Name) + "."
	}
	return resume + "."
}

// mayLeaveOut says how a relay gets past an event that it can't translate, and a reactor past one that it can't handle.
func (c *Commands) mayLeaveOut(s consumer.Status) string {
	f := s.Failure
	if s.Kind == consumer.KindReactor && f.EventName != "" && f.Attempts > 0 {
		return fmt.Sprintf(" If that event can't be handled: %s, or skip in place of park.", c.quote(fmt.Sprintf("reactors park %s --position %d --reason TEXT", s.Name, f.Position)))
	}
	if s.Kind != consumer.KindRelay || !relay.IsTranslateFailure(f) {
		return ""
	}
	return " If that event can't be mended: " + c.quote(fmt.Sprintf("relay skip --position %d --reason TEXT", f.Position)) + "."
}

// column is one of a status.
type column struct {
	name string
	of   func(consumer.Status) string // "" is nothing to say

	maySkip bool // when it says nothing of anybody
}

// columns are those of a status.
var columns = []column{
	{"NAME", func(s consumer.Status) string { return s.Name }, false},
	{"KIND", func(s consumer.Status) string { return string(s.Kind) }, false},
	{"STATE", func(s consumer.Status) string { return string(s.State) }, false},
	{"POSITION", func(s consumer.Status) string { return fmt.Sprint(s.Position) }, false},
	{"HEAD", func(s consumer.Status) string { return fmt.Sprint(s.Head) }, false},
	{"BEHIND", func(s consumer.Status) string { return cmp.Or(when(s.Behind < 0, "?"), waiting(s).String()) }, false},
	{"LAG", func(s consumer.Status) string { return s.Lag.Round(time.Millisecond).String() }, false},
	{"NODE", func(s consumer.Status) string { return cmp.Or(s.Node, "-") }, false},
	{"VERSION", func(s consumer.Status) string { return when(s.Version > 0, strconv.Itoa(s.Version)) }, true},
	{"RATE", func(s consumer.Status) string { return when(s.Rate > 0, perSecond(s.Rate)+"/s") }, true},
	{"LEFT", func(s consumer.Status) string { return when(s.Left > 0, roughly(s.Left)) }, true},
}

func writeTable(w io.Writer, all []consumer.Status) error {
	shown := slices.DeleteFunc(slices.Clone(columns), func(column column) bool {
		said := slices.ContainsFunc(all, func(s consumer.Status) bool { return column.of(s) != "" })
		return !said && column.maySkip
	})
	heading := make([]string, len(shown))
	for i, column := range shown {
		heading[i] = column.name
	}
	return terminal.Table(w, strings.Join(heading, "\t"), all, func(s consumer.Status) string {
		cells := make([]string, len(shown))
		for i, column := range shown {
			cells[i] = cmp.Or(column.of(s), "-")
		}
		return strings.Join(cells, "\t")
	})
}

// WriteStatus prints consumers as readviews status does, and what to do about those that
// have failures.
func (c *Commands) WriteStatus(ctx context.Context, s System, w io.Writer, all []consumer.Status) error {
	w = terminal.Printable(w)
	problems := []error{writeTable(w, all)}
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, "\n"+format, args...)
		problems = append(problems, err)
	}
	var hints []string
	for _, status := range all {
		if status.Failure != nil {
			say("%s", c.describeFailure(status))
			if s.Hint != nil {
				hints = append(hints, s.Hint(ctx, failureOf(status)))
			}
		}
		if status.Asked != "" {
			say("%s was asked to %s that event: it does when the event fails once more, within seconds, or once it is resumed.\n", status.Name, status.Asked)
		}
		if status.Refused != "" {
			say("%s is run by another program, and this one may not run it:\n  %s\n", status.Name, forOperators(status.Refused))
		}
		if status.Parked > 0 {
			list := "reactors parked "
			if status.Kind == consumer.KindProjection {
				list = "readviews parked "
			}
			say("%s has parked %s: %s lists what is parked.\n", status.Name, many(status.Parked, "event"), c.quote(list+status.Name))
		}
		if status.Skipped > 0 {
			say("%s lacks %s: %s lists what was skipped.\n", status.Name, many(status.Skipped, "skipped event"), c.quote("readviews skipped "+status.Name))
		}
	}
	var replays strings.Builder
	for _, status := range all {
		for _, replay := range []*consumer.Replay{status.Rebuild, status.Verify} {
			if replay != nil {
				fmt.Fprintf(&replays, "%s: %s\n", status.Name, describeReplay(replay))
			}
		}
	}
	if replays.Len() > 0 {
		say("%s", replays.String())
	}
	for i, hint := range hints {
		if hint != "" && !slices.Contains(hints[:i], hint) {
			say("%s\n", hint)
		}
	}
	return errors.Join(problems...)
}

// when is a text if there is something to say, otherwise "".
func when(there bool, text string) string {
	if there {
		return text
	}
	return ""
}

// roughly is a duration as precise as a forecast.
func roughly(d time.Duration) string {
	switch {
	case d > time.Hour:
		return "~" + strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d > time.Second:
		return "~" + d.Round(time.Second).String()
	}
	return "~1s"
}

// describeReplay says in a line how far a rebuild or a verification is, or what became of it; the operator log and --json have all of it.
func describeReplay(r *consumer.Replay) string {
	detail := ""
	if r.Detail != "" {
		detail = ": " + inShort(r.Detail)
	}
	switch {
	case !r.Running && r.Ended.IsZero():
		return fmt.Sprintf("%s of %s was interrupted; run it again, and it goes on, or clean up", r.Command, r.Began.Format(time.RFC3339))
	case !r.Running:
		return fmt.Sprintf("last %s %s at %s%s", r.Command, r.Phase, r.Ended.Format(time.RFC3339), detail)
	}
	left := ""
	if r.Left > 0 {
		left = ", " + roughly(r.Left) + " left"
	}
	if r.Detail != "" {
		detail = ", it waits for " + inShort(r.Detail)
	}
	of := ""
	if r.Total >= 0 { // known
		of = fmt.Sprintf(" of %d", r.Total)
	}
	return fmt.Sprintf("%s by %s, %s: %d%s events, %s a second%s%s", r.Command, r.Node, r.Phase, r.Events, of, perSecond(r.Rate), left, detail)
}

// oneLine is a text in one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// inShort is the beginning of a text, in one line.
func inShort(text string) string {
	const longest = 120
	runes := []rune(oneLine(text))
	if len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return string(runes)
}

// perSecond is a rate for people.
func perSecond(rate float64) string {
	if rate >= 10 {
		return fmt.Sprintf("%.0f", rate)
	}
	return fmt.Sprintf("%.2g", rate)
}

func (c *Commands) describeFailure(s consumer.Status) string {
	what := "is " + string(s.State) + ", as of"
	if s.State == consumer.Failed {
		what = "failed at"
	}
	since, next := "", ""
	if !s.Failure.Since.IsZero() {
		since = ", since " + s.Failure.Since.Format(time.RFC3339)
	}
	if !s.Failure.Next.IsZero() {
		next = ", next " + s.Failure.Next.Format(time.RFC3339)
	}
	return fmt.Sprintf("%s %s %s:\n  %s (tries: %d%s%s)\n  %s\n",
		s.Name, what, s.Failure.Time.Format(time.RFC3339), failureOf(s), s.Failure.Attempts, since, next, c.advice(s))
}
