package reactor

import (
	"context"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// verdict says what becomes of a unit after a try that failed, open if it is tried again.
func (r *Reactor) verdict(u *unit, attempts int, failing time.Duration) outcome {
	kind, _ := wishOf(u.err)
	switch {
	case kind == wantsSkip:
		return skipped
	case kind == wantsPark || u.parked != nil:
		return aside
	case kind == wantsRetry || attempts < r.config.Attempts || failing < r.config.RetryFor:
		return open
	case r.config.OnFailure == ParkFailures:
		return aside
	default:
		return refused
	}
}

// pause returns how long to wait before the next try.
func (r *Reactor) pause(u *unit, attempts int, passes bool) time.Duration {
	kind, after := wishOf(u.err)
	switch {
	case passes:
		return r.config.BackOffAfter(u.tries)
	case kind == wantsRetry:
		return after
	}
	return wait.BackOff{First: r.config.BackOff, Last: r.config.MaxDelay}.After(attempts)
}

// failure returns why a unit is not handled.
func (u *unit) failure() consumer.Failure {
	event, now, err := u.event(), time.Now(), u.err
	if err == nil { // it is parked behind one that has failed
		err = errBehind(u.stream())
	}
	if u.since.IsZero() {
		u.since = now
	}
	return consumer.Failure{
		EventID: event.ID, EventName: event.Name, Position: event.Position, Error: err.Error(),
		Time: now.UTC(), Since: u.since.UTC(), Attempts: u.tries,
	}
}

// note has it on record that a unit is tried again after a while, 0 for not. The status has
// the first one of the log, of those that are.
func (r *Reactor) note(u *unit, next time.Duration) {
	failure := u.failure()
	if next > 0 {
		failure.Next = time.Now().Add(next).UTC()
	}
	r.config.Observer.Failed(context.Background(), r.follower.ID(), failure)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing[u.position()] = failure
	r.follower.Show(consumer.PartEvents, r.firstFailing())
}

// forget notes that a unit is not tried any more.
func (r *Reactor) forget(u *unit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, failing := r.failing[u.position()]; !failing {
		return
	}
	delete(r.failing, u.position())
	if len(r.failing) > 0 {
		r.follower.Show(consumer.PartEvents, r.firstFailing())
	}
}

func (r *Reactor) firstFailing() (first consumer.Failure) {
	for position, failure := range r.failing {
		if first.Position == 0 || position < first.Position {
			first = failure
		}
	}
	return first
}

// isFirst tells whether a unit is the first one of those that fail.
func (r *Reactor) isFirst(u *unit) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.firstFailing().Position == u.position()
}

// fails implements [consumer.Work].
func (r *Reactor) fails() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failing) > 0
}

// passes tells that err comes from a database that is down, or busy. A lost
// connection may also be that of a call to somebody else: then the database answers.
func (r *Reactor) passes(ctx context.Context, err error) bool {
	if kind, _ := wishOf(err); kind != noWish {
		return false
	}
	if pgerr.ReadOnly(err) {
		r.store.Pool().Reset() // most likely it is the pool of the reaction as well
	}
	if !pgerr.Retryable(err) || pgerr.Code(err) != "" {
		return pgerr.Retryable(err)
	}
	return wait.Detached(ctx, r.store.Pool().Ping) != nil
}
