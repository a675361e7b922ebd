package readview

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// states reads and writes what is not part of a page's transaction.
type states struct{ *tables }

// read returns the record of a projection, [pgx.ErrNoRows] for one that has never
// run.
func (s states) read(ctx context.Context, name string) (record, error) {
	sql, err := s.sql(ctx)
	if err != nil {
		return record{}, err
	}
	r, err := scanRecord(s.pool.QueryRow(ctx, sql.read, name))
	if err == nil && s.positions != nil {
		var at map[string]eventsourced.Position
		at, err = s.located(ctx, name)
		r.Position = at[name]
	}
	return r, err
}

// readMany returns the records of those projections that have ever run.
func (s states) readMany(ctx context.Context, names []string) (map[string]record, error) {
	sql, err := s.sql(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, sql.readMany, names)
	if err != nil {
		return nil, err
	}
	all := make(map[string]record, len(names))
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (record, error) { return scanRecord(row) })
	var at map[string]eventsourced.Position
	if err == nil && s.positions != nil {
		at, err = s.located(ctx, names...)
	}
	for _, r := range records {
		if s.positions != nil {
			r.Position = at[r.name]
		}
		all[r.name] = r
	}
	return all, err
}

// locked runs f in a transaction that has the projection's lock, after making its rows
// if it is new.
func (s states) locked(ctx context.Context, d *definition, f func(tx *sql.Tx, sql *statements, position eventsourced.Position) error) error {
	statements, err := s.sql(ctx)
	if err != nil {
		return err
	}
	return s.within(ctx, func(tx *sql.Tx) error {
		position, err := s.lock(ctx, tx, d.Name) // first, as all do who make both rows
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, statements.insertState, d.Name, d.handled, d.Version); err != nil {
			return err
		}
		return f(tx, statements, position)
	})
}

// retry makes a failed projection run again, as a restart of its process does.
// The failure stays on record until the projection is past it.
func (s states) retry(ctx context.Context, name string) error {
	sql, err := s.sql(ctx)
	if err == nil {
		_, err = s.pool.Exec(ctx, sql.retry, name)
	}
	return err
}

// setStatus pauses or resumes a projection, also one that has never run. It waits
// for a page that is being applied.
func (s states) setStatus(ctx context.Context, d *definition, status string, op consumer.Operation) error {
	return s.locked(ctx, d, func(tx *sql.Tx, sql *statements, _ eventsourced.Position) error {
		if _, err := tx.ExecContext(ctx, sql.status, d.Name, status); err != nil {
			return err
		}
		return s.record(ctx, tx, op)
	})
}

// fail stops a projection with a failure, as failed or as ahead of the log, unless it has
// gone past the event, or was reset or stopped, meanwhile.
// recorded is the event as JSON if no log has it.
func (s states) fail(ctx context.Context, name string, generation int64, status string, failure *consumer.Failure, recorded *string) error {
	statements, err := s.sql(ctx)
	if err != nil {
		return err
	}
	return s.within(ctx, func(tx *sql.Tx) error {
		position, err := s.lock(ctx, tx, name)
		if err != nil || failure.Position != 0 && position >= failure.Position {
			return err
		}
		_, err = tx.ExecContext(ctx, statements.fail, append(append([]any{name, generation}, columns(failure, recorded)...), status)...)
		return err
	})
}

// note puts on record what keeps a running projection from getting on, unless another
// node than this one is at it.
func (s states) note(ctx context.Context, name, node string, failure *consumer.Failure) error {
	sql, err := s.sql(ctx)
	if err != nil {
		return err
	}
	var stall *string // as text, which every mode of pgx takes
	if failure.Stalled {
		encoded, err := json.Marshal(stalledBy{failure.Session, failure.Blockers})
		if err != nil {
			return err
		}
		text := pgerr.Text(string(encoded))
		stall = &text
	}
	_, err = s.pool.Exec(ctx, sql.note, append(append([]any{name, node}, columns(failure, nil)...), stall)...)
	return err
}

// reads notes of which publication of another context's relay a projection is.
func (s states) reads(ctx context.Context, name string, generation, publication int64) error {
	sql, err := s.sql(ctx)
	if err == nil {
		_, err = s.pool.Exec(ctx, sql.publication, name, generation, publication)
	}
	return err
}

// forget removes the record of a failure that the projection has got past.
func (s states) forget(ctx context.Context, name string, generation int64) error {
	sql, err := s.sql(ctx)
	if err == nil {
		_, err = s.pool.Exec(ctx, sql.forget, name, generation)
	}
	return err
}

// lease makes node the one that applies the projection for the next ttl, unless
// another one is, or the projection is not as it was when node read it: reset,
// paused, given other handlers. It returns the position, which somebody may have set, and
// whether a failure is on record, which another node may have put there. It needs no flush
// to disk: a lease lost in a crash has ended. With it go on record the rate, and of another
// context's relay how far it is, nil when that is not known. It is not broken off with ctx: the server
// could carry it out after the release.
func (s states) lease(ctx context.Context, name, node string, generation int64, ttl time.Duration, rate float64, heard *int64) (held bool, position eventsourced.Position, recorded bool, err error) {
	sql, err := s.sql(ctx)
	if err != nil {
		return false, 0, false, err
	}
	batch := &pgx.Batch{} // one transaction, one round trip
	batch.Queue(`SELECT set_config('synchronous_commit', 'off', true)`)
	batch.Queue(sql.lease, name, node, ttl.Microseconds(), generation, rate, heard).QueryRow(func(row pgx.Row) error {
		err := row.Scan((*int64)(&position), &recorded)
		held = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	err = wait.Detached(ctx, func(ctx context.Context) error { return s.pool.SendBatch(ctx, batch).Close() })
	if held && err == nil && s.positions != nil {
		var at map[string]eventsourced.Position
		at, err = s.located(ctx, name)
		position = at[name]
	}
	return held && err == nil, position, recorded, err
}

// release ends node's lease, so that another one takes over at once.
func (s states) release(ctx context.Context, name, node string) error {
	sql, err := s.sql(ctx)
	if err == nil {
		_, err = s.pool.Exec(ctx, sql.release, name, node)
	}
	return err
}
