package pipeline

import (
	"context"
	"database/sql"
)

// ready tells whether the handler may execute a statement now, and begins the
// transaction if nobody has. What the handler must not is remembered, so that one that
// ignores the error fails all the same.
func (t *Turn) ready(query string) error {
	tx := t.tx
	if t.stage == over {
		return sql.ErrTxDone
	}
	tx.doubts()
	if tx.stage == fresh {
		if err := tx.begin(); err != nil {
			tx.fail(NoEvent, err)
			return err
		}
	}
	if err := tx.usable(); err != nil || t.event == NoEvent {
		return err
	}
	t.note(query)
	err := error(nil)
	if t.reading() {
		err = errRowsOpen
	} else {
		err = t.permit(query)
	}
	if err != nil {
		tx.fail(t.event, err)
	}
	return err
}

// permit decides about a statement by what it does besides reading and writing rows.
func (t *Turn) permit(query string) error {
	tx := t.tx
	kind, err := tx.kind(query)
	switch {
	case err != nil:
		return err
	case kind == transactionText:
		return endsIt(query)
	case kind == copyInText:
		return errCopyIn
	case kind == savepointText:
		return t.guard()
	case kind == tableText:
		tx.pages++ // look at tables again
	case kind >= localText && tx.options.How != Alone:
		return ErrAlone
	case kind == sessionText:
		tx.soiled = true
	}
	return nil
}

// guard is a savepoint before the first one of a handler: what the handler leaves ends
// with it.
const guard = "readview_event"

func (t *Turn) guard() error {
	tx := t.tx
	before := t.stage
	t.stage = max(t.stage, waits) // savepoints are for a way back from an error
	if before == guarded || tx.pgx.PgConn().TxStatus() == 'E' {
		return nil
	}
	if err := tx.flush(); err != nil {
		return err
	}
	t.stage = guarded
	_, err := tx.pgx.Exec(tx.ctx, "SAVEPOINT "+guard)
	return err
}

// Guarded is a transaction of database/sql whose user must not end it.
type Guarded struct {
	tx      *sql.Tx
	refused error
}

// Guard returns tx, guarded.
func Guard(tx *sql.Tx) *Guarded { return &Guarded{tx: tx} }

// Refused returns what the user was refused, nil if that was nothing.
func (g *Guarded) Refused() error { return g.refused }

func (g *Guarded) permit(query string) error {
	if kind, _, _ := kindOf(query); kind == transactionText {
		g.refused = endsIt(query)
	}
	return g.refused
}

// ExecContext implements readview.Tx.
func (g *Guarded) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := g.permit(query); err != nil {
		return nil, err
	}
	return g.tx.ExecContext(ctx, query, args...)
}

// QueryContext implements readview.Tx.
func (g *Guarded) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := g.permit(query); err != nil {
		return nil, err
	}
	return g.tx.QueryContext(ctx, query, args...)
}

// QueryRowContext implements readview.Tx.
func (g *Guarded) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := g.permit(query); err != nil {
		ctx = failedContext{ctx, err}
	}
	return g.tx.QueryRowContext(ctx, query, args...)
}

// PrepareContext implements readview.Tx.
func (g *Guarded) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := g.permit(query); err != nil {
		return nil, err
	}
	return g.tx.PrepareContext(ctx, query)
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
