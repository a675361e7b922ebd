package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/pgschema"
)

// Store is the table consumers of [Migrations]: the position, the lease and the state of
// every reactor, relay and consumer group, for those who run them and for those who look
// after them. To have one handle events again, or pass over some, set its position in that
// table, at any time: the active node notices with its next event. A Store is safe for
// concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	schema string      // quoted, with a dot; "" is the search path
	parks  atomic.Bool // the schema has the tables of reactors

	receives atomic.Bool // and inbox_events
}

var _ LeaseStore = (*Store)(nil)

// NewStore returns the store in [Config.Schema]; nothing else of the configuration
// matters. It sends nothing. The pool stays the caller's; NewStore panics without one, and
// with what is no name of a schema.
// Connections to a server that has become read-only are given up, all of the pool's: see
// [pgxpool.Pool.Reset].
func NewStore(pool *pgxpool.Pool, config Config) *Store {
	if pool == nil {
		panic("consumer.NewStore: the pool is nil")
	}
	if err := pgschema.Schema(config.Schema).Validate(); err != nil {
		panic(fmt.Sprintf("consumer.NewStore: Config.Schema %v", err))
	}
	s := &Store{pool: pool}
	if config.Schema != "" {
		s.schema = pgx.Identifier{config.Schema}.Sanitize() + "."
	}
	return s
}

// Pool returns the pool that the store was made with.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Qualify returns a statement with the store's schema in place of each "{schema}": for the
// tables beside its own.
func (s *Store) Qualify(sql string) string { return strings.ReplaceAll(sql, "{schema}", s.schema) }

// None of the writes needs a flush to disk: what a crash of the server takes is
// done again. It saves most of a write's time.
const asyncSQL = `SELECT set_config('synchronous_commit', 'off', true)`

// leaseHolds is the condition that a lease is valid. One whose end is further away
// than leases are long is of a clock that went back: it could hold for years.
const leaseHolds = `(clock_timestamp() < lease_until AND lease_until <= clock_timestamp() + lease_length)`

const (
	acquireSQL = `UPDATE {schema}consumers SET node = $3, lease_until = clock_timestamp() + $4 * interval '1 microsecond',
			lease_length = $4 * interval '1 microsecond'
		WHERE name = $1 AND topic = $2 AND (node = $3 OR NOT ` + leaseHolds + `) RETURNING position`
	leaseLeftSQL = `SELECT CASE WHEN ` + leaseHolds + ` THEN (extract(epoch FROM lease_until - clock_timestamp()) * 1000000)::bigint ELSE 0 END
		FROM {schema}consumers WHERE name = $1 AND topic = $2`
	registerSQL = `INSERT INTO {schema}consumers (name, topic) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	renewSQL    = `UPDATE {schema}consumers SET lease_until = clock_timestamp() + $4 * interval '1 microsecond',
			lease_length = $4 * interval '1 microsecond'
		WHERE name = $1 AND topic = $2 AND node = $3 RETURNING paused`
	saveSQL    = `UPDATE {schema}consumers SET position = $5 WHERE name = $1 AND topic = $2 AND node = $3 AND position IN ($4, $5)`
	releaseSQL = `UPDATE {schema}consumers SET lease_until = '-infinity' WHERE name = $1 AND topic = $2 AND node = $3`
)

// Acquire implements [LeaseStore].
func (s *Store) Acquire(ctx context.Context, id ID, node string, ttl time.Duration) (Lease, error) {
	lease, err := s.acquire(ctx, id, node, ttl)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = s.pool.Exec(ctx, s.Qualify(registerSQL), id.Name, id.column()); err == nil {
			lease, err = s.acquire(ctx, id, node, ttl)
		}
	}
	return lease, s.Explain("acquire the lease of "+id.String(), err)
}

// acquire returns [pgx.ErrNoRows] for a consumer that is not there.
func (s *Store) acquire(ctx context.Context, id ID, node string, ttl time.Duration) (lease Lease, err error) {
	batch := &pgx.Batch{} // one transaction, one round trip
	batch.Queue(asyncSQL)
	batch.Queue(s.Qualify(acquireSQL), id.Name, id.column(), node, ttl.Microseconds()).QueryRow(func(row pgx.Row) error {
		err := row.Scan((*int64)(&lease.Position))
		lease.Held = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	batch.Queue(s.Qualify(leaseLeftSQL), id.Name, id.column()).QueryRow(func(row pgx.Row) error {
		var left int64
		err := row.Scan(&left)
		lease.Left = time.Duration(left) * time.Microsecond
		return err
	})
	err = s.pool.SendBatch(ctx, batch).Close()
	return lease, err
}

// Renew implements [LeaseStore].
func (s *Store) Renew(ctx context.Context, id ID, node string, ttl time.Duration) error {
	_, err := s.renew(ctx, id, node, ttl)
	return err
}

// renew also tells whether the consumer is paused.
func (s *Store) renew(ctx context.Context, id ID, node string, ttl time.Duration) (paused bool, err error) {
	batch := &pgx.Batch{}
	batch.Queue(asyncSQL)
	batch.Queue(s.Qualify(renewSQL), id.Name, id.column(), node, ttl.Microseconds()).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&paused)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrLeaseLost
		}
		return err
	})
	err = s.pool.SendBatch(ctx, batch).Close()
	return paused, s.Explain("renew the lease of "+id.String(), err)
}

// Save implements [LeaseStore].
func (s *Store) Save(ctx context.Context, id ID, node string, from, to eventsourced.Position) error {
	changed := false
	batch := &pgx.Batch{}
	batch.Queue(asyncSQL)
	batch.Queue(s.Qualify(saveSQL), id.Name, id.column(), node, int64(from), int64(to)).Exec(func(tag pgconn.CommandTag) error {
		changed = tag.RowsAffected() == 1
		return nil
	})
	err := s.pool.SendBatch(ctx, batch).Close()
	if err == nil && !changed {
		err = ErrLeaseLost
	}
	return s.Explain("save the position of "+id.String(), err)
}

// Release implements [LeaseStore].
func (s *Store) Release(ctx context.Context, id ID, node string) error {
	_, err := s.pool.Exec(ctx, s.Qualify(releaseSQL), id.Name, id.column(), node)
	return s.Explain("release the lease of "+id.String(), err)
}

// SaveWith is Save, together with statements of the caller's: all of them, in one
// transaction and one round trip, or none. It is for a consumer that has tables of its own
// beside the position.
func (s *Store) SaveWith(ctx context.Context, id ID, node string, from, to eventsourced.Position, also func(*pgx.Batch)) error {
	batch := &pgx.Batch{}
	batch.Queue(asyncSQL)
	batch.Queue(s.Qualify(saveSQL), id.Name, id.column(), node, int64(from), int64(to)).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != 1 {
			return ErrLeaseLost // and what follows is rolled back
		}
		return nil
	})
	also(batch)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	return s.Explain("save the position of "+id.String(), err)
}

// Explain says what failed, nil when err is. Connections to a server that takes no writes
// any more, as a failover leaves them, are given up.
func (s *Store) Explain(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case pgerr.ReadOnly(err):
		s.pool.Reset()
	case pgerr.Undefined(err):
		return fmt.Errorf("%s: %w (the table is made by migrate.Run with %s.Migrations)", what, err, owner(err))
	case pgerr.UndefinedColumn(err):
		return fmt.Errorf("%s: %w (the table is brought up to date by migrate.Run with %s.Migrations)", what, err, owner(err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// owner is the package that has the table which an error names.
func owner(err error) string {
	switch {
	case pgerr.OwnTable(err, "relay_topics", "relay_skips", "relay_published"):
		return "relay"
	case pgerr.OwnTable(err, "parked_events", "reactor_done", "reactor_skipped", "reactor_asked"):
		return "reactor"
	}
	return "consumer"
}
