package readview

import (
	"context"
	"errors"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// ErrNotOneRow is returned by [ExecOne], or for its event when it is found out
// later.
var ErrNotOneRow = pipeline.ErrNotOneRow

// Exec executes a statement whose result nobody looks at. In a page it is only queued,
// see the package's documentation; an error that comes to light after the handler has
// returned counts as the handler's.
func Exec(ctx context.Context, tx Tx, query string, args ...any) error {
	if turn, ok := tx.(*pipeline.Turn); ok {
		return turn.Exec(ctx, query, args...)
	}
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}

// ExecOne executes a statement that changes exactly one row: an update of
// something that an earlier event has made. Any other number is [ErrNotOneRow].
// Unlike a look at RowsAffected it need not wait for the statement: the error may
// come to light after the handler has returned, and then counts as the handler's.
func ExecOne(ctx context.Context, tx Tx, query string, args ...any) error {
	if turn, ok := tx.(*pipeline.Turn); ok {
		return turn.ExecOne(ctx, query, args...)
	}
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	rows, err := result.RowsAffected()
	if err == nil && rows != 1 {
		err = pipeline.NotOneRow(rows)
	}
	return err
}

// ExecOr executes a statement that violates a unique constraint now and then, and calls
// otherwise when it does, with the transaction as it was before the statement. An upsert
// resolves conflicts with one constraint of its table; what it does not resolve is for otherwise.
//
// As long as nothing is violated it costs what [Exec] costs. When something is, the page is taken
// back, and the event is applied by itself, with a savepoint before the statement: the way for what is rare.
func ExecOr(ctx context.Context, tx Tx, otherwise func() error, query string, args ...any) error {
	if turn, ok := tx.(*pipeline.Turn); ok && turn.Queues() {
		return turn.Exec(ctx, query, args...)
	}
	if err := Exec(ctx, tx, "SAVEPOINT readview_or"); err != nil {
		return err
	}
	err := Exec(ctx, tx, query, args...)
	if err == nil {
		return Exec(ctx, tx, "RELEASE SAVEPOINT readview_or")
	}
	if !pgerr.Taken(err) {
		return err
	}
	if back := Exec(ctx, tx, "ROLLBACK TO SAVEPOINT readview_or"); back != nil {
		return errors.Join(err, back)
	}
	return otherwise()
}

var _ Tx = (*pipeline.Turn)(nil)
