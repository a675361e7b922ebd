package readview

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// record is a projection's row in both tables.
type record struct {
	Checkpoint
	status     string
	handled    []string
	node       string // who holds the lease
	leaseValid bool
	leaseLeft  time.Duration
	failure    *Failure
}

// states reads and writes what is not part of a page's transaction.
type states struct {
	pool *pgxpool.Pool
}

const recordColumns = `r.position, s.generation, s.status, s.handled, s.node, s.lease_until > clock_timestamp(),
	(extract(epoch FROM greatest(s.lease_until, clock_timestamp()) - clock_timestamp()) * 1000)::bigint,
	s.error, s.failed_at, s.failed_event, s.failed_name, s.failed_position`

func scanRecord(row pgx.Row) (record, error) {
	var (
		r                record
		leaseLeft        int64
		text, failedName *string
		failedAt         *time.Time
		failedEvent      *[16]byte
		failedPosition   *int64
	)
	err := row.Scan((*int64)(&r.Position), &r.Generation, &r.status, &r.handled, &r.node, &r.leaseValid, &leaseLeft,
		&text, &failedAt, &failedEvent, &failedName, &failedPosition)
	if err != nil {
		return record{}, err
	}
	r.Running = r.status == "running"
	r.leaseLeft = time.Duration(leaseLeft) * time.Millisecond
	if text != nil && failedAt != nil {
		r.failure = &Failure{Error: *text, Time: failedAt.UTC()}
		if failedEvent != nil && failedName != nil && failedPosition != nil {
			r.failure.EventID, r.failure.EventName = *failedEvent, *failedName
			r.failure.Position = eventsourced.Position(*failedPosition)
		}
	}
	return r, nil
}

// read returns the record of a projection, [pgx.ErrNoRows] for one that has never
// run.
func (s states) read(ctx context.Context, name string) (record, error) {
	return scanRecord(s.pool.QueryRow(ctx, `SELECT `+recordColumns+`
		FROM readviews r JOIN readview_states s USING (name) WHERE r.name = $1`, name))
}

// register makes the rows of a new projection, and stores which events it
// handles. A projection that has moved on must not handle more than it did.
func (s states) register(ctx context.Context, d *definition) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO readviews (name, position) VALUES ($1, 0) ON CONFLICT DO NOTHING`, d.Name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO readview_states (name, handled) VALUES ($1, $2) ON CONFLICT DO NOTHING`, d.Name, d.handled)
		if err != nil {
			return err
		}
		var position eventsourced.Position
		if err := tx.QueryRow(ctx, lockSQL, d.Name).Scan((*int64)(&position)); err != nil {
			return err
		}
		var stored []string
		if err := tx.QueryRow(ctx, `SELECT handled FROM readview_states WHERE name = $1`, d.Name).Scan(&stored); err != nil {
			return err
		}
		if err := d.accepts(stored, position); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE readview_states SET handled = $2, generation = generation + 1
			WHERE name = $1 AND handled <> $2`, d.Name, d.handled)
		return err
	})
}

// retry makes a failed projection run again, as a restart of its process does.
// The failure stays on record until the projection is past it.
func (s states) retry(ctx context.Context, name string) error {
	_, err := s.pool.Exec(ctx, `UPDATE readview_states SET status = 'running' WHERE name = $1 AND status = 'failed'`, name)
	return err
}

// setStatus pauses or resumes a projection, also one that has never run. It waits
// for a page that is being applied.
func (s states) setStatus(ctx context.Context, d *definition, status string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// The update of nothing takes the row's lock.
		_, err := tx.Exec(ctx, `INSERT INTO readviews (name, position) VALUES ($1, 0)
			ON CONFLICT (name) DO UPDATE SET position = readviews.position`, d.Name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO readview_states (name, handled, status) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET status = $3`, d.Name, d.handled, status)
		return err
	})
}

// fail stops a projection with a failure, unless it has gone past the event, or
// was reset or stopped, meanwhile.
func (s states) fail(ctx context.Context, name string, generation int64, failure *Failure) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var position int64
		if err := tx.QueryRow(ctx, lockSQL, name).Scan(&position); err != nil || position >= int64(failure.Position) {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE readview_states
			SET status = 'failed', error = $3, failed_at = $4, failed_event = $5, failed_name = $6, failed_position = $7
			WHERE name = $1 AND generation = $2 AND status = 'running'`,
			name, generation, pgerr.Text(failure.Error), failure.Time, [16]byte(failure.EventID), failure.EventName, int64(failure.Position))
		return err
	})
}

// forget removes the record of a failure that the projection has got past.
func (s states) forget(ctx context.Context, name string, generation int64) error {
	_, err := s.pool.Exec(ctx, `UPDATE readview_states
		SET error = NULL, failed_at = NULL, failed_event = NULL, failed_name = NULL, failed_position = NULL
		WHERE name = $1 AND generation = $2 AND status = 'running'`, name, generation)
	return err
}

// lease makes node the one that applies the projection for the next ttl, unless
// another one is, or the projection is not as it was when node read it: reset,
// paused, given other handlers. It needs no flush to disk: a lease lost in a crash
// has ended.
func (s states) lease(ctx context.Context, name, node string, generation int64, ttl time.Duration) (held bool, err error) {
	batch := &pgx.Batch{} // one transaction, one round trip
	batch.Queue(`SELECT set_config('synchronous_commit', 'off', true)`)
	batch.Queue(`UPDATE readview_states SET node = $2, lease_until = clock_timestamp() + $3 * interval '1 microsecond'
		WHERE name = $1 AND (node = $2 OR lease_until < clock_timestamp()) AND generation = $4 AND status = 'running'`,
		name, node, ttl.Microseconds(), generation).
		Exec(func(tag pgconn.CommandTag) error {
			held = tag.RowsAffected() == 1
			return nil
		})
	err = s.pool.SendBatch(ctx, batch).Close()
	return held, err
}

// release ends node's lease, so that another one takes over at once.
func (s states) release(ctx context.Context, name, node string) error {
	_, err := s.pool.Exec(ctx, `UPDATE readview_states SET lease_until = '-infinity' WHERE name = $1 AND node = $2`, name, node)
	return err
}
