package operate

import (
	"io"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// statusJSON is a consumer for programs: all that the table and what is below it say.
type statusJSON struct {
	Name        string       `json:"name"`
	Topic       string       `json:"topic"` // of a subscription, else ""
	Kind        string       `json:"kind"`
	State       string       `json:"state"`
	Position    int64        `json:"position"`
	Head        int64        `json:"head"`
	Behind      int64        `json:"behind"`
	More        bool         `json:"more"` // than behind says
	LagSeconds  float64      `json:"lag_seconds"`
	Parked      int64        `json:"parked"` // events that were put aside
	Node        string       `json:"node"`   // "" when nobody runs it
	Error       *string      `json:"error"`
	Failure     *failureJSON `json:"failure"`
	Version     int          `json:"version"`      // of a projection
	Estimate    int64        `json:"estimate"`     // about how many events wait, also when there are more than behind says
	Rate        float64      `json:"rate"`         // events a second
	LeftSeconds float64      `json:"left_seconds"` // about; 0 when it is not known
	Skipped     int64        `json:"skipped"`      // events that somebody has given up
	Rebuild     *replayJSON  `json:"rebuild"`      // under way, or the last one
	Verify      *replayJSON  `json:"verify"`
	VerifyEvery float64      `json:"verify_every_seconds"` // how often a projection is verified on schedule, 0 for never
	Refused     string       `json:"refused"`              // why this program may not run what another program runs, "" when it may
	Asked       string       `json:"asked"`                // "skip" or "park", what is to be done with the event that a reactor fails at, "" for nothing
}

// replayJSON is how far a rebuild, a rollback or a verification is.
type replayJSON struct {
	*consumer.Replay
	LeftSeconds float64    `json:"left_seconds"` // about; 0 when it is not known
	Ended       *time.Time `json:"ended"`        // null while it runs
}

// failureJSON is why a consumer does not get on.
type failureJSON struct {
	Event     string `json:"event"` // for people, "" when it is not about one
	EventID   string `json:"event_id"`
	EventName string `json:"event_name"`
	Position  int64  `json:"position"`  // 0 when it is not about an event
	Statement string `json:"statement"` // that a handler failed with
	Stack     string `json:"stack"`     // of one that panicked
	Stalled   bool   `json:"stalled"`   // nothing has failed, but something takes long

	Time   time.Time  `json:"time"`
	Since  *time.Time `json:"since"` // null when it is not known
	Tries  int        `json:"tries"`
	Next   *time.Time `json:"next"` // try, null when it is not known
	Advice string     `json:"advice"`

	Blockers []consumer.Session `json:"blockers"` // who holds the lock that a stalled projection waits for
	Session  *consumer.Session  `json:"session"`  // its own, if it waits for a lock or is at a statement that takes long
}

func (c *Commands) writeJSON(w io.Writer, all []consumer.Status) error {
	rows := make([]statusJSON, len(all))
	for i, s := range all {
		rows[i] = statusJSON{
			Name: s.Name, Topic: s.Topic, Kind: string(s.Kind), State: string(s.State), Position: int64(s.Position), Head: int64(s.Head),
			Behind: s.Behind, More: s.More, LagSeconds: s.Lag.Seconds(), Estimate: max(s.Estimate, s.Behind), Rate: s.Rate, LeftSeconds: s.Left.Seconds(),
			Version: s.Version, Parked: s.Parked, Skipped: s.Skipped, Node: s.Node, Rebuild: replayOf(s.Rebuild), Verify: replayOf(s.Verify), VerifyEvery: s.VerifyEvery.Seconds(), Asked: s.Asked, Refused: s.Refused,
		}
		if s.Failure == nil {
			continue
		}
		text := failureOf(s)
		rows[i].Error = &text
		rows[i].Failure = c.failure(s)
	}
	return terminal.JSON(w, rows)
}

func (c *Commands) failure(s consumer.Status) *failureJSON {
	f := s.Failure
	about := &failureJSON{
		Event: eventOf(f), EventName: f.EventName, Position: int64(f.Position), Statement: f.Statement, Stack: f.Stack, Stalled: f.Stalled,
		Time: f.Time.UTC(), Since: known(f.Since), Tries: f.Attempts, Next: known(f.Next), Advice: c.advice(s), Blockers: append([]consumer.Session{}, f.Blockers...), Session: f.Session,
	}
	if f.EventName != "" {
		about.EventID = f.EventID.String()
	}
	return about
}

func replayOf(r *consumer.Replay) *replayJSON {
	if r == nil {
		return nil
	}
	return &replayJSON{Replay: r, LeftSeconds: r.Left.Seconds(), Ended: known(r.Ended)}
}

// known returns a time for programs, nil for none.
func known(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}
