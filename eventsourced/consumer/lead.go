package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// lead handles events as long as it holds the lease. Without one it returns how
// long to wait before asking again.
func (f *Follower) lead(ctx context.Context, news <-chan struct{}) (time.Duration, error) {
	lease, err := f.acquire(ctx)
	if err != nil {
		return 0, err
	}
	if !lease.Held {
		f.record.clear(PartEvents) // the other one's are on record
		return min(max(lease.Left, time.Millisecond), f.config.PollInterval), nil
	}
	f.setPosition(lease.Position)
	f.record.suspect()
	f.leads.Store(true)
	defer f.leads.Store(false)

	leading, lose := context.WithCancelCause(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { f.renew(leading, lose) })
	defer renewal.Wait()
	defer lose(nil)
	end := func() {}
	defer func() { end() }()
	begun := f.work.Begin == nil
	for {
		err := f.ready(leading)
		if err == nil && !begun {
			var started func()
			if started, err = f.work.Begin(leading); err == nil {
				end, begun = started, true
			}
		}
		if err == nil {
			err = f.follow(leading, news)
		}
		switch {
		case errors.Is(context.Cause(leading), errPaused):
			lose(nil)
			return 0, nil
		case errors.Is(err, ErrLeaseLost) || errors.Is(context.Cause(leading), ErrLeaseLost):
			f.logger.WarnContext(ctx, "consumer starts again", "error", err)
			lose(ErrLeaseLost)
			return 0, nil
		case ctx.Err() != nil:
			lose(nil)
			return 0, nil
		case !errors.Is(err, ErrStopped):
			f.backOff(leading, err)
		}
	}
}

// acquire asks for the lease. A new consumer is made first where it is to begin.
func (f *Follower) acquire(ctx context.Context) (lease Lease, err error) {
	if f.work.StartAtHead && f.table != nil && !f.started {
		head, err := f.log.Head(ctx)
		if err != nil {
			return Lease{}, fmt.Errorf("read the log: %w", err)
		}
		if err := f.table.start(ctx, f.id, head); err != nil {
			return Lease{}, err
		}
		f.started = true
	}
	err = wait.Detached(ctx, func(ctx context.Context) (err error) {
		lease, err = f.positions.Acquire(ctx, f.id, f.node, f.config.LeaseTime())
		return err
	})
	return lease, err
}

func (f *Follower) setPosition(to eventsourced.Position) {
	f.position = to
	f.at.Store(int64(to))
}

// backOff waits after an error, longer with each one in a row.
func (f *Follower) backOff(ctx context.Context, err error) {
	f.failures++
	f.record.note(PartEvents, nil, err)
	pause := f.config.BackOffAfter(f.failures)
	f.logger.WarnContext(ctx, "consumer waits before it goes on", "error", err, "wait", pause)
	wait.Sleep(ctx, pause)
}

// noticePause is how often at least a node looks whether its consumer is paused.
const noticePause = 400 * time.Millisecond

// errPaused ends the work on events: the lease stays.
var errPaused = errors.New("the consumer is paused")

// renew keeps the lease until ctx ends, and ends ctx when the lease is lost, and when the
// consumer is paused while it works. When the position store fails it goes on trying:
// nothing is lost with the lease. While a call hangs it lets the lease end.
func (f *Follower) renew(ctx context.Context, lose context.CancelCauseFunc) {
	defer f.record.clear(partLease)
	for wait.Sleep(ctx, min(f.config.LeaseTime()/4, noticePause)) {
		if f.hanging.Load() > 0 {
			continue
		}
		paused := false
		err := wait.Detached(ctx, func(ctx context.Context) (err error) {
			if f.table == nil {
				return f.positions.Renew(ctx, f.id, f.node, f.config.LeaseTime())
			}
			paused, err = f.table.renew(ctx, f.id, f.node, f.config.LeaseTime())
			return err
		})
		switch {
		case errors.Is(err, ErrLeaseLost):
			lose(ErrLeaseLost)
		case err != nil:
			f.record.note(partLease, nil, err)
		default:
			f.record.clear(partLease)
		}
		if paused && f.working.Load() {
			lose(errPaused)
		}
	}
}
