package readviewui

import (
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

const (
	fallsFor  = 2                // steps of time over which one that catches up has to have come nearer: about a minute
	fallsFrom = 30 * time.Second // a lag that is worth a word, as of the alert ConsumerLate
)

// fallsBehind tells whether a consumer that is said to catch up does not: neither its lag nor the number of events that wait has
// become less in the last minute. It returns the lag that it had then. One that did not run then, or of which less is remembered, is given the time.
func (h *Handler) fallsBehind(s consumer.Status, now time.Time) (before time.Duration, falls bool) {
	if standingOf(s).Class != "catching-up" || s.Lag < fallsFrom {
		return 0, false
	}
	known := h.trends.consumers.Of(s.ID(), now)
	then := known[len(known)-1-fallsFor]
	if then == nil || !then.Running || s.Lag < then.Lag || waiting(s) < then.Waiting {
		return 0, false
	}
	return then.Lag, true
}

// waiting is about how many events a consumer has yet to handle, -1 when nobody knows.
func waiting(s consumer.Status) int64 { return max(s.Behind, s.Estimate) }

// falling says that a consumer falls behind.
func (h *Handler) falling(s consumer.Status, before time.Duration, revealed bool) trouble {
	t := h.troubleOf(s, revealed)
	t.standing, t.State = standing{"Falling behind", "catching-up"}, "Falling behind"
	t.Says = fmt.Sprintf("does not catch up: its lag was %s a minute ago, and is %s", dur(before), dur(s.Lag))
	switch s.Kind {
	case consumer.KindProjection:
		if s.Rate > 0 {
			t.Cause = "It applies " + rate(s.Rate) + " events a second; as many or more come."
		}
		t.Next = "If that is a peak, wait: it catches up after it. If not, its page says what its last pages took. EXPLAIN its statements: they may want an index or an ANALYZE. And see whether the machines of the database and of its node have something to spare."
	case consumer.KindReactor:
		t.Next = "If that is a peak, wait: it catches up after it. If not, see how long it takes for an event: what it calls may be slow."
	default:
		t.Next = "If that is a peak, wait: it catches up after it. If not, see whether the broker and the way to it are slow."
	}
	return t
}
