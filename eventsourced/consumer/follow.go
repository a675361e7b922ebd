package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

const maxPageBytes = 4 << 20 // of payloads read at once; a single event may be larger

// follow handles page after page and waits at the end of the log for more.
func (f *Follower) follow(ctx context.Context, news <-chan struct{}) error {
	for ctx.Err() == nil {
		if f.work.Between != nil {
			if err := f.work.Between(ctx); err != nil {
				return err
			}
		}
		events, err := f.read(ctx)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			if err := f.handle(ctx, events); err != nil {
				return err
			}
		}
		f.failures = 0
		f.getsOn()
		if len(events) == 0 {
			f.wait(ctx, news)
		}
	}
	return ctx.Err()
}

func (f *Follower) handle(ctx context.Context, events []eventsourced.Recorded) error {
	began := time.Now()
	if err := f.work.Handle(ctx, events); err != nil {
		return err
	}
	if f.work.After == nil {
		f.config.Observer.Handled(ctx, Progress{ID: f.id, Events: len(events), Position: f.position, Took: time.Since(began)})
	}
	return nil
}

// read returns the next events. When there are none it moves the position, now and
// then, to the head of the log: a consumer of a rare event is not behind.
func (f *Follower) read(ctx context.Context) ([]eventsourced.Recorded, error) {
	events, err := f.page(ctx, 0)
	if err != nil || len(events) > 0 || !f.look.Swap(false) && time.Now().Before(f.headAt) {
		return events, err
	}
	f.headAt = time.Now().Add(f.config.PollInterval)
	if f.table != nil { // somebody may have set the position
		if stopped, err := f.stopped(ctx); err != nil || stopped {
			return nil, cmp.Or(err, ErrStopped)
		}
	}
	// The head is read before the events are looked for once more: one that comes
	// in between is above it.
	head, err := f.log.Head(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the log: %w", err)
	case head < f.position:
		return nil, errors.Join(ErrStopped, f.stopAhead(ctx, head))
	case head <= f.after():
		return nil, nil
	}
	if events, err = f.page(ctx, head); err != nil || len(events) > 0 {
		return events, err
	}
	return nil, f.work.Skip(ctx, head)
}

func (f *Follower) page(ctx context.Context, upTo eventsourced.Position) (events []eventsourced.Recorded, err error) {
	query := eventsourced.LogQuery{After: f.after(), UpTo: upTo, Names: f.work.Names, Limit: f.work.PageEvents}
	bytes := 0
	for event, err := range f.log.ReadLog(ctx, query) {
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		if bytes >= maxPageBytes && event.Position != events[len(events)-1].Position {
			break
		}
		events = append(events, event)
		bytes += len(event.Payload)
	}
	return events, nil
}

// after is where reading goes on.
func (f *Follower) after() eventsourced.Position {
	if f.work.After == nil {
		return f.position
	}
	return max(f.position, f.work.After())
}

// Save moves the position.
func (f *Follower) Save(ctx context.Context, to eventsourced.Position) error {
	return f.SaveBy(ctx, to, func(ctx context.Context) error {
		return f.positions.Save(ctx, f.id, f.node, f.position, to)
	})
}

// SaveBy moves the position by a call to the position store. What is done should
// not be done again only because the connection was lost, so it gives up only with
// ctx.
func (f *Follower) SaveBy(ctx context.Context, to eventsourced.Position, call func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := wait.Detached(ctx, call)
		if err == nil {
			f.setPosition(to)
			f.getsOn()
			return nil
		}
		f.logger.WarnContext(ctx, "position not saved", "position", int64(to), "error", err)
		if ctx.Err() != nil || errors.Is(err, ErrLeaseLost) {
			return err
		}
		f.record.note(PartEvents, nil, err)
		wait.Sleep(ctx, f.config.BackOffAfter(attempt))
	}
}

// Nudge has [Work.Between] called soon.
func (f *Follower) Nudge() {
	select {
	case f.nudges <- struct{}{}:
	default:
	}
}

// wait waits for news or a nudge, for the poll interval at most.
func (f *Follower) wait(ctx context.Context, news <-chan struct{}) {
	timer := time.NewTimer(f.config.PollInterval)
	defer timer.Stop()
	select {
	case <-news:
	case <-f.nudges:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// draining returns a context for work that is under way when ctx ends: it goes on
// for the drain timeout, but not after the lease was lost, when somebody else does
// the same work.
func (f *Follower) draining(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), ErrLeaseLost) {
			wait.Sleep(work, f.config.DrainTimeout)
		}
		cancel()
	})
	return work, func() {
		stop()
		cancel()
	}
}
