package pipeline

import (
	"errors"
	"fmt"
)

var (
	// ErrTogether says that a transaction has to be done again, [OneByOne].
	ErrTogether = errors.New("readview: a statement with the rows of several events failed, or was asked about one of them")

	// ErrAlone says that an event has to be applied by itself, [Alone], as its handler sets
	// something that the next one would notice.
	ErrAlone = errors.New("readview: the statement sets something for the rest of the transaction")

	// ErrEnded says that a handler has ended its transaction, or wants to.
	ErrEnded = errors.New("the handler has ended its transaction")

	// ErrNotOneRow is the error of [Turn.ExecOne].
	ErrNotOneRow = errors.New("the statement should have changed one row")
)

// What else a handler does wrong with its transaction.
var (
	errRowsOpen = errors.New("the handler executes a statement while it reads the rows of a query: close them first, or collect them")
	errRowsLeft = errors.New("the handler has left the rows of a query open: close them (a QueryRow ends with its Scan)")
	errAborted  = errors.New("the handler ignored an error of the database, and the transaction is lost")
	errCopyIn   = errors.New("readview: COPY FROM STDIN would wait for data for ever: use INSERT")
)

var (
	errNotKnown  = errors.New("readview: the result of a statement is asked for after its transaction")
	errNoInserts = errors.New("readview: PostgreSQL has no LastInsertId: use RETURNING")
)

// NotOneRow is [ErrNotOneRow] with the number of rows.
func NotOneRow(rows int64) error { return fmt.Errorf("%w, not %d", ErrNotOneRow, rows) }

func endsIt(query string) error {
	return fmt.Errorf("%w, or wants to, by %.60q: that is not its own to begin, commit or roll back; use a savepoint", ErrEnded, query)
}
