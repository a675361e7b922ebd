package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
)

// What a handler does wrong with its transaction.
var (
	errRowsOpen = errors.New("the handler executes a statement while it reads the rows of a query: close them first, or collect them")
	errRowsLeft = errors.New("the handler has left the rows of a query open: close them (a QueryRow ends with its Scan)")
	errAborted  = errors.New("the handler ignored an error of the database, and the transaction is lost")
	errEnded    = errors.New("the handler has ended its transaction")
	errCopyIn   = errors.New("readview: COPY FROM STDIN would wait for data for ever: use INSERT")
)

// errAlone says that an event has to be applied by itself, as its handler sets
// something that the next one would notice.
var errAlone = errors.New("readview: the statement sets something for the rest of the transaction")

// eventTx is the page's transaction as the handler of one event has it, while that
// runs: whoever uses it later gets [sql.ErrTxDone]. It is safe for concurrent use, as
// a [sql.Tx] is.
type eventTx struct {
	p     *pipeline
	event int             // its index in the page, or noEvent for the framework's own statements
	done  <-chan struct{} // of the handler's context
	over  bool            // the handler has returned
	open  []io.Closer     // the rows and prepared statements that it was given
	rows  []*sql.Row      // likewise
}

// begin returns the transaction for the handler of an event, which is called with ctx.
func (p *pipeline) begin(ctx context.Context, event int) *eventTx {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.event, p.waits, p.asked, p.guarded = event, false, false, false
	return &eventTx{p: p, event: event, done: ctx.Done()}
}

// finish takes the transaction back from the handler, and returns what that did wrong
// with it.
func (t *eventTx) finish(panicked bool) error {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	t.over = true
	left := !p.dead && t.reading()
	if left && panicked { // in a Scan, perhaps: then database/sql waits for ever for its end
		p.drop()
		return nil
	}
	for _, open := range t.open {
		_ = open.Close()
	}
	if left {
		for _, row := range t.rows {
			_ = row.Scan() // closes one that nobody has scanned
		}
		if p.err == nil {
			p.fail(t.event, errRowsLeft)
		}
	}
	switch {
	case p.dead:
		return sql.ErrTxDone
	case p.err != nil && p.failed == t.event:
		return p.err
	case p.begun && p.open == nil && !left && p.pgx.PgConn().TxStatus() == 'I' && !p.pgx.IsClosed():
		p.fail(t.event, errEnded)
		return errEnded
	case p.asked && p.pgx.PgConn().TxStatus() == 'E':
		return errAborted
	case p.guarded:
		_, err := p.pgx.Exec(p.ctx, "RELEASE SAVEPOINT "+guard) // and those after it, which are the handler's
		return err
	}
	return nil
}

// guard is a savepoint before the first one of a handler: what the handler leaves ends
// with it.
const guard = "readview_event"

func (p *pipeline) guard() error {
	p.waits = true // savepoints are for a way back from an error
	if p.guarded || p.pgx.PgConn().TxStatus() == 'E' {
		return nil
	}
	if err := p.ask(); err != nil {
		return err
	}
	p.guarded = true
	_, err := p.pgx.Exec(p.ctx, "SAVEPOINT "+guard)
	return err
}

// reading tells that the rows of a query are being read. That is asked under the lock
// of database/sql, as another goroutine of the handler may read them.
func (t *eventTx) reading() (busy bool) {
	if p := t.p; len(t.open)+len(t.rows) > 0 && p.open == nil {
		_ = p.conn.Raw(func(any) error {
			busy = p.pgx.PgConn().IsBusy()
			return nil
		})
	}
	return busy
}

// ready tells whether the handler may execute a statement now. What it must not is
// remembered, so that a handler that ignores the error fails all the same.
func (t *eventTx) ready(query string) error {
	p := t.p
	if t.over || p.dead {
		return sql.ErrTxDone
	}
	if t.event == noEvent {
		return nil
	}
	err := p.err
	if err == nil && t.reading() {
		err = errRowsOpen
	}
	if err == nil {
		err = p.permit(query)
	}
	if err != nil && p.err == nil {
		p.fail(t.event, err)
	}
	return err
}

// permit decides about a statement by what it does besides reading and writing rows.
func (p *pipeline) permit(query string) error {
	kind, err := p.kind(query)
	switch {
	case err != nil:
		return err
	case kind == transactionText:
		return fmt.Errorf("%w, or wants to, by %.60q: that is not its own to begin, commit or roll back; use a savepoint", errEnded, query)
	case kind == copyInText:
		return errCopyIn
	case kind == savepointText:
		return p.guard()
	case kind == tableText:
		p.pages++ // look at tables again
	case kind >= localText && !p.isolated:
		return errAlone
	case kind == sessionText:
		p.soiled = true
	}
	return nil
}

// ExecContext implements [Tx].
func (t *eventTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := t.ready(query); err != nil {
		return nil, err
	}
	result := p.newResult(t, query)
	queued, err := p.add(ctx, query, args, statement{event: t.event, result: result}, t.done)
	switch {
	case err != nil:
		return nil, err
	case queued:
		return result, nil
	}
	if err := p.ask(); err != nil {
		return nil, err
	}
	return p.Tx.ExecContext(ctx, query, args...)
}

// QueryContext implements [Tx].
func (t *eventTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	err := t.ready(query)
	if err == nil {
		err = p.ask()
	}
	if err != nil {
		return nil, err
	}
	rows, err := p.Tx.QueryContext(ctx, query, args...)
	if err == nil {
		t.open = append(t.open, rows)
	}
	return rows, err
}

// QueryRowContext implements [Tx].
func (t *eventTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	err := t.ready(query)
	if err == nil {
		err = p.ask()
	}
	if err != nil {
		ctx = failedContext{ctx, err}
	}
	row := p.Tx.QueryRowContext(ctx, query, args...)
	if err == nil {
		t.rows = append(t.rows, row)
	}
	return row
}

// PrepareContext implements [Tx]. A prepared statement goes to the server at
// once, so from here on to the handler's end the others do, too.
func (t *eventTx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	err := t.ready(query)
	p.waits = true
	if err == nil {
		err = p.ask()
	}
	if err != nil {
		return nil, err
	}
	stmt, err := p.Tx.PrepareContext(ctx, query)
	if err == nil {
		t.open = append(t.open, stmt)
	}
	return stmt, err
}

// failedContext has ended with an error: database/sql returns it, and does nothing.
type failedContext struct {
	context.Context
	err error
}

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (c failedContext) Done() <-chan struct{} { return closed }
func (c failedContext) Err() error            { return c.err }
