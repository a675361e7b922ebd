package reactor

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// fenceSQL selects the reactor's row if this node has the lease, and holds it: nobody takes
// over before the transaction has ended, and who does then sees what it wrote.
const fenceSQL = `SELECT position FROM {schema}consumers WHERE name = $1 AND topic = '$reactor' AND node = $3 FOR SHARE`

const (
	idleSQL     = `SELECT set_config('idle_in_transaction_session_timeout', $1, true)`
	isDoneSQL   = `SELECT EXISTS (SELECT FROM {schema}reactor_done WHERE name = $1 AND position = $2)`
	isParkedSQL = `SELECT EXISTS (SELECT FROM {schema}parked_events WHERE name = $1 AND position = $2)`
	markSQL     = `INSERT INTO {schema}reactor_done (name, position) SELECT $1::text, $2::bigint FROM (` + fenceSQL + `) fence WHERE fence.position < $2`
	markOldSQL  = `WITH fence AS (` + fenceSQL + `) DELETE FROM {schema}parked_events p USING fence WHERE p.name = $1 AND p.position = $2`

	doneSQL   = `INSERT INTO {schema}reactor_done (name, position) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`
	undoneSQL = `DELETE FROM {schema}reactor_done WHERE name = $1 AND position <= $2`
	leftSQL   = `SELECT position FROM {schema}reactor_done WHERE name = $1 AND position > $2`

	// What comes behind others is due when the last of them is: somebody has resumed them. The
	// row of the table consumers is locked, by who parks and who resumes.
	parkSQL = `INSERT INTO {schema}parked_events (name, position, event_id, event_name, aggregate_name, aggregate_id, error, tries, due)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7::text IS NULL AND coalesce((SELECT due FROM {schema}parked_events
			WHERE name = $1 AND aggregate_name = $5 AND aggregate_id = $6 AND position < $2 ORDER BY position DESC LIMIT 1), true))
		ON CONFLICT (name, position) DO UPDATE SET error = EXCLUDED.error, tries = EXCLUDED.tries, parked_at = now(), due = EXCLUDED.due`
	parkAgainSQL = `UPDATE {schema}parked_events SET due = false,
			error = CASE WHEN position = $2 THEN $5 ELSE error END, tries = CASE WHEN position = $2 THEN tries + $6 ELSE tries END,
			parked_at = CASE WHEN position = $2 THEN now() ELSE parked_at END
		WHERE name = $1 AND aggregate_name = $3 AND aggregate_id = $4`
	unparkSQL     = `DELETE FROM {schema}parked_events WHERE name = $1 AND position = $2`
	parkedHereSQL = `SELECT EXISTS (SELECT FROM {schema}parked_events WHERE name = $1 AND aggregate_name = $2 AND aggregate_id = $3)`
	skipSQL       = `INSERT INTO {schema}reactor_skipped (name, position, event_id, event_name, aggregate_name, aggregate_id, error, tries)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name, position) DO UPDATE SET error = EXCLUDED.error, skipped_at = now()`
	trimSQL = `DELETE FROM {schema}reactor_skipped WHERE name = $1 AND position <=
		(SELECT position FROM {schema}reactor_skipped WHERE name = $1 ORDER BY position DESC OFFSET $2 LIMIT 1)`
)

// maxSkipped is how many skipped events stay on record.
const maxSkipped = 10_000

// isMarked begins a unit's transaction, and tells whether one before has committed.
func (r *Reactor) isMarked(ctx context.Context, tx pgx.Tx, u *unit) (before bool, err error) {
	if _, err := tx.Exec(ctx, idleSQL, fmt.Sprint(r.config.HangTimeout.Milliseconds())); err != nil {
		return false, err
	}
	query := isDoneSQL
	if u.parked != nil {
		query = isParkedSQL
	}
	err = tx.QueryRow(ctx, r.store.Qualify(query), r.config.Name, int64(u.position())).Scan(&before)
	if u.parked != nil {
		before = !before
	}
	return before && err == nil, err
}

// mark puts it on record, in tx, that a unit is done.
func (r *Reactor) mark(ctx context.Context, tx pgx.Tx, u *unit) error {
	query := markSQL
	if u.parked != nil {
		query = markOldSQL
	}
	tag, err := tx.Exec(ctx, r.store.Qualify(query), r.config.Name, int64(u.position()), r.follower.Node())
	if err == nil && tag.RowsAffected() != 1 {
		err = consumer.ErrLeaseLost
	}
	return err
}

// save puts on record what has ended, and moves the position to the lowest one that is open,
// all in one transaction.
func (w *window) save(ctx context.Context) error {
	to, n := w.advance()
	batch := w.statements(to, n)
	news := len(w.unsaved) > 0
	if to == w.r.follower.Position() && len(batch) == 0 {
		w.saved(ctx, to, n)
		return nil
	}
	if news {
		w.r.failpoint("handled")
	}
	save := w.r.follower.Save
	if len(batch) > 0 {
		save = func(ctx context.Context, to eventsourced.Position) error { return w.saveWith(ctx, to, batch) }
	}
	if err := save(ctx, to); err != nil {
		return err
	}
	w.saved(ctx, to, n)
	if news {
		w.r.failpoint("saved")
	}
	return nil
}

func (w *window) saveWith(ctx context.Context, to eventsourced.Position, batch []func(*pgx.Batch)) error {
	f := w.r.follower
	return f.SaveBy(ctx, to, func(ctx context.Context) error {
		return w.r.store.SaveWith(ctx, f.ID(), f.Node(), f.Position(), to, func(b *pgx.Batch) {
			for _, add := range batch {
				add(b)
			}
		})
	})
}

// saved forgets what is on record: n units are below the position.
func (w *window) saved(ctx context.Context, to eventsourced.Position, n int) {
	progress := consumer.Progress{ID: w.r.follower.ID(), Position: to}
	for _, u := range w.unsaved {
		delete(w.again, u.position())
		if u.outcome == done && u.tries > 0 {
			progress.Events++
			progress.Took = max(progress.Took, u.took)
		}
		if u.outcome == aside && u.parked == nil {
			w.r.config.Observer.Parked(ctx, progress.ID, u.failure())
		}
	}
	w.unsaved, w.pending = nil, w.pending[n:]
	for position := range w.done {
		if position <= to {
			delete(w.done, position)
		}
	}
	if progress.Events > 0 {
		w.r.config.Observer.Handled(ctx, progress)
	}
}

// advance returns up to where all is done, and how many units of the window are up to there.
func (w *window) advance() (to eventsourced.Position, n int) {
	to = w.r.follower.Position()
	for n < len(w.pending) && w.pending[n].outcome.closed() {
		to = max(to, w.pending[n].position())
		n++
	}
	if n == len(w.pending) {
		to = max(to, w.read)
	}
	return to, n
}

// closed tells that a unit holds up the position no more.
func (o outcome) closed() bool { return o == done || o == aside || o == skipped }

// statements are those that go with a position, below which n units are.
func (w *window) statements(to eventsourced.Position, n int) (all []func(*pgx.Batch)) {
	add := func(sql string, arguments ...any) {
		all = append(all, func(b *pgx.Batch) { w.queue(b, sql, arguments...) })
	}
	var above []int64
	var streams []eventsourced.Stream
	for _, u := range w.unsaved {
		switch {
		case u.outcome == aside:
			w.park(add, u)
		case u.parked != nil:
			if !u.marked {
				add(unparkSQL, int64(u.position()))
			}
			streams = append(streams, u.stream())
		case u.marked:
			w.onFile = true
		}
		if u.outcome == skipped {
			w.skipped(add, u)
		}
		if u.parked == nil && (u.outcome == skipped || u.outcome == aside && u.err != nil) {
			add(metSQL, [16]byte(u.event().ID))
		}
		if u.parked == nil && u.position() > to && !u.marked {
			above = append(above, int64(u.position()))
		}
	}
	if to > w.r.follower.Position() && w.onFile {
		add(undoneSQL, int64(to))
		w.onFile = n < len(w.pending)
	}
	if len(above) > 0 {
		add(doneSQL, above)
		w.onFile = true
	}
	for _, stream := range streams { // last, as the others may park events of it
		all = append(all, func(b *pgx.Batch) {
			w.queue(b, parkedHereSQL, stream.AggregateName, stream.AggregateID).QueryRow(func(row pgx.Row) error {
				var left bool
				err := row.Scan(&left)
				if err == nil && !left {
					delete(w.parked, stream)
				}
				return err
			})
		})
	}
	return all
}

func (w *window) queue(b *pgx.Batch, sql string, arguments ...any) *pgx.QueuedQuery {
	return b.Queue(w.r.store.Qualify(sql), append([]any{w.r.config.Name}, arguments...)...)
}

// park puts a unit aside, or has one stay there that was tried again.
func (w *window) park(add func(string, ...any), u *unit) {
	event := u.event()
	if u.err != nil {
		w.r.logger(event).ErrorContext(w.ctx, "event parked; fix the cause, then resume", "error", u.err)
	}
	if u.parked != nil {
		add(parkAgainSQL, int64(event.Position), event.Stream.AggregateName, event.Stream.AggregateID, cause(u.err), u.tries)
		return
	}
	add(parkSQL, int64(event.Position), [16]byte(event.ID), event.Name, event.Stream.AggregateName, event.Stream.AggregateID, cause(u.err), u.tries)
}

func (w *window) skipped(add func(string, ...any), u *unit) {
	event := u.event()
	w.r.logger(event).WarnContext(w.ctx, "event skipped", "error", u.err)
	add(skipSQL, int64(event.Position), [16]byte(event.ID), event.Name, event.Stream.AggregateName, event.Stream.AggregateID, cause(u.err), u.tries)
	add(trimSQL, maxSkipped)
}

// cause is an error as a table has it, nil for none.
func cause(err error) *string {
	if err == nil {
		return nil
	}
	text := pgerr.Text(err.Error())
	return &text
}

// load reads what is on record above the position, and what is parked.
func (w *window) load(ctx context.Context) error {
	name, position := w.r.config.Name, int64(w.r.follower.Position())
	batch := &pgx.Batch{}
	batch.Queue(w.r.store.Qualify(leftSQL), name, position).Query(func(rows pgx.Rows) error {
		left, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		for _, p := range left {
			w.done[eventsourced.Position(p)] = true
		}
		return err
	})
	batch.Queue(w.r.store.Qualify(undoneSQL), name, position).Exec(func(pgconn.CommandTag) error { return nil })
	batch.Queue(w.r.store.Qualify(parkedStreamsSQL), name).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var stream eventsourced.Stream
			var n int64
			if err := rows.Scan(&stream.AggregateName, &stream.AggregateID, &n); err != nil {
				return err
			}
			w.parked[stream] = struct{}{}
			w.aside += n
		}
		return rows.Err()
	})
	w.read, w.onFile = w.r.follower.Position(), true
	err := wait.Detached(ctx, func(ctx context.Context) error { return w.r.store.Pool().SendBatch(ctx, batch).Close() })
	return w.r.store.Explain("read the record of reactor "+name, err)
}

// errBehind is why an event is parked that has not been tried.
func errBehind(stream eventsourced.Stream) error {
	return errors.New("it waits for earlier events of " + stream.String())
}
