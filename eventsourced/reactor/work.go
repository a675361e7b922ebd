package reactor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// work handles a unit until there is an outcome.
func (w *window) work(u *unit) {
	var failing time.Time // since when, but for the database
	attempts := 0
	for {
		if !w.turn() {
			return
		}
		started := time.Now()
		err := w.r.call(w.ctx, u)
		u.took = time.Since(started)
		<-w.slots
		if u.tries++; err == nil {
			u.became = done
			return
		}
		if errors.Is(err, consumer.ErrLeaseLost) {
			u.became = fenced
			return
		}
		if w.ctx.Err() != nil {
			return
		}
		u.err = err
		if u.since.IsZero() {
			u.since = time.Now()
		}
		passes := w.r.passes(w.ctx, err)
		if !passes {
			if attempts++; failing.IsZero() {
				failing = time.Now()
			}
			u.became = w.r.verdict(u, attempts, time.Since(failing))
			if u.became == open || u.became == refused {
				u.became = w.asked(u)
			}
			if u.became != open {
				w.r.note(u, 0)
				return
			}
		}
		pause := w.r.pause(u, attempts, passes)
		w.r.note(u, pause)
		w.r.logger(u.event()).WarnContext(w.ctx, "event not handled", "error", err, "wait", pause)
		if passes {
			if !w.sleep(pause) || u.parked != nil {
				return // what is due stays due
			}
		} else if !w.rest(u, pause) {
			return
		}
	}
}

// hangPause is between two looks whether a call of another unit still hangs.
const hangPause = 50 * time.Millisecond

// turn waits until the unit may be handled, and tells whether it may ever. While a call hangs,
// another node may take over.
func (w *window) turn() bool {
	for w.r.follower.Hangs() {
		if !w.sleep(hangPause) {
			return false
		}
	}
	select {
	case <-w.stopping:
		return false
	case <-w.ctx.Done():
		return false
	default:
	}
	select {
	case w.slots <- struct{}{}:
		return true
	case <-w.stopping:
		return false
	case <-w.ctx.Done():
		return false
	}
}

// sleep waits, and tells whether to go on.
func (w *window) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.stopping:
		return false
	case <-w.ctx.Done():
		return false
	}
}

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

// logger names an event.
func (r *Reactor) logger(event *eventsourced.Recorded) *slog.Logger {
	return r.follower.Logger().With("event_id", event.ID.String(), "event_name", event.Name, "stream", event.Stream.String(), "position", int64(event.Position))
}

// call runs the reactions to all parts of a unit once.
func (r *Reactor) call(ctx context.Context, u *unit) (err error) {
	ctx, ended := r.config.Tracer.Handling(ctx, consumer.Handling{ID: r.follower.ID(), Events: 1, Causes: consumer.Causes(u.event())})
	defer func() {
		if err != nil {
			ended(0, err)
			return
		}
		ended(u.position(), nil)
	}()
	return r.follower.Guard(ctx, consumer.PartEvents, u.event(), "a reaction", func(ctx context.Context) error {
		var decoded []eventsourced.Decoded
		for i := range u.parts {
			var err error
			if decoded, err = r.log.Registry().AppendDecoded(ctx, decoded, &u.parts[i]); err != nil {
				return err
			}
		}
		ctx = eventsourced.WithExecution(ctx)
		for _, part := range decoded {
			if r.reactions[part.Recorded.Name].tx {
				return r.transact(ctx, u, decoded)
			}
		}
		return r.react(ctx, nil, decoded)
	})
}

// react calls the reactions to the parts of an event.
func (r *Reactor) react(ctx context.Context, tx pgx.Tx, parts []eventsourced.Decoded) error {
	for _, part := range parts {
		reaction, has := r.reactions[part.Recorded.Name]
		if !has {
			continue
		}
		if err := reaction.call(eventsourced.WithRecorded(ctx, part.Recorded), tx, part.Event); err != nil {
			return err
		}
		r.failpoint("reacted")
	}
	return nil
}

// transact calls the reactions in a transaction that also says that the unit is done. If one
// has said so before, as far as its commit's outcome was unknown, nothing is called.
func (r *Reactor) transact(ctx context.Context, u *unit, parts []eventsourced.Decoded) error {
	before := false
	err := pgx.BeginTxFunc(ctx, r.store.Pool(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) (err error) {
		if before, err = r.isMarked(ctx, tx, u); err != nil || before {
			return err
		}
		if err := r.react(ctx, tx, parts); err != nil {
			return err
		}
		if err := r.mark(ctx, tx, u); err != nil {
			return err
		}
		r.failpoint("marked")
		return nil
	})
	if err == nil {
		u.marked = true
		r.failpoint("committed")
		r.config.Committed()
	}
	return err
}
