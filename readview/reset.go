package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// reset runs the reset handler and sets the position to 0 in one transaction.
// The lock is the same as a page's, and the new generation makes pages that were
// read before useless.
func (a *applier) reset(ctx context.Context) error {
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
	if err := a.prepareReset(ctx, tx, statements, head); err != nil {
		return explain(err)
	}
	a.failpoint("reset")
	if err := a.resetSafely(ctx, tx); err != nil {
		return explain(err)
	}
	a.failpoint("emptied")
	return tx.Commit()
}

// prepareReset does what is the framework's in a reset. head is the log's: above it, the
// position is of another log, and the projection does not come back there.
func (a *applier) prepareReset(ctx context.Context, tx *sql.Tx, statements *statements, head eventsourced.Position) error {
	if _, err := tx.ExecContext(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprint(a.m.config.LockTimeout.Milliseconds())); err != nil {
		return err
	}
	var position eventsourced.Position
	err := tx.QueryRowContext(ctx, statements.lock, a.Name).Scan((*int64)(&position))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for _, step := range []struct {
		query string
		args  []any
	}{
		{statements.reset, []any{a.Name}},
		{statements.insertState, []any{a.Name, a.handled}},
		{statements.resetState, []any{a.Name, a.handled, int64(min(position, head))}},
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

func (a *applier) resetSafely(ctx context.Context, tx *sql.Tx) (err error) {
	defer recoverAs(&err)
	guarded := pipeline.Guard(tx)
	return errors.Join(a.Reset.Reset(ctx, guarded), guarded.Refused())
}
