package readview

import (
	"context"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// sighting is what a watcher has seen of a projection.
type sighting struct {
	record
	known   bool      // it has ever run
	here    bool      // this process holds its lease, perhaps renewed a little late
	refusal error     // of this program, see [programs.refusal], or why that can't be told
	waiting time.Time // since when the first event above its position waits; zero when that was not asked
}

// prospect is what becomes of a wait for a position.
type prospect int

const (
	coming prospect = iota
	reached
	unlikely // it is not worth waiting for
)

// judge tells how a projection is, and whether it is worth waiting until it is at target.
func (s sighting) judge(target eventsourced.Position, patience time.Duration) (consumer.State, prospect) {
	state, likely := s.state(patience)
	switch {
	case state == consumer.Ahead || refused(s.refusal): // what it shows is not of this log, or not all of it
		return state, unlikely
	case s.Position >= target:
		return state, reached
	case likely:
		return state, coming
	}
	return state, unlikely
}

// state tells how a projection is, and whether it is likely to get on in time.
func (s sighting) state(patience time.Duration) (state consumer.State, likely bool) {
	trying := s.failure != nil && (s.leaseValid || s.fresh)
	behind := !s.waiting.IsZero() && time.Since(s.waiting) > patience
	switch {
	case !s.known:
		return consumer.Standby, !behind
	case s.status == "failed" || refused(s.refusal):
		return consumer.Failed, false
	case s.status == "paused":
		return consumer.Paused, false
	case s.status == "ahead":
		return consumer.Ahead, false
	case s.Position < s.rebuildTo:
		return consumer.CatchingUp, false
	case trying:
		return consumer.Retrying, time.Since(s.failure.Since) <= patience
	case !s.leaseValid && !s.here:
		return consumer.Standby, !behind
	case behind:
		return consumer.CatchingUp, false
	}
	return consumer.Live, true
}

// backlog returns since when the first event above a position waits, as in before if that is known, and notes it in found. The zero time
// stands for what is not known.
func (w *watcher) backlog(ctx context.Context, after eventsourced.Position, before, found map[eventsourced.Position]time.Time) (since time.Time) {
	since = found[after]
	if since.IsZero() {
		since = before[after]
	}
	if !since.IsZero() {
		found[after] = since
		return since
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	for first, err := range w.m.log.ReadLog(ctx, eventsourced.LogQuery{After: after, Limit: 1}) {
		if err != nil {
			return time.Time{}
		}
		since = first.Position.Time()
		if time.Until(since) > time.Second { // a clock has gone back
			since = first.Time
		}
	}
	found[after] = since
	return since
}
