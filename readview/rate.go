package readview

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// rateOver is the time over which a rate is taken, about.
const rateOver = 5 * time.Second

// meter measures how many events are applied a second. It is safe for concurrent use.
type meter struct {
	mu     sync.Mutex
	events int64 // since at
	at     time.Time
	rate   float64
	last   time.Time // something was applied
}

func (m *meter) add(events int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events += int64(events)
}

// now returns the rate; what is older counts for less and less.
func (m *meter) now() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	took := now.Sub(m.at)
	switch {
	case m.at.IsZero():
		m.at = now
		return 0
	case took < 10*time.Millisecond: // too little to tell
		return m.rate
	}
	weight := 1 - math.Exp(-took.Seconds()/rateOver.Seconds())
	if m.rate == 0 {
		weight = 1
	}
	if m.events > 0 {
		m.last = now
	}
	if m.rate += weight * (float64(m.events)/took.Seconds() - m.rate); m.rate < 0.01 || now.Sub(m.last) > 4*rateOver {
		m.rate = 0
	}
	m.events, m.at = 0, now
	return m.rate
}

// lookAhead remembers what one status has found in the log, so that it costs one look for all projections that handle the
// same and stand at the same position, as those that have yet to begin, one count for all that are behind another one
// of which more waits than is counted, and no event is counted twice for those that handle the same. Their positions were read
// before, and the first of all is asked about first.
type lookAhead struct {
	head    eventsourced.Position // 0 when it was not read yet
	known   map[string]*outlook
	counted map[string]counted      // by names: what lies before the last one of those that handle these
	full    []eventsourced.LogQuery // of which there was more than was counted
}

// counted is how many events there are after a position.
type counted struct {
	after  eventsourced.Position
	events int64
}

// outlook is what lies before a projection.
type outlook struct {
	eventsourced.Backlog
	estimate int64 // -1 when it was not asked
}

func outlookKey(query eventsourced.LogQuery) string {
	return fmt.Sprintf("%d %q", query.After, query.Names)
}

// backlog is [eventsourced.BacklogAfter].
func (l *lookAhead) backlog(ctx context.Context, log eventsourced.LogReader, query eventsourced.LogQuery) (eventsourced.Backlog, error) {
	if known := l.known[outlookKey(query)]; known != nil {
		return known.Backlog, nil
	}
	if l.head == 0 {
		head, err := log.Head(ctx)
		if err != nil {
			return eventsourced.Backlog{}, err
		}
		l.head = head
	}
	names := fmt.Sprintf("%q", query.Names)
	found, err := eventsourced.BacklogAfter(ctx, foreseen{log, l.head, l.overflows(query), l.counted[names]}, query)
	if err != nil {
		return found, err
	}
	if found.More {
		l.full = append(l.full, query)
	} else {
		l.counted[names] = counted{query.After, found.Behind}
	}
	l.known[outlookKey(query)] = &outlook{found, -1}
	return found, nil
}

// foreseen is a log of which one status need not ask again what it knows.
type foreseen struct {
	eventsourced.LogReader
	head  eventsourced.Position
	whole bool    // there is more than is counted
	ahead counted // of the same names
}

func (f foreseen) Head(context.Context) (eventsourced.Position, error) { return f.head, nil }

func (f foreseen) CountLog(ctx context.Context, query eventsourced.LogQuery) (int64, error) {
	if f.whole {
		return int64(query.Limit), nil
	}
	if f.ahead.after <= query.After {
		return f.LogReader.CountLog(ctx, query)
	}
	query.UpTo, query.Limit = f.ahead.after, query.Limit-int(f.ahead.events) // which are fewer, or there was more than is counted
	n, err := f.LogReader.CountLog(ctx, query)
	return n + f.ahead.events, err
}

// overflows tells that more is before a query than is counted, as it has all of another's that has.
func (l *lookAhead) overflows(query eventsourced.LogQuery) bool {
	return slices.ContainsFunc(l.full, func(full eventsourced.LogQuery) bool {
		outside := func(name string) bool { return !slices.Contains(query.Names, name) }
		return full.After >= query.After && (len(query.Names) == 0 || len(full.Names) > 0 && !slices.ContainsFunc(full.Names, outside))
	})
}

// foretell completes a status that has a backlog with how much it is and how long it takes.
func (l *lookAhead) foretell(ctx context.Context, log eventsourced.LogReader, names []string, status *consumer.Status) {
	status.Estimate = status.Behind
	query := eventsourced.LogQuery{After: status.Position, Names: names}
	known := l.known[outlookKey(query)]
	if estimator, ok := log.(eventsourced.Estimator); ok && status.More && known != nil {
		if known.estimate < 0 {
			known.estimate = 0
			if about, err := estimator.EstimateLog(ctx, query); err == nil { // it is no reason to do without the rest
				known.estimate = about
			}
		}
		status.Estimate = max(known.estimate, status.Behind)
	}
	if status.Rate > 0 && status.Estimate > 0 && (!status.More || status.Estimate > status.Behind) {
		status.Left = time.Duration(float64(status.Estimate) / status.Rate * float64(time.Second))
	}
}

// replayDead is when a rebuild that does not say anything any more is not under way.
const replayDead = 30 * time.Second

// status is what the record of a rebuild says.
func (r rebuildRecord) status() *consumer.Replay {
	s := &consumer.Replay{
		Command: r.command, Phase: r.phase, Events: r.events, Total: r.total, Node: consumer.NodeName(r.node), Detail: r.detail, Began: r.started.UTC(),
	}
	r.found(s)
	took := r.beat.Sub(r.started).Seconds()
	if took > 0 {
		s.Rate = float64(r.events) / took
	}
	if r.ended != nil {
		s.Ended = r.ended.UTC()
		return s
	}
	if r.waits != nil {
		_ = json.Unmarshal([]byte(*r.waits), &s.Waits) // for people: detail has it in words
	}
	if s.Running = time.Since(r.beat) < replayDead; !s.Running {
		s.Waits = nil
		s.Phase = "interrupted"
		return s
	}
	if s.Rate > 0 && r.total > r.events {
		s.Left = time.Duration(float64(r.total-r.events) / s.Rate * float64(time.Second))
	}
	return s
}

// found completes it with what the last verification has found that could tell.
func (r rebuildRecord) found(s *consumer.Replay) {
	var result struct {
		Verified
		At time.Time `json:"at"`
	}
	if r.result == nil || json.Unmarshal([]byte(*r.result), &result) != nil {
		return
	}
	s.Equal, s.Told, s.Different = &result.Equal, result.At.UTC(), result.different()
}
