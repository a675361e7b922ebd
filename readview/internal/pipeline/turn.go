package pipeline

import (
	"context"
	"database/sql"
	"io"

	"github.com/jackc/pgx/v5"
)

// Turn is the transaction as the handler of one event has it, while that runs: whoever
// uses it later gets [sql.ErrTxDone]. It is safe for concurrent use, as a [sql.Tx] is.
type Turn struct {
	tx    *Tx
	event int             // its index in the page, or NoEvent for the framework's own statements
	done  <-chan struct{} // of the handler's context
	stage turnStage
	open  []io.Closer // the rows and prepared statements that it was given
	rows  []row       // likewise

	savepoints int // of pgx
}

// turnStage is how far a turn is. It only goes on.
type turnStage int

const (
	queues  turnStage = iota // its statements are queued
	waits                    // for the outcome of each statement, as its handler has a use for it
	guarded                  // and there is a savepoint before the handler's own
	over                     // the handler has returned
)

// row is one that is read by its Scan, of which nobody can tell whether it was.
type row interface{ Scan(into ...any) error }

// Turn returns the transaction for the handler of an event, which is called with ctx,
// or for [NoEvent]. The turn before is over.
func (tx *Tx) Turn(ctx context.Context, event int) *Turn {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	t := &Turn{tx: tx, event: event, done: ctx.Done()}
	if tx.options.How == Alone || !tx.db.typed {
		t.stage = waits
	}
	tx.turn = t
	return t
}

// Queues tells whether statements are sent on their way here, so that their errors come to
// light later; the handler is called again by itself then.
func (t *Turn) Queues() bool {
	t.tx.mu.Lock()
	defer t.tx.mu.Unlock()
	return t.stage == queues
}

// End takes the transaction back from the handler, and returns what that did wrong
// with it.
func (t *Turn) End(panicked bool) error {
	tx := t.tx
	was, left := t.over()
	if left && panicked { // in a Scan, perhaps: then database/sql waits for ever for its end
		tx.Drop()
		return nil
	}
	t.closeAll(left)
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if left {
		tx.fail(t.event, errRowsLeft)
	}
	switch {
	case tx.gone():
		return sql.ErrTxDone
	case tx.stage == broken && tx.failure.event == t.event:
		return tx.failure.err
	case tx.stage == begun && tx.queue.open == nil && tx.pgx.PgConn().TxStatus() == 'I' && !tx.pgx.IsClosed():
		tx.fail(t.event, ErrEnded)
		return ErrEnded
	case tx.pgx.PgConn().TxStatus() == 'E':
		return errAborted
	case was == guarded:
		_, err := tx.pgx.Exec(tx.ctx, "RELEASE SAVEPOINT "+guard) // and those after it, which are the handler's
		return err
	}
	return nil
}

// over ends the turn, and tells how far it was, and whether the rows of a query were left
// open.
func (t *Turn) over() (was turnStage, left bool) {
	t.tx.mu.Lock()
	defer t.tx.mu.Unlock()
	was, t.stage = t.stage, over
	return was, !t.tx.gone() && t.reading()
}

// closeAll closes what the handler was given.
func (t *Turn) closeAll(left bool) {
	for _, open := range t.open {
		_ = open.Close()
	}
	if left {
		for _, row := range t.rows {
			_ = row.Scan() // closes one that nobody has scanned
		}
	}
}

// reading tells that the rows of a query are being read.
func (t *Turn) reading() bool {
	return t.tx.ahead.recalled > 0 || t.tx.queue.open == nil && t.tx.pgx.PgConn().IsBusy()
}

// QueryRows makes queries in one round trip. With the first ones of a transaction
// BEGIN travels.
func (t *Turn) QueryRows(queries ...Query) error {
	tx := t.tx
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if t.stage == over {
		return sql.ErrTxDone
	}
	if tx.stage == fresh {
		return tx.begin(queries...)
	}
	if err := tx.flush(); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	queueAll(batch, queries)
	return tx.pgx.SendBatch(tx.ctx, batch).Close()
}

// ExecContext implements readview.Tx. It queues the statement if it can be.
func (t *Turn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	tx := t.tx
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := t.ready(query); err != nil {
		return nil, err
	}
	result := tx.newResult(t, query)
	queued, err := tx.add(ctx, t, query, args, statement{event: t.event, result: result})
	switch {
	case err != nil:
		return nil, err
	case queued:
		return result, nil
	}
	if err := tx.flush(); err != nil {
		return nil, err
	}
	done, err := tx.lent.driver.Conn.ExecContext(ctx, query, named(tx.direct(args)))
	return done, t.failed(query, err)
}

// QueryContext implements readview.Tx. The query goes behind what is queued, in one round
// trip.
func (t *Turn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	by, ctx := t.asker(ctx)
	rows, err := by.QueryContext(ctx, query, args...)
	if err == nil {
		t.keep(rows, nil)
	}
	return rows, err
}

// QueryRowContext implements readview.Tx, as [Turn.QueryContext] does.
func (t *Turn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	by, ctx := t.asker(ctx)
	row := by.QueryRowContext(ctx, query, args...)
	t.keep(nil, row)
	return row
}

// PrepareContext implements readview.Tx. The connection keeps the statement, and its
// executions are queued.
func (t *Turn) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	stmt, err := t.tx.lent.tx.PrepareContext(handing{ctx, t, false}, query)
	if err == nil {
		t.keep(stmt, nil)
	}
	return stmt, err
}

// keep notes what the handler was given, which ends with the turn.
func (t *Turn) keep(open io.Closer, row row) {
	if !t.kept(open, row) { // the handler has returned, or was given up
		closeOne(open, row)
	}
}

func (t *Turn) kept(open io.Closer, row row) bool {
	t.tx.mu.Lock()
	defer t.tx.mu.Unlock()
	switch {
	case t.stage == over, t.tx.gone():
		return false
	case open != nil:
		t.open = append(t.open, open)
	default:
		t.rows = append(t.rows, row)
	}
	return true
}

func closeOne(open io.Closer, row row) {
	if open != nil {
		_ = open.Close()
	} else {
		_ = row.Scan()
	}
}

// ask makes the transaction ready for a question to the database.
func (t *Turn) ask(query string) error {
	if err := t.ready(query); err != nil {
		return err
	}
	return t.tx.flush()
}

// direct returns the arguments of a statement that is not queued. pgx keeps statements by
// their text, which in another search path may be another one.
func (tx *Tx) direct(args []any) []any {
	if !tx.moved || !tx.db.typed {
		return args
	}
	return append([]any{pgx.QueryExecModeDescribeExec}, args...)
}
