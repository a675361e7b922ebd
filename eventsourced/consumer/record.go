package consumer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

const (
	slowAfter    = 1500 * time.Millisecond // what takes longer is in the status
	recordPause  = time.Second             // between two writes of a record
	touchedAfter = 5 * time.Second         // a call that hangs is on record again
)

// Part is a part of a consumer's work that may fail by itself. The first one that
// does is in the status.
type Part int

// The parts of a consumer's work.
const (
	PartEvents Part = iota // reading and handling events, saving the position
	partLease              // keeping the lease
	PartBeside             // what goes on beside: a relay answers requests for history
	parts
)

// record is why a consumer does not get on, as this process knows it. It is kept in
// memory, where the status finds it, and copied to the table consumers: what keeps
// the consumer from getting on may keep the table from being written.
type record struct {
	mu       sync.Mutex
	failures [parts]*Failure // none of them is changed
	underWay [parts]bool     // the failure is of a try that has not ended
	lates    []lateCall      // that have not ended, in the order in which they were late
	unknown  bool            // another node may have left a failure in the table
	changed  chan struct{}   // of capacity 1
	tell     func(Failure)   // of a try that failed

	writing sync.Mutex // held while the table is written
}

// lateCall is a call that takes long: of several at the same time the first one is on record.
type lateCall struct {
	of      *Watch
	failure *Failure
}

func newRecord(tell func(Failure)) *record {
	return &record{changed: make(chan struct{}, 1), tell: tell}
}

// note has a try that failed on record. event may be nil; then it is that of cause,
// if cause is about one.
func (r *record) note(p Part, event *eventsourced.Recorded, cause error) {
	var about *WorkError
	if event == nil && errors.As(cause, &about) {
		event = &about.Event
	}
	failure := newFailure(event, time.Now(), cause)
	defer func() { r.tell(*failure) }()
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.failures[p]; before != nil && before.Position == failure.Position {
		failure.Since, failure.Attempts = before.Since, before.Attempts+1
		if r.underWay[p] && before.Attempts > 0 {
			failure.Attempts-- // it counts already
		}
	}
	var problem *ProblemError
	if errors.As(cause, &problem) {
		failure.Since, failure.Attempts = problem.Since.UTC(), problem.Attempts
	}
	r.underWay[p] = false
	r.set(p, failure)
}

// late has a try on record that takes long, and counts it if it hangs. It returns what is on record because of it, nil for
// nothing.
func (r *record) late(w *Watch, cause error, hangs bool) *Failure {
	p, failure := w.part, newFailure(w.event, w.began, cause)
	failure.Attempts, failure.Stalled = 0, true
	r.mu.Lock()
	defer r.mu.Unlock()
	if !hangs {
		r.lates = append(r.lates, lateCall{w, failure})
	}
	before := r.failures[p]
	if before != nil && !hangs && (r.underWay[p] || before.Position == failure.Position || before.Attempts > 0) {
		return nil // what is on record says more, or as much
	}
	if before != nil && before.Position == failure.Position {
		failure.Since, failure.Attempts = before.Since, before.Attempts
	}
	if hangs {
		failure.Attempts++
	}
	r.underWay[p] = true
	r.set(p, failure)
	return failure
}

// over forgets that a call takes long. If that is on record, another one that does takes its place.
func (r *record) over(w *Watch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ended *Failure
	r.lates = slices.DeleteFunc(r.lates, func(l lateCall) bool {
		if l.of == w {
			ended = l.failure
		}
		return l.of == w
	})
	now := r.failures[w.part]
	if ended == nil || now == nil || !r.underWay[w.part] || now.Position != ended.Position {
		return
	}
	for _, l := range r.lates {
		if l.of.part == w.part {
			r.set(w.part, l.failure)
			return
		}
	}
}

// takesLong tells that some call of a part does.
func (r *record) takesLong(p Part) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.lates, func(l lateCall) bool { return l.of.part == p })
}

func newFailure(event *eventsourced.Recorded, since time.Time, cause error) *Failure {
	failure := &Failure{Error: cause.Error(), Time: time.Now().UTC(), Since: since.UTC(), Attempts: 1}
	if event != nil {
		failure.EventID, failure.EventName, failure.Position = event.ID, event.Name, event.Position
	}
	return failure
}

func (r *record) set(p Part, failure *Failure) {
	r.failures[p] = failure
	r.touch()
}

// show has one failure of several on record, as it is.
func (r *record) show(p Part, failure *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underWay[p] = false
	r.set(p, failure)
}

// touch has the table written.
func (r *record) touch() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// clear forgets a failure: the consumer gets on.
func (r *record) clear(p Part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures[p] != nil || p == PartEvents && r.unknown {
		r.underWay[p] = false
		r.unknown = r.unknown && p != PartEvents
		r.set(p, nil)
	}
}

// suspect notes that the table may have a failure of another node.
func (r *record) suspect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unknown = true
}

// current returns why the consumer does not get on, nil when it does.
func (r *record) current() *Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, failure := range r.failures {
		if failure != nil {
			copied := *failure
			return &copied
		}
	}
	return nil
}

// certain tells that no other node's failure may be in the table: current is all there
// is.
func (r *record) certain() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.unknown
}

// keepRecord copies the record to the table, now and then while it changes, until
// ctx ends, and then what has changed since.
func (f *Follower) keepRecord(ctx context.Context) {
	for ended := false; !ended; {
		select {
		case <-f.record.changed:
		case <-ctx.Done():
			ended = true
			select {
			case <-f.record.changed:
			default:
				return
			}
		}
		if err := f.writeRecord(ctx); err != nil {
			f.logger.DebugContext(ctx, "failure not put on record", "error", err)
			f.record.touch()
		}
		wait.Sleep(ctx, recordPause)
	}
}

func (f *Follower) writeRecord(ctx context.Context) error {
	if f.table == nil {
		return nil
	}
	f.record.writing.Lock()
	defer f.record.writing.Unlock()
	failure := f.record.current()
	return wait.Detached(ctx, func(ctx context.Context) error {
		if failure == nil {
			return f.table.forget(ctx, f.id, f.node)
		}
		return f.table.fail(ctx, f.id, f.node, failure, goingOn)
	})
}

// Note has a try that failed on record. event may be nil; then it is that of cause, if
// cause is a [WorkError].
func (f *Follower) Note(p Part, event *eventsourced.Recorded, cause error) {
	f.record.note(p, event, cause)
}

// Show has the failure of one of several things on record that are tried at the same time, as
// it is. It is not a try of its own, of which an [Observer] is told.
func (f *Follower) Show(p Part, failure Failure) { f.record.show(p, &failure) }

// Clear forgets what was on record: that part gets on.
func (f *Follower) Clear(p Part) { f.record.clear(p) }

// getsOn forgets what was on record of events, unless some are being tried again, or take long: with several at
// the same time others get on.
func (f *Follower) getsOn() {
	if (f.work.Failing == nil || !f.work.Failing()) && !f.record.takesLong(PartEvents) {
		f.record.clear(PartEvents)
	}
}

// Stop stops the consumer at an event that can't be handled, on all nodes, until it is
// resumed, see [Work.Retries]. [Work.Handle] returns [ErrStopped] then.
func (f *Follower) Stop(ctx context.Context, event eventsourced.Recorded, cause error) error {
	return f.stop(ctx, &event, cause, stoppedThere)
}

// stop has it in the table that the consumer stops, and why.
func (f *Follower) stop(ctx context.Context, event *eventsourced.Recorded, cause error, how stopping) error {
	if f.table == nil {
		return nil
	}
	f.record.writing.Lock()
	defer f.record.writing.Unlock()
	failure := f.record.current()
	if failure == nil {
		failure = newFailure(event, time.Now(), cause)
	}
	return wait.Detached(ctx, func(ctx context.Context) error {
		return f.table.fail(ctx, f.id, f.node, failure, how)
	})
}
