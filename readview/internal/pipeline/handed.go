package pipeline

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5/stdlib"
)

// Rows and prepared statements are types of database/sql, so what makes them goes through it
// and comes back here, as its driver: it holds its lock of the connection then, and the
// transaction's is taken inside. Nobody who has the transaction's may call database/sql.

// handing has the turn that calls database/sql along.
type handing struct {
	context.Context
	turn  *Turn
	quiet bool // it has no end that database/sql should wait for
}

// Done implements [context.Context].
func (h handing) Done() <-chan struct{} {
	if h.quiet {
		return nil
	}
	return h.Context.Done()
}

type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// asker returns what to ask, and with which context. database/sql starts a goroutine for
// each query of a transaction, or with a context that may end, to close its rows then. Waking
// that costs about as much as the round trip. It is not needed where the answer ends with
// the page's context by itself, and its rows with the turn.
func (t *Turn) asker(ctx context.Context) (asker, context.Context) {
	t.tx.mu.Lock()
	defer t.tx.mu.Unlock()
	if t.stage == queues && (ctx.Done() == nil || ctx.Done() == t.tx.ctx.Done()) && !t.tx.gone() {
		return t.tx.lent.conn, handing{ctx, t, true}
	}
	return t.tx.lent.tx, handing{ctx, t, false}
}

// QueryContext implements [driver.QueryerContext].
func (c *driverConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	h := ctx.(handing)
	return h.turn.query(h.Context, query, values(args))
}

// PrepareContext implements [driver.ConnPrepareContext].
func (c *driverConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	h := ctx.(handing)
	t, ctx := h.turn, h.Context
	c.tx.mu.Lock()
	defer c.tx.mu.Unlock()
	if err := t.ready(query); err != nil {
		return nil, err
	}
	if t.stage == queues && !isCopy(query) {
		k, err := c.tx.prepare(query)
		if err != nil {
			return nil, err
		}
		c.tx.ahead.doubt = false // nothing was executed
		return &driverStmt{t, query, len(k.description.ParamOIDs), nil}, nil
	}
	if err := c.tx.flush(); err != nil {
		return nil, err
	}
	t.stage = max(t.stage, waits)
	of, err := c.Conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, t.failed(query, err)
	}
	return &driverStmt{t, query, of.NumInput(), of}, nil
}

// query asks with what is queued in the same round trip, or else after it.
func (t *Turn) query(ctx context.Context, query string, args []any) (driver.Rows, error) {
	tx := t.tx
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := t.ready(query); err != nil {
		return nil, err
	}
	rows, asked, err := tx.ask(ctx, t, query, args)
	if asked || err != nil {
		return rows, t.failed(query, err)
	}
	if err := tx.flush(); err != nil {
		return nil, err
	}
	rows, err = tx.lent.driver.Conn.QueryContext(ctx, query, named(tx.direct(args)))
	if err != nil {
		return nil, t.failed(query, err)
	}
	return &directRows{rows.(*stdlib.Rows), tx}, nil
}

// directRows are those of a query that was asked directly.
type directRows struct {
	*stdlib.Rows
	tx *Tx
}

// Next implements [driver.Rows].
func (r *directRows) Next(into []driver.Value) error {
	r.tx.mu.Lock()
	defer r.tx.mu.Unlock()
	return r.Rows.Next(into)
}

// Close implements [driver.Rows].
func (r *directRows) Close() error {
	r.tx.mu.Lock()
	defer r.tx.mu.Unlock()
	return r.Rows.Close()
}

// driverStmt is a prepared statement of a handler's. What is done with it goes the way of
// any other statement of that text.
type driverStmt struct {
	turn   *Turn
	query  string
	inputs int
	of     driver.Stmt // pgx's, nil when it is one that the connection keeps
}

// NumInput implements [driver.Stmt].
func (s *driverStmt) NumInput() int { return s.inputs }

// Close implements [driver.Stmt].
func (s *driverStmt) Close() error {
	if s.of == nil {
		return nil
	}
	s.turn.tx.mu.Lock()
	defer s.turn.tx.mu.Unlock()
	return s.of.Close()
}

// ExecContext implements [driver.StmtExecContext].
func (s *driverStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.turn.ExecContext(ctx, s.query, values(args)...)
}

// QueryContext implements [driver.StmtQueryContext].
func (s *driverStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.turn.query(ctx, s.query, values(args))
}

var errNoContext = errors.New("readview: a statement is executed with a context")

// Exec implements [driver.Stmt], which nobody calls.
func (s *driverStmt) Exec([]driver.Value) (driver.Result, error) { return nil, errNoContext }

// Query implements [driver.Stmt], which nobody calls.
func (s *driverStmt) Query([]driver.Value) (driver.Rows, error) { return nil, errNoContext }

func values(args []driver.NamedValue) []any {
	plain := make([]any, len(args))
	for i := range args {
		plain[i] = args[i].Value
	}
	return plain
}

func named(args []any) []driver.NamedValue {
	converted := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		converted[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
		if arg, ok := arg.(sql.NamedArg); ok {
			converted[i].Value = arg.Value
		}
	}
	return converted
}
