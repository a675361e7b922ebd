package operate

import (
	"io"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// statusJSON is a consumer for programs: all that the table and what is below it say.
type statusJSON struct {
	Name        string           `json:"name"`
	Kind        string           `json:"kind"`
	State       string           `json:"state"`
	Position    int64            `json:"position"`
	Head        int64            `json:"head"`
	Behind      int64            `json:"behind"`
	More        bool             `json:"more"` // than behind says
	LagSeconds  float64          `json:"lag_seconds"`
	Parked      int64            `json:"parked"` // events that were put aside
	Node        string           `json:"node"`   // "" when nobody runs it
	Error       *string          `json:"error"`
	Failure     *failureJSON     `json:"failure"`
	Version     int              `json:"version"`      // of a projection
	Estimate    int64            `json:"estimate"`     // about how many events wait, also when there are more than behind says
	Rate        float64          `json:"rate"`         // events a second
	LeftSeconds float64          `json:"left_seconds"` // about; 0 when it is not known
	Skipped     int64            `json:"skipped"`      // events that somebody has given up
	Rebuild     *consumer.Replay `json:"rebuild"`      // under way, or the last one
	Verify      *consumer.Replay `json:"verify"`
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
		rows[i] = statusJSON{
			Name: s.Name, Kind: string(s.Kind), State: string(s.State), Position: int64(s.Position), Head: int64(s.Head),
			Behind: s.Behind, More: s.More, LagSeconds: s.Lag.Seconds(), Estimate: max(s.Estimate, s.Behind), Rate: s.Rate, LeftSeconds: s.Left.Seconds(),
			Version: s.Version, Parked: s.Parked, Skipped: s.Skipped, Node: s.Node, Rebuild: s.Rebuild, Verify: s.Verify,
		}
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
