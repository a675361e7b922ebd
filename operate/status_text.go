package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
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
	return ForOperators(text)
}

// advice says what to do about a failure.
func (c *Commands) advice(s consumer.Status) string {
	switch s.State {
	case consumer.Standby:
		return "Another program runs it, or nobody: see docs/operating.md."
	case consumer.Ahead:
		return "The log has gone back: see docs/operating.md before you do anything."
	case consumer.Failed:
	case consumer.Stalled:
		if len(s.Failure.Blockers) == 0 {
			return "It goes on by itself when that returns. If it never does, restart the process that runs it."
		}
		ends := make([]string, len(s.Failure.Blockers))
		for i, b := range s.Failure.Blockers {
			ends[i] = fmt.Sprintf("SELECT pg_terminate_backend(%d)", b.PID)
		}
		return "It goes on by itself when that session ends; to end it: " + strings.Join(ends, "; ")
	default:
		return "It tries again by itself once the cause is gone."
	}
	command := "resume"
	if s.Kind == consumer.KindProjection && s.Failure.EventName == "" { // it is refused, or misses events
		command = "reset"
	}
	return "Fix the cause, then run " + c.quote("readviews "+command+" "+s.Name) + "."
}

// WriteStatus prints consumers as readviews status does, and what to do about those that
// have failures.
func (c *Commands) WriteStatus(ctx context.Context, s System, w io.Writer, all []consumer.Status) error {
	problems := []error{terminal.Table(w, "NAME\tKIND\tSTATE\tPOSITION\tHEAD\tBEHIND\tLAG\tNODE", all, func(s consumer.Status) string {
		return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s", s.Name, s.Kind, s.State, s.Position, s.Head, waiting(s), s.Lag.Round(time.Millisecond), cmp.Or(s.Node, "-"))
	})}
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
		if status.Parked > 0 {
			list := "reactors parked "
			if status.Kind == consumer.KindProjection {
				list = "readviews parked "
			}
			say("%s has parked %d events: %s lists them.\n", status.Name, status.Parked, c.quote(list+status.Name))
		}
		if status.Skipped > 0 {
			say("%s lacks %d events that were skipped: %s lists them.\n", status.Name, status.Skipped, c.quote("readviews skipped "+status.Name))
		}
	}
	for i, hint := range hints {
		if hint != "" && !slices.Contains(hints[:i], hint) {
			say("%s\n", hint)
		}
	}
	return errors.Join(problems...)
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

// statusJSON is a consumer for programs: all that the table and what is below it say.
type statusJSON struct {
	Name       string       `json:"name"`
	Kind       string       `json:"kind"`
	State      string       `json:"state"`
	Position   int64        `json:"position"`
	Head       int64        `json:"head"`
	Behind     int64        `json:"behind"`
	More       bool         `json:"more"` // than behind says
	LagSeconds float64      `json:"lag_seconds"`
	Parked     int64        `json:"parked"` // events that were put aside
	Node       string       `json:"node"`   // "" when nobody runs it
	Error      *string      `json:"error"`
	Failure    *failureJSON `json:"failure"`
}

// failureJSON is why a consumer does not get on.
type failureJSON struct {
	Event  string     `json:"event"` // "" when it is not about one
	Time   time.Time  `json:"time"`
	Since  *time.Time `json:"since"` // null when it is not known
	Tries  int        `json:"tries"`
	Next   *time.Time `json:"next"` // try, null when it is not known
	Advice string     `json:"advice"`

	Blockers []consumer.Session `json:"blockers"` // who holds the lock that a stalled projection waits for
}

func (c *Commands) writeJSON(w io.Writer, all []consumer.Status) error {
	rows := make([]statusJSON, len(all))
	for i, s := range all {
		rows[i] = statusJSON{s.Name, string(s.Kind), string(s.State), int64(s.Position), int64(s.Head), s.Behind, s.More, s.Lag.Seconds(), s.Parked, s.Node, nil, nil}
		if s.Failure == nil {
			continue
		}
		text := failureOf(s)
		rows[i].Error = &text
		rows[i].Failure = &failureJSON{eventOf(s.Failure), s.Failure.Time.UTC(), known(s.Failure.Since), s.Failure.Attempts, known(s.Failure.Next), c.advice(s), append([]consumer.Session{}, s.Failure.Blockers...)}
	}
	return terminal.JSON(w, rows)
}

// known returns a time for programs, nil for none.
func known(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}
