package readview

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotOneRow is returned by [ExecOne].
var ErrNotOneRow = errors.New("the statement should have changed one row")

// ExecOne executes a statement that changes exactly one row: an update of
// something that an earlier event has made. Any other number is [ErrNotOneRow].
func ExecOne(ctx context.Context, tx Tx, query string, args ...any) error {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	rows, err := result.RowsAffected()
	if err == nil && rows != 1 {
		err = fmt.Errorf("%w, not %d", ErrNotOneRow, rows)
	}
	return err
}
