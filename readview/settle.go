package readview

import (
	"context"
	"errors"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// settle decides what follows from the error of a page: another try, now or
// after a back-off, or the end of the projection.
func (a *applier) settle(ctx context.Context, p *page, err error) error {
	if ctx.Err() != nil || errors.Is(err, errStale) {
		return err
	}
	var failed *EventError
	if n := len(p.items); errors.Is(err, errLate) && n > 1 {
		a.pageCap.Store(max(1, min(a.pageCap.Load(), int64(n))/2))
		return err
	} else if errors.Is(err, errLate) && n == 1 {
		failed = &EventError{Projection: a.Name, Event: p.items[0].recorded, Err: err}
	}
	if failed == nil && !errors.As(err, &failed) || passes(err) {
		return err
	}
	if a.attempted != failed.Event.ID {
		a.attempted, a.attempts, a.since = failed.Event.ID, 0, time.Now()
	}
	if a.attempts++; !errors.Is(err, errTooMany) && a.attempts < a.m.config.Attempts || mayPass(err) && time.Since(a.since) < a.m.config.RetryFor {
		return failed
	}
	return a.stopOrPark(ctx, p, failed)
}

// stopOrPark is the end of the tries of an event.
func (a *applier) stopOrPark(ctx context.Context, p *page, failed *EventError) error {
	failure := &consumer.Failure{
		EventID:   failed.Event.ID,
		EventName: failed.Event.Name,
		Position:  failed.Event.Position,
		Error:     failed.Error(),
		Stack:     failed.stack(),
		Statement: failed.Statement,
		Time:      time.Now().UTC(),
		Since:     a.since.UTC(),
		Attempts:  a.attempts,
	}
	what := "projection stopped at an event; fix the cause, then resume or restart"
	parked, err := a.park(ctx, p, failed, failure)
	switch {
	case errors.Is(err, errTooMany):
		failure.Error = failed.Error() + ": " + err.Error()
	case errors.Is(err, errStale):
		return err
	case err != nil:
		return errors.Join(failed, err)
	case parked:
		what = "event parked, and later ones of its stream will be; fix the cause, then retry"
	}
	if !parked {
		if err := a.m.states.fail(ctx, a.Name, p.generation, "failed", failure, a.kept(p, failure.Position)); err != nil {
			return errors.Join(failed, err)
		}
	}
	a.attempts = 0
	a.attempted = eventsourced.EventID{}
	a.clear()
	a.m.config.Observer.Failed(ctx, a.id(), *failure)
	if parked {
		a.m.config.Observer.Parked(ctx, a.id(), *failure)
	}
	attributes := []any{"event_id", failure.EventID.String(), "event_name", failure.EventName, "position", int64(failure.Position),
		"attempts", failure.Attempts, "error", failed.Err}
	if failure.Statement != "" {
		attributes = append(attributes, "statement", failure.Statement)
	}
	if failure.Stack != "" {
		attributes = append(attributes, "stack", failure.Stack)
	}
	a.logger.ErrorContext(ctx, what, attributes...)
	a.announce(0, time.Time{})
	return errStale
}

// halt stops the projection because it is ahead of the log.
func (a *applier) halt(ctx context.Context, at checkpoint, cause error) error {
	return a.stop(ctx, at, "ahead", cause)
}

// stop stops the projection for a reason that is no event.
func (a *applier) stop(ctx context.Context, at checkpoint, status string, cause error) error {
	now := time.Now().UTC()
	failure := &consumer.Failure{Error: cause.Error(), Time: now, Since: now, Attempts: 1}
	if err := a.m.states.fail(ctx, a.Name, at.Generation, status, failure, nil); err != nil {
		return errors.Join(cause, err)
	}
	a.clear()
	a.m.config.Observer.Failed(ctx, a.id(), *failure)
	a.logger.ErrorContext(ctx, "projection stopped", "error", cause)
	a.announce(0, time.Time{})
	return errStale
}

// succeed clears what is remembered of errors, and tells those who wait.
func (a *applier) succeed(ctx context.Context, at checkpoint, p *page) {
	if limit, most := a.pageCap.Load(), int64(a.m.config.PageEvents); len(p.items) > 0 && limit < most {
		a.pageCap.Store(min(most, limit+limit/8+1))
	}
	a.failures, a.attempts = 0, 0
	a.recovered(ctx, at.Generation)
	if p.upTo != p.after {
		a.announce(at.Position, p.committing())
	}
}

// trip puts an error on record that is tried again.
func (a *applier) trip(ctx context.Context, err error, wait time.Duration) {
	if pgerr.ReadOnly(err) {
		a.m.pool.Reset() // its connections lead to what is a replica now
	}
	a.logger.WarnContext(ctx, "projection waits before it tries again", "error", err, "wait", wait)
	var failed *EventError
	_ = errors.As(err, &failed) // nil if it is about none
	failure, tries := *failureOf(err), 1
	if failure.Attempts > 0 {
		tries = 0
	}
	failure = a.note(ctx, failed, failure, tries)
	a.m.config.Observer.Failed(ctx, a.id(), failure)
}

// id is what observers know the projection by.
func (a *applier) id() consumer.ID { return consumer.ID{Kind: consumer.KindProjection, Name: a.Name} }

// clear forgets the trouble that this process knows of.
func (a *applier) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trouble = nil
}

func (a *applier) backOff() time.Duration {
	a.failures++
	return wait.BackOff{First: a.m.config.BackOff, Last: min(a.m.config.MaxBackOff, max(a.m.config.BackOff, a.m.config.RetryFor/4))}.After(a.failures)
}
