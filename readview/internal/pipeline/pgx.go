package pipeline

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Pgx returns the turn in the form of pgx: for code that is generated for it. Nothing is
// queued: each call sends what is, and waits for its own statement.
func (t *Turn) Pgx() pgx.Tx { return &pgxTurn{t: t} }

// pgxTurn implements [pgx.Tx].
type pgxTurn struct {
	t         *Turn
	savepoint string // of a nested one
	ended     bool   // it is committed or rolled back
}

// lock takes the transaction for a statement.
func (p *pgxTurn) lock(query string) (unlock func(), err error) {
	tx := p.t.tx
	tx.mu.Lock()
	if p.ended {
		err = pgx.ErrTxClosed
	} else if err = p.t.ask(query); err == nil {
		p.t.stage = max(p.t.stage, waits)
	}
	if err != nil {
		tx.mu.Unlock()
		return nil, err
	}
	return tx.mu.Unlock, nil
}

// Exec implements [pgx.Tx].
func (p *pgxTurn) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	unlock, err := p.lock(query)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer unlock()
	tag, err := p.t.tx.pgx.Exec(ctx, query, p.t.tx.direct(args)...)
	return tag, p.t.failed(query, err)
}

// Query implements [pgx.Tx].
func (p *pgxTurn) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	unlock, err := p.lock(query)
	if err != nil {
		return failedRows{err}, err
	}
	defer unlock()
	rows, err := p.t.tx.pgx.Query(ctx, query, p.t.tx.direct(args)...)
	if err == nil {
		p.t.open = append(p.t.open, closer(func() error { rows.Close(); return nil }))
	}
	return rows, p.t.failed(query, err)
}

// QueryRow implements [pgx.Tx].
func (p *pgxTurn) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	unlock, err := p.lock(query)
	if err != nil {
		return failedRows{err}
	}
	defer unlock()
	row := p.t.tx.pgx.QueryRow(ctx, query, p.t.tx.direct(args)...)
	p.t.rows = append(p.t.rows, row)
	return row
}

// SendBatch implements [pgx.Tx]: what is in a batch goes in one round trip.
func (p *pgxTurn) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	tx := p.t.tx
	tx.mu.Lock()
	defer tx.mu.Unlock()
	for _, queued := range batch.QueuedQueries {
		if err := p.t.ready(queued.SQL); err != nil {
			return failedBatch{err}
		}
	}
	if err := tx.flush(); err != nil {
		return failedBatch{err}
	}
	results := tx.pgx.SendBatch(ctx, batch)
	p.t.open = append(p.t.open, results)
	return results
}

// CopyFrom implements [pgx.Tx].
func (p *pgxTurn) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, source pgx.CopyFromSource) (int64, error) {
	unlock, err := p.lock("INSERT INTO " + table.Sanitize()) // for its triggers
	if err != nil {
		return 0, err
	}
	defer unlock()
	return p.t.tx.pgx.CopyFrom(ctx, table, columns, source)
}

// Prepare implements [pgx.Tx]. The statement is gone with the turn.
func (p *pgxTurn) Prepare(ctx context.Context, name, query string) (*pgconn.StatementDescription, error) {
	unlock, err := p.lock(query)
	if err != nil {
		return nil, err
	}
	defer unlock()
	tx := p.t.tx
	description, err := tx.pgx.Prepare(ctx, name, query)
	if err == nil {
		p.t.open = append(p.t.open, closer(func() error { return tx.pgx.Deallocate(tx.ctx, name) }))
	}
	return description, err
}

// Begin implements [pgx.Tx]: a savepoint.
func (p *pgxTurn) Begin(ctx context.Context) (pgx.Tx, error) {
	p.t.savepoints++
	nested := &pgxTurn{t: p.t, savepoint: fmt.Sprintf("readview_nested_%d", p.t.savepoints)}
	_, err := p.Exec(ctx, "SAVEPOINT "+nested.savepoint)
	return nested, err
}

// Commit implements [pgx.Tx]. The transaction itself is not the handler's to commit.
func (p *pgxTurn) Commit(ctx context.Context) error {
	return p.finish(ctx, "RELEASE SAVEPOINT ", "COMMIT")
}

// Rollback implements [pgx.Tx]. The transaction itself is not the handler's to roll back.
func (p *pgxTurn) Rollback(ctx context.Context) error {
	return p.finish(ctx, "ROLLBACK TO SAVEPOINT ", "ROLLBACK")
}

func (p *pgxTurn) finish(ctx context.Context, nested, whole string) error {
	query := whole // which is refused
	if p.savepoint != "" {
		query = nested + p.savepoint
	}
	_, err := p.Exec(ctx, query)
	p.ended = p.ended || p.savepoint != "" && err == nil
	return err
}

// LargeObjects implements [pgx.Tx]. pgx makes them for its own transactions only.
func (p *pgxTurn) LargeObjects() pgx.LargeObjects {
	panic("readview: a handler has no pgx.LargeObjects: use lo_get, lo_put and the like in SQL")
}

// Conn implements [pgx.Tx]. What is done on the connection itself nobody sees, so the event is
// applied alone, and the connection is not used again.
func (p *pgxTurn) Conn() *pgx.Conn {
	tx := p.t.tx
	tx.mu.Lock()
	defer tx.mu.Unlock()
	switch {
	case p.t.stage == over:
		return nil
	case tx.options.How != Alone:
		tx.fail(p.t.event, ErrAlone)
	case p.t.ask("") != nil:
		return nil
	}
	tx.soiled = true
	return tx.pgx
}

type closer func() error

// Close implements [io.Closer].
func (c closer) Close() error { return c() }

// failedRows are those of a query that was not made.
type failedRows struct{ err error }

func (r failedRows) Close()            {}
func (r failedRows) Err() error        { return r.err }
func (r failedRows) Next() bool        { return false }
func (r failedRows) Scan(...any) error { return r.err }

func (r failedRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (r failedRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (r failedRows) Values() ([]any, error)                       { return nil, r.err }
func (r failedRows) RawValues() [][]byte                          { return nil }
func (r failedRows) Conn() *pgx.Conn                              { return nil }
func (r failedRows) TypeMap() *pgtype.Map                         { return nil }

// failedBatch is one that was not sent.
type failedBatch struct{ err error }

func (b failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, b.err }
func (b failedBatch) Query() (pgx.Rows, error)         { return failedRows(b), b.err }
func (b failedBatch) QueryRow() pgx.Row                { return failedRows(b) }
func (b failedBatch) Close() error                     { return b.err }
func (b failedBatch) Tx() pgx.Tx                       { return nil }
