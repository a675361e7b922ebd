package readview

import (
	"context"
	"errors"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// sighting is what a watcher has seen of a projection.
type sighting struct {
	record
	known   bool      // it has ever run
	here    bool      // this process holds its lease, perhaps renewed a little late
	refused error     // [ErrNewEvents]: the tables are not what this program would have there
	waiting time.Time // since when the first event above its position waits; zero when that was not asked
}

// prospect is what becomes of a wait for a position.
type prospect int

const (
	coming prospect = iota
	reached
	unlikely // it is not worth waiting for
)

// read returns how projections stand in the database that answers. A query that is under way
// is not broken off when the last one leaves: that would cost the connection.
func (w *watcher) read(ctx context.Context, names []string) (map[string]sighting, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.limit)
	defer cancel()
	records, err := w.states.readMany(ctx, names)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]sighting, len(names))
	for _, name := range names {
		r, err := w.m.runner(name)
		if err != nil {
			return nil, err
		}
		s := sighting{}
		if s.record, s.known = records[name]; s.known {
			s.here = s.node == w.m.node && r.starts()
			err := s.programs.refusal(ctx, r.log, r.definition, s.Position)
			switch {
			case refused(err):
				s.refused = err
			case err != nil && !errors.Is(err, ErrOlderProgram): // an older one's reads are as good
				return nil, err
			}
		}
		seen[name] = s
	}
	return seen, nil
}

// judge tells how a projection is, and whether it is worth waiting until it is at target.
func (w *watcher) judge(s sighting, target eventsourced.Position) (consumer.State, prospect) {
	state, likely := w.state(s)
	switch {
	case state == consumer.Ahead || s.refused != nil: // what it shows is not of this log, or not all of it
		return state, unlikely
	case s.Position >= target:
		return state, reached
	case likely:
		return state, coming
	}
	return state, unlikely
}

// state tells how a projection is, and whether it is likely to get on within the limit.
func (w *watcher) state(s sighting) (state consumer.State, likely bool) {
	trying := s.failure != nil && (s.leaseValid || s.fresh)
	behind := !s.waiting.IsZero() && time.Since(s.waiting) > w.patience()
	switch {
	case !s.known:
		return consumer.Standby, !behind
	case s.status == "failed" || s.refused != nil:
		return consumer.Failed, false
	case s.status == "paused":
		return consumer.Paused, false
	case s.status == "ahead":
		return consumer.Ahead, false
	case s.Position < s.rebuildTo:
		return consumer.CatchingUp, false
	case trying:
		return consumer.Retrying, time.Since(s.failure.Since) <= w.patience()
	case !s.leaseValid && !s.here:
		return consumer.Standby, !behind
	case behind:
		return consumer.CatchingUp, false
	}
	return consumer.Live, true
}

// patience is how old what keeps a projection from getting on may be, so that it is waited for:
// as long as it was there, it may stay. Another node that takes over has its time.
func (w *watcher) patience() time.Duration { return max(w.limit, 2*w.m.config.PollInterval) }

// backlog is what was found above a position.
type backlog struct {
	after eventsourced.Position
	since time.Time // when the first event there was appended
}

// backlog returns since when the first event above a position waits, before if that was of the same
// position. The zero time stands for what is not known.
func (w *watcher) backlog(ctx context.Context, after eventsourced.Position, before backlog) backlog {
	if before.after == after && !before.since.IsZero() {
		return before
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.limit)
	defer cancel()
	found := backlog{after: after}
	for first, err := range w.m.log.ReadLog(ctx, eventsourced.LogQuery{After: after, Limit: 1}) {
		if err != nil {
			return backlog{after: after}
		}
		found.since = first.Position.Time()
		if time.Until(found.since) > time.Second { // a clock has gone back
			found.since = first.Time
		}
	}
	return found
}
