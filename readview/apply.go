package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// apply applies a page. When an event of it fails, those before it are committed
// and it is tried again alone, so that its handler sees its error, and so that the
// outcome is the same for pages of any size. An event whose handler sets something for
// the rest of its transaction is applied alone as well.
func (a *applier) apply(ctx context.Context, p *page) error {
	from, to, how := 0, len(p.items), pipeline.Together
	lost := 0 // connections, since the last transaction of more than what has to be alone
	for {
		if how != pipeline.Alone {
			from, to, how = a.part(p, from, to, how)
		}
		began := time.Now()
		end, failed, err := a.traced(ctx, p, from, to, how)
		a.meter.page(began, end-from, to-from, err)
		if err == nil && end > from {
			a.target.applied(ctx, consumer.Progress{ID: a.id(), Events: end - from, Position: p.position(end), Took: time.Since(began)})
		}
		if err == nil && how != pipeline.Alone {
			lost = 0
		}
		switch {
		case err == nil && end == len(p.items):
			return nil
		case err == nil && end < to && p.cut:
			return errCut
		case err == nil:
			if end < to {
				a.target.partly(ctx, p, end)
			}
			from, to = end, len(p.items)
			if how == pipeline.Alone {
				how = pipeline.Together
			}
		case failed == pipeline.NoEvent || how == pipeline.Alone || ctx.Err() != nil || pgerr.Retryable(err) && !pgerr.Lost(err):
			return err
		case errors.Is(err, pipeline.ErrTogether):
			how = pipeline.OneByOne
		case failed > from:
			to = failed
		default:
			to, how = from+1, pipeline.Alone
		}
		if errors.Is(err, pipeline.ErrAlone) {
			a.alone.Store(p.items[failed].recorded.Name, true) // next time at once
		}
		if pgerr.Lost(err) {
			if lost++; lost > 1 {
				a.target.lost(ctx, lostError(p, from, lost, err))
			}
		}
	}
}

// lostError says that the items from one on are applied anew, as so many connections were lost. It is the error of none of them.
func lostError(p *page, from, times int, err error) error {
	after := p.after
	if from > 0 {
		after = p.position(from)
	}
	if of := (*EventError)(nil); errors.As(err, &of) {
		err = of.Err
	}
	return fmt.Errorf("the connection was lost while the events after position %d were applied, for the %d. time in a row; they are applied anew: %w", after, times, err)
}

// part returns what to apply next of [from, to): an event that has to be alone, or those
// before the first one that has.
func (a *applier) part(p *page, from, to int, how pipeline.How) (int, int, pipeline.How) {
	for i := from; i < to; i++ {
		if _, alone := a.alone.Load(p.items[i].recorded.Name); !alone {
			continue
		}
		if i == from {
			return from, from + 1, pipeline.Alone
		}
		return from, i, how
	}
	return from, to, how
}

// traced is transact, of which the tracer is told.
func (a *applier) traced(ctx context.Context, p *page, from, to int, how pipeline.How) (end, failed int, err error) {
	ctx, ended := a.tracer.Handling(ctx, consumer.Handling{ID: a.id(), Events: to - from, Causes: p.causes(from, to)})
	end, err = from, errGoexit // if a handler ends the goroutine
	defer func() {
		switch {
		case errors.Is(err, errStale): // as if it had not been tried
			ended(0, nil)
		case err != nil || end == from:
			ended(0, err)
		default:
			ended(p.position(end), nil)
		}
	}()
	return a.transact(ctx, p, from, to, how)
}

// transact applies the items [from, to) of a page and moves the position past them,
// in one transaction. It returns errStale and has done nothing when the stored
// checkpoint does not fit the page. When time runs out, see [pageTime], it ends at an earlier item. failed
// is the index of the item at fault, or pipeline.NoEvent.
//
// This is where an event counts exactly once: the lock, the comparison, the
// handlers' writes and the new position are in one transaction.
func (a *applier) transact(ctx context.Context, p *page, from, to int, how pipeline.How) (end, failed int, err error) {
	a.progress.at(atLock, nil)
	tx, opened, err := a.begin(ctx, p, how)
	if err != nil {
		return from, pipeline.NoEvent, err
	}
	defer func() {
		a.progress.tx.Store(nil)
		if p.exited.Load() != 0 { // the goroutine ends in the midst of something
			tx.Drop()
		}
		tx.Close()
	}()
	own := tx.Turn(ctx, pipeline.NoEvent)
	at, parked, err := a.checkpoint(ctx, own, opened)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return from, pipeline.NoEvent, errStale
	case err != nil:
		return from, pipeline.NoEvent, fmt.Errorf("lock the position of %s: %w", a.Name, err)
	case !at.Running || at.Generation != p.generation || at.Position < p.after:
		return from, pipeline.NoEvent, errStale
	case at.Position >= p.position(to):
		return to, pipeline.NoEvent, nil // applied before, its commit unheard of, or by another node
	}
	a.failpoint("locked")
	behind, err := a.behind(ctx, own, p, from, to, parked)
	if err != nil {
		return from, pipeline.NoEvent, err
	}
	if next := p.next.Load(); next != nil {
		next.begin() // not before: it would be in the way of the trips for the lock
	}
	if how == pipeline.Alone { // before the handler, which may leave the transaction in any state
		if err := a.target.set(ctx, own, p.position(to)); err != nil {
			return from, pipeline.NoEvent, err
		}
	}
	end, failed, err = a.callAll(ctx, p, tx, at, behind, from, to)
	if err != nil {
		return from, failed, err
	}
	if err := a.target.inspect(tx); err != nil {
		failed, err = a.blame(p, tx, pipeline.NoEvent, err)
		return from, failed, err
	}
	if how != pipeline.Alone {
		if err := a.advance(ctx, tx, p.position(end), from == end); err != nil {
			failed, err = a.blame(p, tx, pipeline.NoEvent, err)
			return from, failed, err
		}
	}
	a.failpoint("advanced")
	a.progress.at(atCommit, p.recorded(from, end))
	last := min(from, end-1) // if a deferred constraint speaks up: alone, an event is to blame
	now := time.Now()
	p.committed.Store(&now)
	settle := func(bool) {}
	if end == len(p.items) {
		settle = a.openNext(p)
	}
	err = tx.Commit(last)
	settle(err == nil)
	if err != nil {
		failed, err = a.blame(p, tx, last, fmt.Errorf("commit %s: %w", a.Name, err))
		return from, failed, err
	}
	a.failpoint("committed")
	return end, pipeline.NoEvent, nil
}

// advance moves the position at the end of a page.
func (a *applier) advance(ctx context.Context, tx *pipeline.Tx, to eventsourced.Position, nothing bool) error {
	own := tx.Turn(ctx, pipeline.NoEvent)
	if nothing || a.Durability == Deferred {
		// If a crash undoes the move, it is made again, with what was written, if anything was.
		if _, err := own.ExecContext(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
			return err
		}
	}
	return a.target.set(ctx, own, to)
}
