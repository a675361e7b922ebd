package pipeline

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// answer is the rows of a query that has travelled behind what was queued. It implements
// [driver.Rows], and gives database/sql the values that pgx's own would: a handler may have
// either, of the same query. Until it is closed the connection is busy with it.
type answer struct {
	tx        *Tx
	of        *prepared
	open      *pgconn.Pipeline
	reader    *pgconn.ResultReader
	trace     context.Context // nil for no tracer
	preloaded bool            // the first row, so that an error is that of the query
	recalled  [][]byte        // instead of a reader: the row, nil for none
	more      bool
	closed    bool
	err       error
}

// ask sends a query behind what is queued, in one round trip. What can't go so has to be
// asked directly.
func (tx *Tx) ask(ctx context.Context, t *Turn, query string, args []any) (rows driver.Rows, asked bool, err error) {
	if t.stage != queues || !canQueue(query, args) || ctx.Done() != nil && ctx.Done() != tx.ctx.Done() {
		return nil, false, nil
	}
	if err := cmp.Or(tx.usable(), ctx.Err()); err != nil {
		return nil, false, err
	}
	k, err := tx.prepare(query)
	if err != nil || len(k.description.Fields) == 0 || tx.build(k, args) != nil {
		return nil, false, err
	}
	a := &answer{tx: tx, of: k}
	if tx.db.tracer != nil {
		a.trace = tx.db.tracer.TraceQueryStart(ctx, tx.pgx, pgx.TraceQueryStartData{SQL: query, Args: args})
	}
	row, known, err := tx.recall(t, k)
	if known {
		return a.recall(row), true, nil
	}
	if err == nil {
		err = tx.unforeseen(k, args)
	}
	if err == nil {
		err = a.send(t)
	}
	if err != nil {
		a.traced(err)
		return nil, false, err
	}
	a.more, a.preloaded = a.next(), true
	if !a.more {
		if err := a.end(); err != nil {
			return nil, true, err
		}
	}
	return a, true, nil
}

// sendBefore sends the rows that a query may see.
func (tx *Tx) sendBefore(k *prepared) error {
	of := tx.lookUp(k)
	if of == nil {
		return tx.sendRows()
	}
	if err := tx.sendUpTo(tx.lastBefore(of, tx.identity(of))); err != nil {
		return err
	}
	return tx.unpin()
}

// send sends the query, and takes the outcomes of what is before it.
func (a *answer) send(t *Turn) error {
	tx := a.tx
	if err := tx.sendBefore(a.of); err != nil {
		return err
	}
	k := a.of
	if k.values == nil {
		k.readable(tx.pgx.TypeMap())
	}
	tx.start()
	if k.description.Name == "" {
		tx.queue.open.SendQueryParams(k.description.SQL, tx.builder.ParamValues, k.description.ParamOIDs, tx.builder.ParamFormats, k.formats)
	} else {
		tx.queue.open.SendQueryStatement(k.description, tx.builder.ParamValues, tx.builder.ParamFormats, k.formats)
	}
	a.open = tx.queue.open
	if err := tx.outcomes(t.event, true); err != nil {
		return err
	}
	a.reader, a.err = nextReader(a.open)
	return nil
}

// recall makes it the answer of a query that was not asked, with the row if there is one.
func (a *answer) recall(row [][]byte) *answer {
	a.tx.ahead.doubt = false
	if a.recalled, a.more, a.preloaded = row, row != nil, true; a.more {
		a.tx.ahead.recalled++
	} else {
		_ = a.end()
	}
	return a
}

// next goes on to the next row.
func (a *answer) next() bool { return a.reader != nil && a.reader.NextRow() }

// row is the values of this one.
func (a *answer) row() [][]byte {
	if a.recalled != nil {
		return a.recalled
	}
	return a.reader.Values()
}

// end reads what is left, after which the connection is free.
func (a *answer) end() error {
	if a.closed {
		return a.err
	}
	a.closed = true
	var tag pgconn.CommandTag
	switch {
	case a.recalled != nil:
		a.tx.ahead.recalled--
		tag = pgconn.NewCommandTag("SELECT 1")
	case a.open == nil:
		tag = pgconn.NewCommandTag("SELECT 0")
	case a.reader != nil:
		var err error
		tag, err = a.reader.Close()
		a.err = cmp.Or(a.err, err)
	}
	if a.open != nil {
		a.err = cmp.Or(a.err, a.open.Close())
	}
	if a.err != nil {
		a.tx.stale = true // perhaps as a table has changed since it was prepared
	}
	a.tx.queue.tag = tag
	a.traced(a.err)
	return a.err
}

func (a *answer) traced(err error) {
	if a.trace != nil {
		a.tx.db.tracer.TraceQueryEnd(a.trace, a.tx.pgx, pgx.TraceQueryEndData{CommandTag: a.tx.queue.tag, Err: err})
	}
}

// Columns implements [driver.Rows].
func (a *answer) Columns() []string {
	names := make([]string, len(a.of.description.Fields))
	for i := range names {
		names[i] = a.of.description.Fields[i].Name
	}
	return names
}

// Close implements [driver.Rows].
func (a *answer) Close() error {
	a.tx.mu.Lock()
	defer a.tx.mu.Unlock()
	return a.end()
}

// Next implements [driver.Rows].
func (a *answer) Next(into []driver.Value) error {
	a.tx.mu.Lock()
	defer a.tx.mu.Unlock()
	if !a.preloaded && a.more && !a.closed {
		a.more = a.next()
	}
	a.preloaded = false
	if a.closed || !a.more {
		return cmp.Or(a.end(), io.EOF)
	}
	for i, value := range a.row() {
		into[i] = nil
		if value == nil {
			continue
		}
		var err error
		if into[i], err = a.of.values[i](value); err != nil {
			return fmt.Errorf("convert field %d failed: %w", i, err)
		}
	}
	return nil
}
