package readview

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgschema"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// PositionStore keeps how far each projection is, in the database of its tables and in the
// same transaction. That is what makes every event count exactly once: whoever
// applies a page holds the projection's lock, has compared the position with the
// page's, and sets it with the page's writes or not at all.
//
// Without one, see [Config.Positions], positions are in the table readviews. One of your own
// keeps them in another table, or under other names; readviewtest.TestPositionStore
// tells whether it does what it has to. Its methods are called concurrently. Their tx is
// where they have to work, and nowhere else.
type PositionStore interface {
	// Lock returns the position of a projection, 0 when nothing is known of it, and keeps
	// everybody else from locking that projection until tx ends, also when nothing is known of
	// it. Who had to wait sees what was set meanwhile. It is called at READ COMMITTED, first
	// in tx, for each page.
	Lock(ctx context.Context, tx Tx, name string) (eventsourced.Position, error)

	// Set sets the position, to a lower one, too. It is called after Lock in the same tx.
	// A plain ExecContext in it costs a page no round trip.
	Set(ctx context.Context, tx Tx, name string, to eventsourced.Position) error

	// Positions returns the positions that are committed; names of which nothing is known
	// may be missing. It does not wait for locks. tx is a [*sql.DB] in its shape, perhaps of a
	// replica.
	Positions(ctx context.Context, tx Tx, names ...string) (map[string]eventsourced.Position, error)
}

var _ Tx = (*sql.DB)(nil)

// Positions is the [PositionStore] on the table readviews that [Migrations] makes, which a
// manager uses on its own accord. Schema names where the table is; "" is the first one of the
// search path that has it.
type Positions struct{ Schema string }

var _ PositionStore = Positions{}

func (p Positions) table() string {
	return pgschema.Schema(p.Schema).Table("readviews")
}

// Lock implements [PositionStore].
func (p Positions) Lock(ctx context.Context, tx Tx, name string) (at eventsourced.Position, err error) {
	if _, err := tx.ExecContext(ctx, `INSERT INTO `+p.table()+` (name, position) VALUES ($1, 0) ON CONFLICT DO NOTHING`, name); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `SELECT position FROM `+p.table()+` WHERE name = $1 FOR UPDATE`, name).Scan((*int64)(&at))
	return at, err
}

// Set implements [PositionStore]. That there is no row any more is found out by the server,
// so that nobody has to wait for the answer.
func (p Positions) Set(ctx context.Context, tx Tx, name string, to eventsourced.Position) error {
	_, err := tx.ExecContext(ctx, `WITH moved AS (UPDATE `+p.table()+` SET position = $2 WHERE name = $1 RETURNING name) SELECT 1 / count(*) FROM moved`, name, int64(to))
	return err
}

// Positions implements [PositionStore].
func (p Positions) Positions(ctx context.Context, tx Tx, names ...string) (map[string]eventsourced.Position, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, position FROM `+p.table()+` WHERE name = ANY($1)`, names)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := make(map[string]eventsourced.Position, len(names))
	for rows.Next() {
		var name string
		var at int64
		if err := rows.Scan(&name, &at); err != nil {
			return nil, err
		}
		all[name] = eventsourced.Position(at)
	}
	return all, rows.Err()
}

// checkpoint is what must not have changed since a page was read.
type checkpoint struct {
	Position   eventsourced.Position // everything up to it is applied
	Generation int64                 // changes with every reset
	Running    bool                  // neither paused nor failed nor ahead of the log
}

// checkpoint locks a projection for a page and returns how it stands; [sql.ErrNoRows] when it
// is not there. It also lets the server end the transaction when its client falls silent. The
// state is read by a statement of its own, after the lock was granted: a single one would see it as it
// was before the wait. Whoever changes it holds the same lock.
// parked is how many events are.
func (s states) checkpoint(ctx context.Context, turn *pipeline.Turn, name string, idle string) (at checkpoint, parked int64, err error) {
	statements, err := s.sql(ctx)
	if err != nil {
		return checkpoint{}, 0, err
	}
	var setting string
	state := pipeline.Query{SQL: statements.state, Args: []any{name, idle}, Into: []any{&at.Generation, &at.Running, &parked, &setting}}
	if s.positions == nil {
		lock := pipeline.Query{SQL: statements.lock, Args: []any{name}, Into: []any{(*int64)(&at.Position)}}
		err = turn.QueryRows(lock, state)
		return at, parked, err
	}
	if at.Position, err = s.positions.Lock(ctx, turn, name); err == nil {
		err = turn.QueryRows(state)
	}
	return at, parked, err
}

// lock locks a projection, after making it if it is new, and returns its position.
func (s states) lock(ctx context.Context, tx *sql.Tx, name string) (at eventsourced.Position, err error) {
	if s.positions != nil {
		return s.positions.Lock(ctx, tx, name)
	}
	statements, err := s.sql(ctx)
	if err == nil {
		_, err = tx.ExecContext(ctx, statements.insert, name)
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, statements.lock, name).Scan((*int64)(&at))
	}
	return at, err
}

// make makes the rows of a projection, if there are none.
func (s states) make(ctx context.Context, tx Tx, d *definition) error {
	statements, err := s.sql(ctx)
	if err == nil && s.positions == nil {
		_, err = tx.ExecContext(ctx, statements.insert, d.Name)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, statements.insertState, d.Name, d.handled, d.Version)
	}
	return err
}

// set sets the position of a projection that tx has locked.
func (s states) set(ctx context.Context, tx Tx, name string, to eventsourced.Position) error {
	var err error
	if s.positions != nil {
		err = s.positions.Set(ctx, tx, name, to)
	} else if statements, missing := s.sql(ctx); missing != nil {
		err = missing
	} else {
		_, err = tx.ExecContext(ctx, statements.advance, name, int64(to))
	}
	if err != nil {
		return fmt.Errorf("set the position of %s: %w", name, err)
	}
	return nil
}

// located asks a store that is not ours for positions.
func (s states) located(ctx context.Context, names ...string) (map[string]eventsourced.Position, error) {
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = db.Close() }()
	at, err := s.positions.Positions(ctx, db, names...)
	if err != nil {
		return nil, fmt.Errorf("Config.Positions: %w", err)
	}
	return at, nil
}

// within runs f in a transaction of database/sql.
func (s states) within(ctx context.Context, f func(tx *sql.Tx) error) error {
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after a commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// idleSetting is Config.HangTimeout as the server takes it.
func (c Config) idleSetting() string { return strconv.FormatInt(c.HangTimeout.Milliseconds(), 10) }
