package readview

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// ResetHandler empties the tables of a projection, so that its events can be
// applied from the first one again.
type ResetHandler interface {
	// Reset is called in the transaction that also sets the position to 0. It
	// should be short: readers of the tables may have to wait for it.
	Reset(ctx context.Context, tx Tx) error
}

// ResetFunc is a function as a [ResetHandler].
type ResetFunc func(ctx context.Context, tx Tx) error

// Reset implements [ResetHandler].
func (f ResetFunc) Reset(ctx context.Context, tx Tx) error { return f(ctx, tx) }

// Truncate returns a reset handler that empties tables in one TRUNCATE. It does
// not cascade: where a foreign key of another table refers to one of these, the
// reset fails and nothing has changed.
func Truncate(tables ...string) ResetHandler { return truncate(tables) }

type truncate []string

// Reset implements [ResetHandler].
func (tables truncate) Reset(ctx context.Context, tx Tx) error {
	quoted := make([]string, len(tables))
	for i, table := range tables {
		quoted[i] = pgx.Identifier{table}.Sanitize()
	}
	_, err := tx.ExecContext(ctx, "TRUNCATE TABLE "+strings.Join(quoted, ", "))
	return err
}

// referenced returns an error when a table that is not among these has a foreign key to one of them.
func (tables truncate) referenced(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) error {
	quoted := make([]string, len(tables))
	for i, table := range tables {
		quoted[i] = pgx.Identifier{table}.Sanitize()
	}
	var key, from, to string
	err := db.QueryRow(ctx, `WITH emptied AS (SELECT to_regclass(t)::oid AS oid FROM unnest($1::text[]) AS t)
		SELECT conname, conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
		WHERE contype = 'f' AND confrelid IN (SELECT oid FROM emptied) AND conrelid NOT IN (SELECT oid FROM emptied WHERE oid IS NOT NULL)
		ORDER BY 2, 1 LIMIT 1`, quoted).Scan(&key, &from, &to)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("the foreign key %s of %s refers to %s, which can't be truncated then: rebuild the projection instead, drop the key, or give the projection a Reset that deletes rows", key, from, to)
	}
	return err
}

// reset runs the reset handler and sets the position to 0 in one transaction.
// The lock is the same as a page's, and the new generation makes pages that were
// read before useless. With a generation other than 0 it returns errStale when that is not the
// projection's any more. It is tried again when its wait for the tables' locks was ended because
// somebody who has one of them waits for another one: a reader who joins them in another order.
func (a *applier) reset(ctx context.Context, op consumer.Operation, generation int64) error {
	for tries := 1; ; tries++ {
		err := a.tryReset(ctx, op, generation)
		if !pgerr.Deadlock(err) || tries == resetTries || ctx.Err() != nil {
			return err
		}
	}
}

// resetTries is how often a reset gives way to others.
const resetTries = 5

func (a *applier) tryReset(ctx context.Context, op consumer.Operation, generation int64) error {
	statements, err := a.m.states.sql(ctx)
	if err != nil {
		return err
	}
	head := eventsourced.Position(math.MaxInt64) // not known
	if log := a.log; log != nil {
		if at, err := log.Head(ctx); err == nil {
			head = at
		}
	}
	db := stdlib.OpenDBFromPool(a.m.pool)
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
	err = a.prepareReset(ctx, tx, statements, head, generation)
	if err == nil { // before the handler, which may set a role
		err = a.m.states.record(ctx, tx, op)
	}
	if err != nil {
		return explain(err)
	}
	a.failpoint("reset")
	if err := a.empty(ctx, tx); err != nil {
		return explain(err)
	}
	a.failpoint("emptied")
	return tx.Commit()
}

// prepareReset does what is the framework's in a reset. head is the log's: above it, the
// position is of another log, and the projection does not come back there.
func (a *applier) prepareReset(ctx context.Context, tx *sql.Tx, statements *statements, head eventsourced.Position, generation int64) error {
	if _, err := tx.ExecContext(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprint(a.m.config.LockTimeout.Milliseconds())); err != nil {
		return err
	}
	position, err := a.m.states.lock(ctx, tx, a.Name)
	if err != nil {
		return err
	}
	if generation != 0 {
		var now int64
		if err := tx.QueryRowContext(ctx, statements.generation, a.Name).Scan(&now); err != nil || now != generation {
			return cmp.Or(err, errStale)
		}
	}
	if err := a.m.states.set(ctx, tx, a.Name, 0); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, statements.insertState, a.Name, a.handled, a.Version); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, statements.resetState, a.Name, a.handled, int64(min(position, head)), a.Version)
	if err == nil {
		err = a.m.states.clearDebt(ctx, tx, a.Name)
	}
	return err
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

// empty has the reset handler empty the projection's tables, all of them and nobody else's.
func (a *applier) empty(ctx context.Context, tx *sql.Tx) error {
	if err := missingTables(ctx, tx, a.Name, a.Tables); err != nil {
		return err
	}
	others := a.m.tablesOfOthers(a.Name)
	before, err := fillings(ctx, tx, others)
	if err != nil {
		return err
	}
	if err := a.resetSafely(ctx, tx); err != nil {
		return err
	}
	after, err := fillings(ctx, tx, others)
	if err != nil {
		return err
	}
	for table, owner := range others {
		if before[table] != after[table] {
			return fmt.Errorf("its Reset has emptied %q, a table of projection %q: leave that out, and don't CASCADE to it", table, owner)
		}
	}
	for _, table := range a.Tables {
		var left bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM `+pgx.Identifier{table}.Sanitize()+`)`).Scan(&left); err != nil {
			return err
		}
		if left {
			return fmt.Errorf("its Reset has left rows in %q, which is one of its Tables: empty that, too (or leave Reset out: then all Tables are), or take it out of Tables", table)
		}
	}
	return nil
}

func (a *applier) resetSafely(ctx context.Context, tx *sql.Tx) (err error) {
	defer wait.Recover(&err)
	guarded := pipeline.Guard(tx)
	return errors.Join(a.Reset.Reset(ctx, guarded), guarded.Refused())
}

// filling changes when the transaction truncates a table or deletes rows of it.
type filling struct{ file, deleted int64 }

func fillings(ctx context.Context, tx Tx, tables map[string]string) (map[string]filling, error) {
	all := make(map[string]filling, len(tables))
	for table := range tables {
		var f filling
		err := tx.QueryRowContext(ctx, `SELECT coalesce(pg_relation_filenode(c.oid)::bigint, 0), pg_stat_get_xact_tuples_deleted(c.oid)
			FROM pg_class c WHERE c.oid = to_regclass($1)`, pgx.Identifier{table}.Sanitize()).Scan(&f.file, &f.deleted)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		all[table] = f
	}
	return all, nil
}

// missingTables names those of a projection's tables that are not in the search path.
func missingTables(ctx context.Context, tx Tx, name string, tables []string) error {
	var missing []string
	for _, table := range tables {
		var there bool
		if err := tx.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, pgx.Identifier{table}.Sanitize()).Scan(&there); err != nil {
			return err
		}
		if !there {
			missing = append(missing, strconv.Quote(table))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s, of projection %s: make them by a migration, or correct its Tables (names without a schema, found in the search path)",
			ErrNoTable, strings.Join(missing, ", "), name)
	}
	return nil
}
