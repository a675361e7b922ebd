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
	from, to, how := 0, len(pg.items), together
	for {
		if how != direct {
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
			if how == direct {
				how = together
			}
		case failed == noEvent || how == direct || ctx.Err() != nil || pgerr.Retryable(err) && !pgerr.Lost(err):
			return err
		case errors.Is(err, errTogether):
			how = queued
		case failed > from:
			to = failed
		default:
			to, how = from+1, direct
		}
		if errors.Is(err, errAlone) {
			r.alone.Store(pg.items[failed].recorded.Name, true) // next time at once
		}
	}
}

// part returns what to apply next of [from, to): an event that has to be alone, or those
// before the first one that has.
func (r *runner) part(pg *page, from, to int, how mode) (int, int, mode) {
	for i := from; i < to; i++ {
		if _, alone := r.alone.Load(pg.items[i].recorded.Name); !alone {
			continue
		}
		if i == from {
			return from, from + 1, direct
		}
		return from, i, how
	}
	return from, to, how
}

// transact applies the items [from, to) of a page and moves the position past them,
// in one transaction. It returns errStale and has done nothing when the stored
// checkpoint does not fit the page. When time runs out it ends at an earlier item. failed
// is the index of the item at fault, or noEvent.
//
// This is where an event counts exactly once: the lock, the comparison, the
// handlers' writes and the new position are in one transaction.
func (r *runner) transact(ctx context.Context, pg *page, from, to int, how mode) (end, failed int, err error) {
	r.progress.at(atLock, nil)
	tx, err := newPipeline(ctx, r.db, &r.counted, how)
	if err != nil {
		return from, noEvent, err
	}
	pg.tx.Store(tx)
	r.progress.tx.Store(tx)
	defer func() {
		r.progress.tx.Store(nil)
		if pg.exited.Load() != 0 { // the goroutine ends in the midst of something
			tx.mu.Lock()
			tx.drop()
			tx.mu.Unlock()
		}
		tx.close()
	}()
	own := tx.begin(ctx, noEvent)
	at, err := r.m.store.Lock(ctx, own, r.Name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return from, noEvent, errStale
	case err != nil:
		return from, noEvent, fmt.Errorf("lock the position of %s: %w", r.Name, err)
	case !at.Running || at.Generation != pg.generation || at.Position < pg.after:
		return from, noEvent, errStale
	case at.Position >= pg.position(to):
		return to, noEvent, nil // applied before, its commit unheard of, or by another node
	}
	r.failpoint("locked")
	if pg.meanwhile != nil {
		pg.meanwhile() // not before: it would be in the way of the trips for the lock
	}
	if how == direct { // before the handler, which may leave the transaction in any state
		if err := r.m.store.Advance(ctx, own, r.Name, pg.position(to)); err != nil {
			return from, noEvent, err
		}
	}
	end, failed, err = r.callAll(ctx, pg, tx, at, from, to)
	if err != nil {
		return from, failed, err
	}
	if how != direct {
		if err := r.advance(ctx, tx, pg.position(end), from == end); err != nil {
			failed, err = r.blame(pg, tx, noEvent, err)
			return from, failed, err
		}
	}
	r.failpoint("advanced")
	r.progress.at(atCommit, pg.recorded(from, end))
	tx.begin(ctx, min(from, end-1)) // if a deferred constraint speaks up: alone, an event is to blame
	if err := tx.Commit(); err != nil {
		failed, err = r.blame(pg, tx, tx.event, fmt.Errorf("commit %s: %w", r.Name, err))
		return from, failed, err
	}
	r.failpoint("committed")
	return end, noEvent, nil
}

// callAll runs the handlers of the items [from, to), or up to an earlier one when it is
// time to end.
func (r *runner) callAll(ctx context.Context, pg *page, tx *pipeline, at Checkpoint, from, to int) (end, failed int, err error) {
	late := halfTime(ctx)
	pg.slowest = 0
	for i := from; i < to; i++ {
		if pg.items[i].recorded.Position <= at.Position {
			continue
		}
		if i > from && (pg.hurry.Load() || !late.IsZero() && time.Now().After(late)) {
			return i, noEvent, nil
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
	return to, noEvent, nil
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
func (r *runner) advance(ctx context.Context, tx *pipeline, to eventsourced.Position, nothing bool) error {
	own := tx.begin(ctx, noEvent)
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
func (r *runner) blame(pg *page, tx *pipeline, i int, err error) (int, error) {
	tx.mu.Lock()
	failed, cause := tx.failed, tx.err
	tx.mu.Unlock()
	if cause != nil {
		if pgerr.Lost(cause) {
			failed = i // it may be anybody's
		}
		i, err = failed, cause
	}
	if pgerr.Code(err) == "22012" && i == noEvent { // a division by zero: see Advance
		err = fmt.Errorf("projection %s has no row in readviews any more: %w", r.Name, err)
	}
	lost := pgerr.Lost(err) || errors.Is(err, sql.ErrTxDone) && tx.pgx.IsClosed()
	if lost && pg.slowest >= r.m.config.IdleTimeout {
		i = pg.slow
		err = fmt.Errorf("the handler took %s, and after Config.IdleTimeout (%s) the server ends a transaction that waits for its client: %w",
			pg.slowest.Round(time.Millisecond), r.m.config.IdleTimeout, err)
	}
	if i == noEvent {
		return noEvent, err
	}
	if pgerr.ReadOnly(err) && !serverIsReadOnly(tx) {
		err = fmt.Errorf("the handler has made its transaction read-only: %v", err) //nolint:errorlint // it is not the server's
	}
	return i, &EventError{Projection: r.Name, Event: pg.items[i].recorded, Err: err}
}

// serverIsReadOnly tells whether it is not the handler who said so. Servers before
// version 14 don't tell.
func serverIsReadOnly(tx *pipeline) bool {
	standby := tx.pgx.PgConn().ParameterStatus("in_hot_standby")
	return standby != "off" || tx.pgx.PgConn().ParameterStatus("default_transaction_read_only") != "off"
}

// call runs the handler of one event.
func (r *runner) call(ctx context.Context, tx *pipeline, pg *page, i int) error {
	it := &pg.items[i]
	if it.err != nil {
		return it.err
	}
	ctx = eventsourced.WithRecorded(ctx, &it.recorded)
	own := tx.begin(ctx, i)
	err := r.safely(ctx, own, pg, i)
	var panicked *panicError
	if wrong := own.finish(errors.As(err, &panicked)); err == nil || errors.Is(wrong, sql.ErrTxDone) {
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

func giveUp(conn *sql.Conn) {
	_ = conn.Raw(func(driverConn any) error {
		ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
		defer cancel()
		return driverConn.(*stdlib.Conn).Conn().Close(ctx)
	})
	_ = conn.Close()
}

func (r *runner) resetSafely(ctx context.Context, tx Tx) (err error) {
	defer recoverAs(&err)
	guarded := &resetTx{Tx: tx}
	return errors.Join(r.Reset.Reset(ctx, guarded), guarded.refused)
}

// resetTx is the transaction of a reset, which its handler must not end.
type resetTx struct {
	Tx
	refused error
}

func (t *resetTx) permit(query string) error {
	if kind, _, _ := kindOf(query); kind == transactionText {
		t.refused = fmt.Errorf("%w, or wants to, by %.60q", errEnded, query)
	}
	return t.refused
}

// ExecContext implements [Tx].
func (t *resetTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := t.permit(query); err != nil {
		return nil, err
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext implements [Tx].
func (t *resetTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := t.permit(query); err != nil {
		return nil, err
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext implements [Tx].
func (t *resetTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := t.permit(query); err != nil {
		ctx = failedContext{ctx, err}
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}

// PrepareContext implements [Tx].
func (t *resetTx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := t.permit(query); err != nil {
		return nil, err
	}
	return t.Tx.PrepareContext(ctx, query)
}
