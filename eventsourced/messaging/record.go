package messaging

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const (
	slowAfter    = 1500 * time.Millisecond // what takes longer is in the status
	recordPause  = time.Second             // between two writes of a record
	touchedAfter = 5 * time.Second         // a call that hangs is on record again
)

// part is a part of a consumer's work that may fail by itself. The first one that
// does is in the status.
type part int

const (
	ofEvents   part = iota // reading and handling events, saving the position
	ofLease                // keeping the lease
	ofRequests             // receiving and answering requests for history
	parts
)

// record is why a consumer does not get on, as this process knows it. It is kept in
// memory, where the status finds it, and copied to the table consumers: what keeps
// the consumer from getting on may keep the table from being written.
type record struct {
	mu       sync.Mutex
	failures [parts]*Failure // none of them is changed
	underWay [parts]bool     // the failure is of a try that has not ended
	unknown  bool            // another node may have left a failure in the table
	changed  chan struct{}   // of capacity 1

	writing sync.Mutex // held while the table is written
}

func newRecord() *record { return &record{changed: make(chan struct{}, 1)} }

// ProblemError says why something does not work, since when, and how often it was
// tried. It unwraps to the cause.
type ProblemError struct {
	Err      error
	Since    time.Time
	Attempts int
}

func (e *ProblemError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ProblemError) Unwrap() error { return e.Err }

// eventError is the error of an event.
type eventError struct {
	event eventsourced.Recorded
	err   error
}

func (e *eventError) Error() string { return e.err.Error() }
func (e *eventError) Unwrap() error { return e.err }

// note has a try that failed on record. event may be nil; then it is that of cause,
// if cause is about one.
func (r *record) note(p part, event *eventsourced.Recorded, cause error) {
	var about *eventError
	if event == nil && errors.As(cause, &about) {
		event = &about.event
	}
	failure := newFailure(event, time.Now(), cause)
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

// late has a try on record that takes long, and counts it if it hangs.
func (r *record) late(p part, event *eventsourced.Recorded, began time.Time, cause error, hangs bool) {
	failure := newFailure(event, began, cause)
	failure.Attempts = 0
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.failures[p]; before != nil && before.Position == failure.Position {
		if !hangs {
			return // what is on record says more
		}
		failure.Since, failure.Attempts = before.Since, before.Attempts
	}
	if hangs {
		failure.Attempts++
	}
	r.underWay[p] = true
	r.set(p, failure)
}

func newFailure(event *eventsourced.Recorded, since time.Time, cause error) *Failure {
	failure := &Failure{Error: cause.Error(), Time: time.Now().UTC(), Since: since.UTC(), Attempts: 1}
	if event != nil {
		failure.EventID, failure.EventName, failure.Position = event.ID, event.Name, event.Position
	}
	return failure
}

func (r *record) set(p part, failure *Failure) {
	r.failures[p] = failure
	r.touch()
}

// touch has the table written.
func (r *record) touch() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// clear forgets a failure: the consumer gets on.
func (r *record) clear(p part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures[p] != nil || p == ofEvents && r.unknown {
		r.underWay[p] = false
		r.unknown = r.unknown && p != ofEvents
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
func (f *follower) keepRecord(ctx context.Context) {
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
		sleep(ctx, recordPause)
	}
}

func (f *follower) writeRecord(ctx context.Context) error {
	if f.table == nil {
		return nil
	}
	f.record.writing.Lock()
	defer f.record.writing.Unlock()
	failure := f.record.current()
	return detached(ctx, func(ctx context.Context) error {
		if failure == nil {
			return f.table.forget(ctx, f.consumer, f.node)
		}
		return f.table.fail(ctx, f.consumer, f.node, failure, goingOn)
	})
}

// stop has it in the table that the consumer stops, and why.
func (f *follower) stop(ctx context.Context, event *eventsourced.Recorded, cause error, how stopping) error {
	if f.table == nil {
		return nil
	}
	f.record.writing.Lock()
	defer f.record.writing.Unlock()
	failure := f.record.current()
	if failure == nil {
		failure = newFailure(event, time.Now(), cause)
	}
	return detached(ctx, func(ctx context.Context) error {
		return f.table.fail(ctx, f.consumer, f.node, failure, how)
	})
}

// watch puts it on record when what is under way takes long. A node on which
// something hangs does not renew its lease: another one takes over.
type watch struct {
	f     *follower
	part  part
	event *eventsourced.Recorded
	what  string
	began time.Time
	timer *time.Timer
	hangs bool
}

func (f *follower) watch(p part, event *eventsourced.Recorded, what string) *watch {
	return &watch{f: f, part: p, event: event, what: what, began: time.Now(), timer: time.NewTimer(min(slowAfter, f.config.HangTimeout))}
}

// late is called when the timer fires, and tells whether it hangs.
func (w *watch) late(ctx context.Context) (hangs bool) {
	took := time.Since(w.began)
	if left := w.f.config.HangTimeout - took; left > 0 {
		w.f.record.late(w.part, w.event, w.began, fmt.Errorf("%s takes more than %v", w.what, slowAfter), false)
		w.timer.Reset(left)
		return false
	}
	w.timer.Reset(touchedAfter)
	if w.hangs {
		w.f.record.touch()
		return true
	}
	w.hangs = true
	w.f.hanging.Add(1)
	w.f.record.late(w.part, w.event, w.began, fmt.Errorf("%s has not ended after %v", w.what, w.f.config.HangTimeout), true)
	logger := w.f.logger
	if w.event != nil {
		logger = logger.With("event_id", w.event.ID.String(), "event_name", w.event.Name, "position", int64(w.event.Position))
	}
	logger.WarnContext(ctx, "consumer hangs; another node may take over", "what", w.what, "duration", took)
	return true
}

func (w *watch) end() {
	w.timer.Stop()
	if w.hangs {
		w.f.hanging.Add(-1)
	}
}
