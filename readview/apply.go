package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

var errNoPage = errors.New("readview: the message carries no page: a middleware has replaced its context")

// handle is the Watermill handler: it applies the page that the message carries.
// It may be called again for the same message, and for one that was applied.
func (r *runner) handle(msg *message.Message) error {
	pg := pageOf(msg.Context())
	if pg == nil {
		return errNoPage
	}
	pg.err = r.apply(msg.Context(), pg)
	if errors.Is(pg.err, errStale) {
		return nil // nothing to repeat: the subscriber reads another page
	}
	return pg.err
}

// apply applies a page. When an event of it fails, those before it are committed
// and it is tried again alone, so that its handler sees its error, and so that the
// outcome is the same for pages of any size.
func (r *runner) apply(ctx context.Context, pg *page) error {
	from, to, how := 0, len(pg.items), together
	for {
		upTo := pg.upTo
		if to < len(pg.items) {
			upTo = pg.items[to-1].recorded.Position
		}
		failed, err := r.transact(ctx, pg, from, to, upTo, how)
		switch {
		case err == nil && to == len(pg.items):
			return nil
		case err == nil:
			from, to = to, len(pg.items)
			if how == direct {
				how = together
			}
		case failed == noEvent || how == direct || pgerr.Retryable(err) || ctx.Err() != nil:
			return err
		case errors.Is(err, errTogether):
			how = queued
		case failed > from:
			to = failed
		default:
			to, how = from+1, direct
		}
	}
}

// transact applies the items [from, to) of a page and moves the position to upTo,
// in one transaction. It returns errStale and has done nothing when the stored
// checkpoint does not fit the page. failed is the index of the item at fault, or
// noEvent.
//
// This is where an event counts exactly once: the lock, the comparison, the
// handlers' writes and the new position are in one transaction.
func (r *runner) transact(ctx context.Context, pg *page, from, to int, upTo eventsourced.Position, how mode) (failed int, err error) {
	tx, err := newPipeline(ctx, r.db, &r.counted, how)
	if err != nil {
		return noEvent, err
	}
	defer tx.close()
	at, err := r.m.store.Lock(ctx, tx, r.Name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return noEvent, errStale
	case err != nil:
		return noEvent, fmt.Errorf("lock the position of %s: %w", r.Name, err)
	case !at.Running || at.Generation != pg.generation || at.Position < pg.after:
		return noEvent, errStale
	case at.Position >= upTo:
		return noEvent, nil // applied before, its commit unheard of, or by another node
	}
	r.failpoint("locked")
	if pg.meanwhile != nil {
		pg.meanwhile() // not before: it would be in the way of the trips for the lock
	}
	for i := from; i < to; i++ {
		if pg.items[i].recorded.Position <= at.Position {
			continue
		}
		if err := r.call(ctx, tx, i, &pg.items[i]); err != nil {
			return r.blame(pg, tx, i, err)
		}
		r.failpoint("applied")
	}
	tx.begin(noEvent)
	if from == to {
		// Nothing was written. If a crash undoes the move, it is made again.
		if _, err := tx.ExecContext(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
			return noEvent, err
		}
	}
	if err := r.m.store.Advance(ctx, tx, r.Name, upTo); err != nil {
		return r.blame(pg, tx, noEvent, fmt.Errorf("advance the position of %s: %w", r.Name, err))
	}
	r.failpoint("advanced")
	tx.begin(min(from, to-1)) // if a deferred constraint speaks up: alone, an event is to blame
	if err := tx.Commit(); err != nil {
		return r.blame(pg, tx, tx.event, fmt.Errorf("commit %s: %w", r.Name, err))
	}
	r.failpoint("committed")
	return noEvent, nil
}

// blame returns the event that an error belongs to: that of the first statement
// that failed in the pipeline, if any did.
func (r *runner) blame(pg *page, tx *pipeline, i int, err error) (int, error) {
	if tx.err != nil {
		i, err = tx.failed, tx.err
	}
	if i == noEvent || pgerr.Lost(err) {
		return noEvent, err
	}
	return i, &EventError{Projection: r.Name, Event: pg.items[i].recorded, Err: err}
}

// call runs the handler of one event.
func (r *runner) call(ctx context.Context, tx *pipeline, i int, it *item) error {
	if it.err != nil {
		return it.err
	}
	tx.begin(i)
	err := r.safely(eventsourced.WithRecorded(ctx, &it.recorded), tx, it)
	if err == nil && tx.aborted() {
		err = errAborted
	}
	return err
}

func (r *runner) safely(ctx context.Context, tx Tx, it *item) (err error) {
	defer recoverAs(&err)
	return r.handlers[it.recorded.Name].call(ctx, tx, it.event)
}

// reset runs the reset handler and sets the position to 0 in one transaction.
// The lock is the same as a page's, and the new generation makes pages that were
// read before useless.
func (r *runner) reset(ctx context.Context) error {
	db := stdlib.OpenDBFromPool(r.m.pool)
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after a commit
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`SELECT set_config('lock_timeout', $1, true)`, []any{fmt.Sprint(r.m.config.LockTimeout.Milliseconds())}},
		{`INSERT INTO readviews (name, position) VALUES ($1, 0) ON CONFLICT (name) DO UPDATE SET position = 0`, []any{r.Name}},
		{`INSERT INTO readview_states AS s (name, handled) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET handled = $2, generation = s.generation + 1,
				status = CASE s.status WHEN 'paused' THEN 'paused' ELSE 'running' END,
				error = NULL, failed_at = NULL, failed_event = NULL, failed_name = NULL, failed_position = NULL`, []any{r.Name, r.handled}},
	} {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return explain(err)
		}
	}
	r.failpoint("reset")
	if err := r.resetSafely(ctx, tx); err != nil {
		return explain(err)
	}
	r.failpoint("emptied")
	return tx.Commit()
}

func (r *runner) resetSafely(ctx context.Context, tx Tx) (err error) {
	defer recoverAs(&err)
	return r.Reset.Reset(ctx, tx)
}

// explain adds to an error of the database what to do about it.
func explain(err error) error {
	switch pgerr.Code(err) {
	case "42P01":
		return fmt.Errorf("%w (readviews and readview_states are made by readview.Migrate)", err)
	case "55P03":
		return fmt.Errorf("%w (somebody holds a lock on the tables: see pg_stat_activity, or raise Config.LockTimeout)", err)
	}
	return err
}
