package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// pageTime bounds for how long the handlers of one transaction run; after it that ends with an event, and the page goes on in the next.
// Until the commit others wait for its locks, nobody sees that anything was done, and the server may end it, as it waits for its client.
const pageTime = 2 * time.Second

// pageTime leaves room for one slow handler more before the server ends the transaction.
func (c Config) pageTime() time.Duration { return min(pageTime, c.HangTimeout/4) }

// callAll runs the handlers of the items [from, to), or up to an earlier one when it is
// time to end: then p.cut tells whether the page does, or only the transaction.
func (a *applier) callAll(ctx context.Context, p *page, tx *pipeline.Tx, at checkpoint, behind behind, from, to int) (end, failed int, err error) {
	late := halfTime(ctx)
	wrong := a.foresee(p, tx, at, behind, from, to)
	spent, most := time.Duration(0), a.m.config.pageTime()
	p.slowest, p.cut = 0, false
	for i := from; i < to; i++ {
		if p.items[i].recorded.Position <= at.Position {
			continue
		}
		if i > from {
			p.cut = p.hurry.Load() || !late.IsZero() && time.Now().After(late)
			if p.cut || spent >= most {
				return i, pipeline.NoEvent, nil
			}
		}
		if behind.has(&p.items[i]) {
			if err := a.parkBehind(ctx, tx, p, i, &behind); err != nil {
				failed, err = a.blame(p, tx, i, err)
				return from, failed, err
			}
			continue
		}
		if a.before != nil {
			if err := a.before(ctx, tx, &p.items[i]); err != nil {
				failed, err = a.blame(p, tx, pipeline.NoEvent, err)
				return from, failed, err
			}
		}
		a.progress.at(atHandler, &p.items[i].recorded)
		err := wrong[i]
		if err == nil {
			err = a.call(ctx, tx, p, i)
		}
		took := time.Since(time.Unix(0, a.progress.since.Load()))
		if spent += took; took > p.slowest {
			p.slowest, p.slow = took, i
		}
		if err != nil {
			failed, err = a.blame(p, tx, i, err)
			return from, failed, err
		}
		a.failpoint("applied")
	}
	return to, pipeline.NoEvent, nil
}

// halfTime is when to end a page whose context has a deadline: the rest of the time is
// for the server to do what was asked of it.
func halfTime(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Time{}
	}
	return time.Now().Add(time.Until(deadline) / 2)
}

// call runs the handler of one event, or those of the parts that it has today.
func (a *applier) call(ctx context.Context, tx *pipeline.Tx, p *page, i int) (err error) {
	it := &p.items[i]
	if it.err != nil {
		return it.err
	}
	ctx, ended := a.tracer.HandlingEvent(ctx, a.id(), &it.recorded)
	if ended != nil {
		defer func() { ended(err) }()
	}
	own := tx.Turn(ctx, i)
	err = errGoexit // if the handler ends the goroutine
	err = a.safely(p, i, func(part eventsourced.Decoded, handler Handler) error {
		return handler.call(eventsourced.WithRecorded(ctx, part.Recorded), own, part.Event)
	})
	var panicked *wait.PanicError
	if wrong := own.End(errors.As(err, &panicked)); err == nil || errors.Is(wrong, sql.ErrTxDone) {
		err = wrong
	}
	return err
}

// foresee declares what the handlers of the items [from, to) will look up, and returns what went wrong with that, by item:
// it counts when it is the event's turn.
func (a *applier) foresee(p *page, tx *pipeline.Tx, at checkpoint, behind behind, from, to int) (wrong map[int]error) {
	for i := from; i < to && a.foresees; i++ {
		if p.items[i].recorded.Position <= at.Position || p.items[i].err != nil || behind.has(&p.items[i]) {
			continue
		}
		err := a.safely(p, i, func(part eventsourced.Decoded, handler Handler) error {
			if handler.lookUps == nil {
				return nil
			}
			a.progress.at(atHandler, &p.items[i].recorded)
			for _, l := range handler.lookUps(part.Event) {
				tx.Foresee(i, l.Query, l.Args)
			}
			return nil
		})
		if err != nil {
			if wrong == nil {
				wrong = map[int]error{}
			}
			wrong[i] = err
		}
	}
	return wrong
}

// safely calls what is about each part of an event that has a handler, survives a panic of it, and notes when it ends its goroutine.
func (a *applier) safely(p *page, i int, call func(part eventsourced.Decoded, handler Handler) error) (err error) {
	returned := false
	defer func() {
		if !returned && err == nil {
			stack := string(debug.Stack())
			p.exitStack.Store(&stack)
			p.exited.Store(int64(i) + 1)
			a.alone.Store(p.items[i].recorded.Name, true)
		}
	}()
	defer wait.Recover(&err)
	for _, part := range p.items[i].parts {
		handler, has := a.handlers[part.Recorded.Name]
		if !has {
			continue
		}
		if err = call(part, handler); err != nil {
			break
		}
	}
	returned = true
	if err != nil { // an error may be one that panics when it is looked at
		_, _ = err.Error(), pgerr.Retryable(err)
	}
	return err
}

// blame returns the event that an error belongs to: that of the first statement
// that failed in the pipeline, if any did. When the connection was lost, it is the one
// whose handler has just run or has kept the server waiting for too long.
func (a *applier) blame(p *page, tx *pipeline.Tx, i int, err error) (int, error) {
	if failed, cause := tx.Failure(); cause != nil {
		if pgerr.Lost(cause) {
			failed = i // it may be anybody's
		}
		i, err = failed, cause
	}
	if pgerr.DivisionByZero(err) && i == pipeline.NoEvent { // see tables.go
		err = fmt.Errorf("projection %s has no row in readviews any more: %w", a.Name, err)
	}
	lost := pgerr.Lost(err) || errors.Is(err, sql.ErrTxDone) && tx.Closed()
	if lost && p.slowest >= a.m.config.HangTimeout {
		i = p.slow
		err = fmt.Errorf("%w: the handler took %s, and after Config.HangTimeout (%s) the server ends a transaction that waits for its client: %w",
			errSlow, p.slowest.Round(time.Millisecond), a.m.config.HangTimeout, err)
	}
	if i == pipeline.NoEvent {
		return pipeline.NoEvent, err
	}
	if pgerr.ReadOnly(err) && !tx.ServerIsReadOnly() {
		err = fmt.Errorf("the handler has made its transaction read-only: %v", err) //nolint:errorlint // it is not the server's
	}
	return i, &EventError{Projection: a.Name, Event: p.items[i].recorded, Err: err, Statement: tx.Statement(err)}
}
