package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// handle is the Watermill handler: it applies the page that the message carries.
// It may be called again for the same message, and for one that was applied.
func (r *runner) handle(msg *message.Message) error {
	pg := pageOf(msg.Context())
	if pg == nil {
		return errNoPage
	}
	if err := msg.Context().Err(); err != nil { // Retry outside of Timeout calls with what has ended
		if called, _, before := pg.calls.outcome(); called {
			return before
		}
		return err
	}
	err := pg.attempt(msg.Context(), r.apply)
	r.progress.at(atRouter, nil)
	if errors.Is(err, errStale) {
		return nil // nothing to repeat: the subscriber reads another page
	}
	return err
}

// apply applies a page. When an event of it fails, those before it are committed
// and it is tried again alone, so that its handler sees its error, and so that the
// outcome is the same for pages of any size. An event whose handler sets something for
// the rest of its transaction is applied alone as well.
func (r *runner) apply(ctx context.Context, pg *page) error {
	from, to, how := 0, len(pg.items), pipeline.Together
	for {
		if how != pipeline.Alone {
			from, to, how = r.part(pg, from, to, how)
		}
		end, failed, err := r.transact(ctx, pg, from, to, how)
		switch {
		case err == nil && end == len(pg.items):
			return nil
		case err == nil && end < to:
			return errCut
		case err == nil:
			from, to = end, len(pg.items)
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
			r.alone.Store(pg.items[failed].recorded.Name, true) // next time at once
		}
	}
}

// part returns what to apply next of [from, to): an event that has to be alone, or those
// before the first one that has.
func (r *runner) part(pg *page, from, to int, how pipeline.How) (int, int, pipeline.How) {
	for i := from; i < to; i++ {
		if _, alone := r.alone.Load(pg.items[i].recorded.Name); !alone {
			continue
		}
		if i == from {
			return from, from + 1, pipeline.Alone
		}
		return from, i, how
	}
	return from, to, how
}

// transact applies the items [from, to) of a page and moves the position past them,
// in one transaction. It returns errStale and has done nothing when the stored
// checkpoint does not fit the page. When time runs out it ends at an earlier item. failed
// is the index of the item at fault, or pipeline.NoEvent.
//
// This is where an event counts exactly once: the lock, the comparison, the
// handlers' writes and the new position are in one transaction.
func (r *runner) transact(ctx context.Context, pg *page, from, to int, how pipeline.How) (end, failed int, err error) {
	r.progress.at(atLock, nil)
	tx, err := r.db.Begin(ctx, pipeline.Options{How: how})
	if err != nil {
		return from, pipeline.NoEvent, err
	}
	pg.tx.Store(tx)
	r.progress.tx.Store(tx)
	defer func() {
		r.progress.tx.Store(nil)
		if pg.exited.Load() != 0 { // the goroutine ends in the midst of something
			tx.Drop()
		}
		tx.Close()
	}()
	own := tx.Turn(ctx, pipeline.NoEvent)
	at, err := r.m.store.Lock(ctx, own, r.Name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return from, pipeline.NoEvent, errStale
	case err != nil:
		return from, pipeline.NoEvent, fmt.Errorf("lock the position of %s: %w", r.Name, err)
	case !at.Running || at.Generation != pg.generation || at.Position < pg.after:
		return from, pipeline.NoEvent, errStale
	case at.Position >= pg.position(to):
		return to, pipeline.NoEvent, nil // applied before, its commit unheard of, or by another node
	}
	r.failpoint("locked")
	if pg.meanwhile != nil {
		pg.meanwhile() // not before: it would be in the way of the trips for the lock
	}
	if how == pipeline.Alone { // before the handler, which may leave the transaction in any state
		if err := r.m.store.Advance(ctx, own, r.Name, pg.position(to)); err != nil {
			return from, pipeline.NoEvent, err
		}
	}
	end, failed, err = r.callAll(ctx, pg, tx, at, from, to)
	if err != nil {
		return from, failed, err
	}
	if how != pipeline.Alone {
		if err := r.advance(ctx, tx, pg.position(end), from == end); err != nil {
			failed, err = r.blame(pg, tx, pipeline.NoEvent, err)
			return from, failed, err
		}
	}
	r.failpoint("advanced")
	r.progress.at(atCommit, pg.recorded(from, end))
	last := min(from, end-1) // if a deferred constraint speaks up: alone, an event is to blame
	if err := tx.Commit(last); err != nil {
		failed, err = r.blame(pg, tx, last, fmt.Errorf("commit %s: %w", r.Name, err))
		return from, failed, err
	}
	r.failpoint("committed")
	return end, pipeline.NoEvent, nil
}

// callAll runs the handlers of the items [from, to), or up to an earlier one when it is
// time to end.
func (r *runner) callAll(ctx context.Context, pg *page, tx *pipeline.Tx, at Checkpoint, from, to int) (end, failed int, err error) {
	late := halfTime(ctx)
	pg.slowest = 0
	for i := from; i < to; i++ {
		if pg.items[i].recorded.Position <= at.Position {
			continue
		}
		if i > from && (pg.hurry.Load() || !late.IsZero() && time.Now().After(late)) {
			return i, pipeline.NoEvent, nil
		}
		r.progress.at(atHandler, &pg.items[i].recorded)
		err := r.call(ctx, tx, pg, i)
		if took := time.Since(time.Unix(0, r.progress.since.Load())); took > pg.slowest {
			pg.slowest, pg.slow = took, i
		}
		if err != nil {
			failed, err = r.blame(pg, tx, i, err)
			return from, failed, err
		}
		r.failpoint("applied")
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

// advance moves the position at the end of a page.
func (r *runner) advance(ctx context.Context, tx *pipeline.Tx, to eventsourced.Position, nothing bool) error {
	own := tx.Turn(ctx, pipeline.NoEvent)
	if nothing {
		// Nothing was written. If a crash undoes the move, it is made again.
		if _, err := own.ExecContext(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
			return err
		}
	}
	return r.m.store.Advance(ctx, own, r.Name, to)
}

// blame returns the event that an error belongs to: that of the first statement
// that failed in the pipeline, if any did. When the connection was lost, it is the one
// whose handler has just run or has kept the server waiting for too long.
func (r *runner) blame(pg *page, tx *pipeline.Tx, i int, err error) (int, error) {
	if failed, cause := tx.Failure(); cause != nil {
		if pgerr.Lost(cause) {
			failed = i // it may be anybody's
		}
		i, err = failed, cause
	}
	if pgerr.Code(err) == "22012" && i == pipeline.NoEvent { // a division by zero: see Advance
		err = fmt.Errorf("projection %s has no row in readviews any more: %w", r.Name, err)
	}
	lost := pgerr.Lost(err) || errors.Is(err, sql.ErrTxDone) && tx.Closed()
	if lost && pg.slowest >= r.m.config.IdleTimeout {
		i = pg.slow
		err = fmt.Errorf("the handler took %s, and after Config.IdleTimeout (%s) the server ends a transaction that waits for its client: %w",
			pg.slowest.Round(time.Millisecond), r.m.config.IdleTimeout, err)
	}
	if i == pipeline.NoEvent {
		return pipeline.NoEvent, err
	}
	if pgerr.ReadOnly(err) && !tx.ServerIsReadOnly() {
		err = fmt.Errorf("the handler has made its transaction read-only: %v", err) //nolint:errorlint // it is not the server's
	}
	return i, &EventError{Projection: r.Name, Event: pg.items[i].recorded, Err: err}
}

// call runs the handler of one event.
func (r *runner) call(ctx context.Context, tx *pipeline.Tx, pg *page, i int) error {
	it := &pg.items[i]
	if it.err != nil {
		return it.err
	}
	ctx = eventsourced.WithRecorded(ctx, &it.recorded)
	own := tx.Turn(ctx, i)
	err := r.safely(ctx, own, pg, i)
	var panicked *panicError
	if wrong := own.End(errors.As(err, &panicked)); err == nil || errors.Is(wrong, sql.ErrTxDone) {
		err = wrong
	}
	return err
}

// safely survives a handler that panics, and notes one that ends its goroutine.
func (r *runner) safely(ctx context.Context, tx Tx, pg *page, i int) (err error) {
	returned := false
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value, debug.Stack()}
		} else if !returned {
			pg.exited.Store(int64(i) + 1)
			r.alone.Store(pg.items[i].recorded.Name, true)
		}
	}()
	err = r.handlers[pg.items[i].recorded.Name].call(ctx, tx, pg.items[i].event)
	returned = true
	if err != nil { // an error may be one that panics when it is looked at
		_, _ = err.Error(), pgerr.Retryable(err)
	}
	return err
}

// reset runs the reset handler and sets the position to 0 in one transaction.
// The lock is the same as a page's, and the new generation makes pages that were
// read before useless.
func (r *runner) reset(ctx context.Context) error {
	statements, err := r.m.states.sql(ctx)
	if err != nil {
		return err
	}
	head := eventsourced.Position(math.MaxInt64) // not known
	if log := r.log(); log != nil {
		if at, err := log.Head(ctx); err == nil {
			head = at
		}
	}
	db := stdlib.OpenDBFromPool(r.m.pool)
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer giveUp(conn) // the reset handler may have left anything in the session
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after a commit
	if err := r.prepareReset(ctx, tx, statements, head); err != nil {
		return explain(err)
	}
	r.failpoint("reset")
	if err := r.resetSafely(ctx, tx); err != nil {
		return explain(err)
	}
	r.failpoint("emptied")
	return tx.Commit()
}

// prepareReset does what is the framework's in a reset. head is the log's: above it, the
// position is of another log, and the projection does not come back there.
func (r *runner) prepareReset(ctx context.Context, tx *sql.Tx, statements *statements, head eventsourced.Position) error {
	if _, err := tx.ExecContext(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprint(r.m.config.LockTimeout.Milliseconds())); err != nil {
		return err
	}
	var position eventsourced.Position
	err := tx.QueryRowContext(ctx, statements.lock, r.Name).Scan((*int64)(&position))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for _, step := range []struct {
		query string
		args  []any
	}{
		{statements.reset, []any{r.Name}},
		{statements.insertState, []any{r.Name, r.handled}},
		{statements.resetState, []any{r.Name, r.handled, int64(min(position, head))}},
	} {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return err
		}
	}
	return nil
}

// giveUpTimeout is for closing a connection.
const giveUpTimeout = 5 * time.Second

func giveUp(conn *sql.Conn) {
	_ = conn.Raw(func(driverConn any) error {
		ctx, cancel := context.WithTimeout(context.Background(), giveUpTimeout)
		defer cancel()
		return driverConn.(*stdlib.Conn).Conn().Close(ctx)
	})
	_ = conn.Close()
}

func (r *runner) resetSafely(ctx context.Context, tx *sql.Tx) (err error) {
	defer recoverAs(&err)
	guarded := pipeline.Guard(tx)
	return errors.Join(r.Reset.Reset(ctx, guarded), guarded.Refused())
}
