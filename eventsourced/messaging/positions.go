package messaging

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// Consumer is what has a position of its own: a group's subscription to a topic.
type Consumer struct {
	Group string
	Topic string
}

// String returns the consumer as "group/topic".
func (c Consumer) String() string { return c.Group + "/" + c.Topic }

// PositionStore keeps how far each consumer is, and who consumes for it. Its
// methods are called by all nodes, concurrently, and repeated when they fail: the
// outcome of a call that returns an error may be either.
type PositionStore interface {
	// Acquire makes node the active one for ttl, unless another node's lease is
	// valid. A consumer that was never seen starts at position 0.
	Acquire(ctx context.Context, consumer Consumer, node string, ttl time.Duration) (Lease, error)

	// Renew extends the lease of node to ttl from now. A lease that has ended
	// but that nobody else took is still node's. It returns [ErrLeaseLost] when
	// another node has acquired it, even if that one has released it since.
	Renew(ctx context.Context, consumer Consumer, node string, ttl time.Duration) error

	// Save moves the position, if it is from and node has the lease as Renew
	// understands it; otherwise it returns [ErrLeaseLost]. A repeated Save
	// succeeds. What Save did may be forgotten when the store crashes: then
	// events come again.
	Save(ctx context.Context, consumer Consumer, node string, from, to eventsourced.Position) error

	// Release ends the lease of node, if it has it, so that another one may
	// acquire it at once.
	Release(ctx context.Context, consumer Consumer, node string) error
}

// Lease is the outcome of [PositionStore.Acquire].
type Lease struct {
	Held     bool
	Position eventsourced.Position // of the consumer, if held
	Left     time.Duration         // of the other node's lease, if not held
}

// Positions is the [PositionStore] on the table consumers of [Migrations]. To have a
// group consume events again, or pass over some, set its position in that table,
// at any time: the active node notices with its next event.
type Positions struct {
	pool *pgxpool.Pool
}

var _ PositionStore = (*Positions)(nil)

// NewPositions returns the positions in the first schema of the pool's search
// path. It sends nothing. The pool stays the caller's; NewPositions panics without
// one. Connections to a server that has become read-only are given up, all of the
// pool's: see [pgxpool.Pool.Reset].
func NewPositions(pool *pgxpool.Pool) *Positions {
	if pool == nil {
		panic("messaging.NewPositions: the pool is nil")
	}
	return &Positions{pool: pool}
}

// None of the writes needs a flush to disk: what a crash of the server takes is
// done again. It saves most of a write's time.
const asyncSQL = `SELECT set_config('synchronous_commit', 'off', true)`

// leaseHolds is the condition that a lease is valid. One whose end is further away
// than leases are long is of a clock that went back: it could hold for years.
const leaseHolds = `(clock_timestamp() < lease_until AND lease_until <= clock_timestamp() + lease_length)`

const (
	acquireSQL = `UPDATE consumers SET node = $3, lease_until = clock_timestamp() + $4 * interval '1 microsecond',
			lease_length = $4 * interval '1 microsecond'
		WHERE name = $1 AND topic = $2 AND (node = $3 OR NOT ` + leaseHolds + `) RETURNING position`
	leaseLeftSQL = `SELECT CASE WHEN ` + leaseHolds + ` THEN (extract(epoch FROM lease_until - clock_timestamp()) * 1000000)::bigint ELSE 0 END
		FROM consumers WHERE name = $1 AND topic = $2`
	registerSQL = `INSERT INTO consumers (name, topic) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	renewSQL    = `UPDATE consumers SET lease_until = clock_timestamp() + $4 * interval '1 microsecond',
			lease_length = $4 * interval '1 microsecond'
		WHERE name = $1 AND topic = $2 AND node = $3`
	saveSQL    = `UPDATE consumers SET position = $5 WHERE name = $1 AND topic = $2 AND node = $3 AND position IN ($4, $5)`
	releaseSQL = `UPDATE consumers SET lease_until = '-infinity' WHERE name = $1 AND topic = $2 AND node = $3`
)

// Acquire implements [PositionStore].
func (p *Positions) Acquire(ctx context.Context, consumer Consumer, node string, ttl time.Duration) (Lease, error) {
	lease, err := p.acquire(ctx, consumer, node, ttl)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = p.pool.Exec(ctx, registerSQL, consumer.Group, consumer.Topic); err == nil {
			lease, err = p.acquire(ctx, consumer, node, ttl)
		}
	}
	return lease, p.explain("acquire the lease of", consumer, err)
}

// acquire returns [pgx.ErrNoRows] for a consumer that is not there.
func (p *Positions) acquire(ctx context.Context, consumer Consumer, node string, ttl time.Duration) (lease Lease, err error) {
	batch := &pgx.Batch{} // one transaction, one round trip
	batch.Queue(asyncSQL)
	batch.Queue(acquireSQL, consumer.Group, consumer.Topic, node, ttl.Microseconds()).QueryRow(func(row pgx.Row) error {
		err := row.Scan((*int64)(&lease.Position))
		lease.Held = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	batch.Queue(leaseLeftSQL, consumer.Group, consumer.Topic).QueryRow(func(row pgx.Row) error {
		var left int64
		err := row.Scan(&left)
		lease.Left = time.Duration(left) * time.Microsecond
		return err
	})
	err = p.pool.SendBatch(ctx, batch).Close()
	return lease, err
}

// Renew implements [PositionStore].
func (p *Positions) Renew(ctx context.Context, consumer Consumer, node string, ttl time.Duration) error {
	err := p.update(ctx, renewSQL, consumer.Group, consumer.Topic, node, ttl.Microseconds())
	return p.explain("renew the lease of", consumer, err)
}

// Save implements [PositionStore].
func (p *Positions) Save(ctx context.Context, consumer Consumer, node string, from, to eventsourced.Position) error {
	err := p.update(ctx, saveSQL, consumer.Group, consumer.Topic, node, int64(from), int64(to))
	return p.explain("save the position of", consumer, err)
}

// Release implements [PositionStore].
func (p *Positions) Release(ctx context.Context, consumer Consumer, node string) error {
	_, err := p.pool.Exec(ctx, releaseSQL, consumer.Group, consumer.Topic, node)
	return p.explain("release the lease of", consumer, err)
}

// update runs a statement that changes one row, unless the lease is lost.
func (p *Positions) update(ctx context.Context, sql string, arguments ...any) error {
	changed := false
	batch := &pgx.Batch{}
	batch.Queue(asyncSQL)
	batch.Queue(sql, arguments...).Exec(func(tag pgconn.CommandTag) error {
		changed = tag.RowsAffected() == 1
		return nil
	})
	err := p.pool.SendBatch(ctx, batch).Close()
	if err == nil && !changed {
		err = ErrLeaseLost
	}
	return err
}

// explain says what failed. Connections to a server that takes no writes any more, as
// a failover leaves them, are given up.
func (p *Positions) explain(what string, consumer Consumer, err error) error {
	switch {
	case err == nil:
		return nil
	case pgerr.ReadOnly(err):
		p.pool.Reset()
	case pgerr.Code(err) == "42P01":
		return fmt.Errorf("%s %s: %w (the table is made by migrate.Run with messaging.Migrations)", what, consumer, err)
	case pgerr.Code(err) == "42703":
		return fmt.Errorf("%s %s: %w (the table is brought up to date by migrate.Run with messaging.Migrations)", what, consumer, err)
	}
	return fmt.Errorf("%s %s: %w", what, consumer, err)
}

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the table consumers and what goes with it, for [migrate.Run].
func Migrations() migrate.Component {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return migrate.Component{Name: "messaging", Files: files}
}
