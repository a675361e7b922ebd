package readviewui

import (
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// row is a consumer in the list.
type row struct {
	standing `json:"-"`
	Word     string                `json:"state"`
	Kind     consumer.Kind         `json:"kind"`
	Name     string                `json:"name"`
	Topic    string                `json:"topic,omitempty"`
	Behind   int64                 `json:"behind"` // -1 when nobody knows
	More     bool                  `json:"more"`
	Lag      time.Duration         `json:"-"`
	LagMS    int64                 `json:"lag_ms"` // likewise
	Rate     *float64              `json:"rate"`   // nil when nobody knows
	Left     time.Duration         `json:"-"`      // of one that catches up
	LeftMS   int64                 `json:"left_ms"`
	Position eventsourced.Position `json:"position"`
	Version  int                   `json:"version"`
	Node     string                `json:"node"`
	Parked   int64                 `json:"parked"`
	Skipped  int64                 `json:"skipped"`
	Rebuild  *consumer.Replay      `json:"rebuild,omitempty"`
	Error    string                `json:"error,omitempty"`
	Asked    string                `json:"asked,omitempty"`   // of a reactor: "park" or "skip", once the event that it fails at fails again
	Refused  string                `json:"refused,omitempty"` // why the page's program may not run what another one runs
	Was      string                `json:"was,omitempty"`     // the state that was known last, and when; of now nothing is known
	AsOf     time.Time             `json:"as_of,omitzero"`
	Spark    *spark                `json:"-"`
}

// rowOf returns the row of a consumer, as it stood at a look.
func (h *Handler) rowOf(l *look, s consumer.Status, revealed bool) row {
	r := row{standing: standingOf(s), Kind: s.Kind, Name: s.Name, Topic: s.Topic, Behind: s.Behind, More: s.More, Lag: s.Lag, LagMS: s.Lag.Milliseconds(),
		Position: s.Position, Version: s.Version, Node: s.Node, Parked: s.Parked, Skipped: s.Skipped, Asked: s.Asked, Refused: s.Refused, Spark: h.spark(s.ID())}
	if l.Old {
		r.Was, r.AsOf, r.standing = strings.ToLower(r.standing.Word), l.At, notKnown
	}
	if r.Word = r.standing.Word; r.Unknown() {
		r.Behind, r.More, r.LagMS = -1, false, -1
	} else if s.Rebuild != nil && s.Rebuild.Running {
		r.Rebuild = h.replay(s.Rebuild)
	}
	if hasRate(s) && !r.Unknown() {
		if r.Rate = new(float64); s.State != consumer.Failed && s.State != consumer.Paused && s.State != consumer.Ahead { // it goes on
			*r.Rate = s.Rate
		}
	}
	if s.State == consumer.CatchingUp && !r.Unknown() && min(s.Lag, s.Left) >= leftFrom { // of less it is gone before anybody has read it
		r.Left, r.LeftMS = s.Left, s.Left.Milliseconds()
	}
	if s.Failure != nil {
		r.Error = h.errorOf(s, revealed)
	}
	return r
}

// Unknown tells that nobody knows how it stands.
func (r row) Unknown() bool { return r.standing == notKnown }

func rateOf(r row) float64 {
	if r.Rate == nil {
		return -1
	}
	return *r.Rate
}

// leftFrom is how long a consumer has to be behind, and the rest has to take, for the time left to be worth a word.
const leftFrom = 2 * time.Second

// hasRate tells whether it is known how fast a consumer is: reactors and relays do not say.
func hasRate(s consumer.Status) bool { return s.Kind == consumer.KindProjection }

// Percent is how far a rebuild is.
func (r row) Percent() int { return percent(r.Rebuild) }

func percent(r *consumer.Replay) int {
	if r == nil || r.Total <= 0 {
		return 0
	}
	return int(min(100, 100*r.Events/r.Total))
}

// matches tells whether a row has a text in its name, its kind or its node.
func (r row) matches(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(strings.ToLower(r.Name+" "+r.Topic+" "+string(r.Kind)+" "+r.Node), text)
}
