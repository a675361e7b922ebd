package consumer

import (
	"context"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// ready returns when there is nothing that forbids to handle events: a consumer that
// is paused, stopped at a failure, or ahead of the log, waits to be resumed or for another
// position.
func (f *Follower) ready(ctx context.Context) error {
	if f.restart {
		if err := f.table.restart(ctx, f.id); err != nil {
			return err
		}
		f.restart = false
	}
	for ctx.Err() == nil {
		f.working.Store(true) // before it looks: who pauses it meanwhile counts on the next renewal
		stopped, err := f.stopped(ctx)
		if err != nil {
			return err
		}
		if !stopped {
			head, err := f.log.Head(ctx)
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if f.aheadAt.Store(0); head >= f.position {
				return nil
			}
			if err := f.stopAhead(ctx, head); err != nil {
				return err
			}
		}
		f.working.Store(false)
		f.wait(ctx, nil)
	}
	return context.Cause(ctx)
}

// stopped tells whether the consumer is stopped. It returns [ErrLeaseLost] when
// somebody has set its position.
func (f *Follower) stopped(ctx context.Context) (stopped bool, err error) {
	position, ahead := f.position, false
	switch {
	case f.table != nil:
		position, stopped, ahead, err = f.table.stopped(ctx, f.id)
	case f.aheadAt.Load() != 0 && f.aheadAt.Load() == int64(f.position):
		var lease Lease
		lease, err = f.acquire(ctx)
		position, ahead = lease.Position, lease.Held && !f.resumed.Swap(false)
	}
	if err == nil && position != f.position {
		err = ErrLeaseLost
	}
	if err == nil && ahead {
		ahead, err = f.stillAhead(ctx)
	}
	return stopped || ahead, err
}

// stillAhead tells whether a consumer that was ahead of the log may be so still. If
// there is an event at exactly its position, the log has what the consumer has done:
// then that is on record no more.
func (f *Follower) stillAhead(ctx context.Context) (bool, error) {
	_, found, err := EventAt(ctx, f.log, f.position)
	if err != nil || !found {
		return true, err
	}
	if f.table != nil {
		err := wait.Detached(ctx, func(ctx context.Context) error { return f.table.lift(ctx, f.id, f.node, f.position) })
		if err != nil {
			return true, err
		}
	}
	f.logger.InfoContext(ctx, "consumer goes on: the log has the event at its position again", "position", int64(f.position))
	return false, nil
}

// EventAt returns the event at a position, and false when there is none. No query is open when it has
// returned: whoever handles the event may need the only connection of a pool.
func EventAt(ctx context.Context, log eventsourced.LogReader, at eventsourced.Position) (event eventsourced.Recorded, found bool, err error) {
	for event, err = range log.ReadLog(ctx, eventsourced.LogQuery{After: at - 1, UpTo: at, Limit: 1}) {
		if err != nil {
			return event, false, fmt.Errorf("read the log: %w", err)
		}
		found = true
	}
	return event, found, nil
}

// stopAhead stops a consumer whose position is above the log's head. What comes next
// would be handled on top of events that the log does not have.
func (f *Follower) stopAhead(ctx context.Context, head eventsourced.Position) error {
	err := aheadError(f.position, head)
	f.aheadAt.Store(int64(f.position))
	f.resumed.Store(false)
	f.logger.ErrorContext(ctx, "consumer stopped: it is ahead of the log", "position", int64(f.position), "head", int64(head), "error", err)
	f.record.note(PartEvents, nil, err)
	return f.stop(ctx, nil, err, stoppedAhead)
}

func aheadError(position, head eventsourced.Position) error {
	return fmt.Errorf("%w: position %d is above its head at %d, so the log was restored from a backup or replaced, or this is another database. "+
		"Bring the right log back, then it goes on by itself, or set the position in the table consumers to where to go on; then resume", ErrAhead, position, head)
}
