package readview

import (
	"context"
	"errors"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// settle decides what follows from the error of a page: another try, now or
// after a back-off, or the end of the projection.
func (r *runner) settle(ctx context.Context, pg *page, err error) error {
	if ctx.Err() != nil || errors.Is(err, errStale) {
		return err
	}
	var failed *EventError
	if n := len(pg.items); errors.Is(err, errLate) && n > 1 {
		r.pageCap.Store(max(1, min(r.pageCap.Load(), int64(n))/2))
		return err
	} else if errors.Is(err, errLate) && n == 1 {
		failed = &EventError{Projection: r.Name, Event: pg.items[0].recorded, Err: err}
	}
	if failed == nil && !errors.As(err, &failed) || passes(err) {
		return err
	}
	if r.attempted != failed.Event.ID {
		r.attempted, r.attempts, r.since = failed.Event.ID, 0, time.Now()
	}
	if r.attempts++; r.attempts < r.m.config.Attempts || mayPass(err) && time.Since(r.since) < r.m.config.RetryFor {
		return failed
	}
	failure := &Failure{
		EventID:   failed.Event.ID,
		EventName: failed.Event.Name,
		Position:  failed.Event.Position,
		Error:     failed.Error(),
		Time:      time.Now().UTC(),
		Since:     r.since.UTC(),
		Attempts:  r.attempts,
	}
	r.attempts = 0
	r.attempted = eventsourced.EventID{}
	if err := r.m.states.fail(ctx, r.Name, pg.generation, "failed", failure); err != nil {
		return errors.Join(failed, err)
	}
	r.clear()
	attributes := []any{"event_id", failure.EventID.String(), "event_name", failure.EventName, "position", int64(failure.Position),
		"attempts", failure.Attempts, "error", failed.Err}
	var panicked *panicError
	if errors.As(err, &panicked) {
		attributes = append(attributes, "stack", string(panicked.stack))
	}
	r.logger.ErrorContext(ctx, "projection stopped at an event; fix the cause, then resume or restart", attributes...)
	r.announce(0)
	return errStale
}

// halt stops the projection because it is ahead of the log.
func (r *runner) halt(ctx context.Context, at Checkpoint, cause error) error {
	now := time.Now().UTC()
	failure := &Failure{Error: cause.Error(), Time: now, Since: now, Attempts: 1}
	if err := r.m.states.fail(ctx, r.Name, at.Generation, "ahead", failure); err != nil {
		return errors.Join(cause, err)
	}
	r.clear()
	r.logger.ErrorContext(ctx, "projection stopped", "error", cause)
	r.announce(0)
	return errStale
}

// succeed clears what is remembered of errors, and tells those who wait.
func (r *runner) succeed(ctx context.Context, at Checkpoint, pg *page) {
	if limit, most := r.pageCap.Load(), int64(r.m.config.PageEvents); len(pg.items) > 0 && limit < most {
		r.pageCap.Store(min(most, limit+limit/8+1))
	}
	r.failures, r.attempts = 0, 0
	r.recovered(ctx, at.Generation)
	if pg.upTo != pg.after {
		r.announce(at.Position)
	}
}

// clear forgets the trouble that this process knows of.
func (r *runner) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = nil
}

// refusal tells that an error says why this program can't run the projection.
func refusal(err error) bool { return errors.Is(err, ErrNewEvents) || errors.Is(err, ErrOlderProgram) }
