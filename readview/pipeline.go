package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// maxQueue is how many statements are sent in one round trip at most.
const maxQueue = 2048

// noEvent is the index of statements that are the framework's own.
const noEvent = -1

var (
	errAborted   = errors.New("the handler ignored an error of the database, and the transaction is lost")
	errNotKnown  = errors.New("readview: the result of a statement is asked for after its transaction")
	errNoInserts = errors.New("readview: PostgreSQL has no LastInsertId: use RETURNING")
)

// pipeline is the transaction of a page. Handlers are written one statement at a
// time, but a statement without a result that anybody looks at is only queued:
// the queue is sent in one round trip, when a query needs what it writes, when a
// count of rows is asked for, and at the end of the page.
//
// When a queued statement fails, its handler has returned long ago. So the page
// is taken back and the event is applied alone, with a pipeline that is direct
// and queues nothing: then its handler sees the error.
type pipeline struct {
	*sql.Tx
	conn   *sql.Conn
	direct bool // for the whole transaction

	event    int  // whose handler runs, or noEvent
	prepared bool // this event's handler has prepared statements, which don't queue
	asked    bool // this event's handler has had an answer of the database

	queue   []statement
	results []queuedResult // a piece of memory for many

	failed int   // the event whose statement was the first to fail
	err    error // its error; nothing is sent after it
}

type statement struct {
	query  string
	args   []any
	event  int
	result *queuedResult // nil when nobody can ask
	one    bool          // it must change one row
}

func newPipeline(conn *sql.Conn, tx *sql.Tx, direct bool) *pipeline {
	return &pipeline{Tx: tx, conn: conn, direct: direct, event: noEvent, failed: noEvent}
}

// begin says that the handler of an event is going to run.
func (p *pipeline) begin(event int) { p.event, p.prepared, p.asked = event, false, false }

// ExecContext implements [Tx].
func (p *pipeline) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if p.direct || p.prepared || !pipelines(query, args) {
		if err := p.flush(ctx); err != nil {
			return nil, err
		}
		p.asked = true
		return p.Tx.ExecContext(ctx, query, args...)
	}
	if len(p.results) == cap(p.results) {
		p.results = make([]queuedResult, 0, 256)
	}
	p.results = append(p.results, queuedResult{pipeline: p, ctx: ctx})
	result := &p.results[len(p.results)-1]
	return result, p.add(ctx, statement{query: query, args: args, event: p.event, result: result})
}

// execOne is [ExecOne] without waiting for the count.
func (p *pipeline) execOne(ctx context.Context, query string, args []any) error {
	return p.add(ctx, statement{query: query, args: args, event: p.event, one: true})
}

// QueryContext implements [Tx].
func (p *pipeline) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p.asked = true
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	return p.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext implements [Tx]. If the queue fails, so does the query: the
// server refuses it, or the page, which is taken back in any case.
func (p *pipeline) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p.asked = true
	_ = p.flush(ctx)
	return p.Tx.QueryRowContext(ctx, query, args...)
}

// PrepareContext implements [Tx]. A prepared statement goes to the server at
// once, so from here on to the handler's end the others do, too.
func (p *pipeline) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	p.asked, p.prepared = true, true
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	return p.Tx.PrepareContext(ctx, query)
}

// pipelines tells whether a statement can be queued: one that holds several can't.
func pipelines(query string, args []any) bool {
	if len(args) > 0 {
		return true
	}
	semicolon := strings.IndexByte(query, ';')
	return semicolon < 0 || strings.TrimSpace(query[semicolon+1:]) == ""
}

func (p *pipeline) add(ctx context.Context, s statement) error {
	// The caller may use its slice, and what bytes are in it, again.
	s.args = slices.Clone(s.args)
	for i, arg := range s.args {
		switch arg := arg.(type) {
		case []byte:
			s.args[i] = slices.Clone(arg)
		case sql.NamedArg:
			s.args[i] = arg.Value
		}
	}
	p.queue = append(p.queue, s)
	if len(p.queue) < maxQueue {
		return p.err
	}
	p.asked = true
	return p.flush(ctx)
}

// flush sends the queue and reads what comes back. The first failure stays.
func (p *pipeline) flush(ctx context.Context) error {
	if p.err != nil || len(p.queue) == 0 {
		return p.err
	}
	err := p.conn.Raw(func(driverConn any) error {
		return p.send(ctx, driverConn.(*stdlib.Conn).Conn())
	})
	if p.err == nil && err != nil {
		p.fail(p.queue[0].event, err)
	}
	clear(p.queue)
	p.queue = p.queue[:0]
	return p.err
}

func (p *pipeline) send(ctx context.Context, conn *pgx.Conn) error {
	memory := make([]pgx.QueuedQuery, len(p.queue))
	batch := &pgx.Batch{QueuedQueries: make([]*pgx.QueuedQuery, len(p.queue))}
	for i, s := range p.queue {
		memory[i].SQL, memory[i].Arguments = s.query, s.args
		batch.QueuedQueries[i] = &memory[i]
	}
	results := conn.SendBatch(ctx, batch)
	for _, s := range p.queue {
		tag, err := results.Exec()
		if err == nil && s.one && tag.RowsAffected() != 1 {
			err = notOneRow(tag.RowsAffected())
		}
		if err != nil {
			p.fail(p.eventOf(s, err), err)
			break
		}
		if s.result != nil {
			s.result.tag, s.result.known = tag, true
		}
	}
	return results.Close()
}

// eventOf returns the event that a statement's error belongs to. What is wrong
// with a statement in itself is noticed before any is executed.
func (p *pipeline) eventOf(s statement, err error) int {
	var unsent pgx.ErrPreprocessingBatch
	if errors.As(err, &unsent) {
		for _, other := range p.queue {
			if other.query == unsent.SQL() {
				return other.event
			}
		}
	}
	return s.event
}

func (p *pipeline) fail(event int, err error) { p.failed, p.err = event, err }

// aborted tells whether the handler that has just run left a transaction in which
// a statement has failed.
func (p *pipeline) aborted() bool {
	if !p.asked {
		return false
	}
	status := byte('E')
	_ = p.conn.Raw(func(driverConn any) error {
		status = driverConn.(*stdlib.Conn).Conn().PgConn().TxStatus()
		return nil
	})
	return status == 'E'
}

// queuedResult is the result of a statement that may not have been sent yet.
type queuedResult struct {
	pipeline *pipeline
	ctx      context.Context // of the call: a result has no other one to be asked with
	tag      pgconn.CommandTag
	known    bool
}

// RowsAffected implements [sql.Result]. It sends the queue if need be.
func (r *queuedResult) RowsAffected() (int64, error) {
	if !r.known {
		r.pipeline.asked = true
		if err := r.pipeline.flush(r.ctx); err != nil {
			return 0, err
		}
	}
	if !r.known {
		return 0, errNotKnown
	}
	return r.tag.RowsAffected(), nil
}

// LastInsertId implements [sql.Result].
func (r *queuedResult) LastInsertId() (int64, error) {
	if _, err := r.RowsAffected(); err != nil {
		return 0, err
	}
	return 0, errNoInserts
}

// ErrNotOneRow is returned by [ExecOne], or for its event when it is found out
// later.
var ErrNotOneRow = errors.New("the statement should have changed one row")

func notOneRow(rows int64) error { return fmt.Errorf("%w, not %d", ErrNotOneRow, rows) }

// ExecOne executes a statement that changes exactly one row: an update of
// something that an earlier event has made. Any other number is [ErrNotOneRow].
// Unlike a look at RowsAffected it need not wait for the statement: the error may
// come to light after the handler has returned, and then counts as the handler's.
func ExecOne(ctx context.Context, tx Tx, query string, args ...any) error {
	if p, ok := tx.(*pipeline); ok && !p.direct && !p.prepared {
		return p.execOne(ctx, query, args)
	}
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	rows, err := result.RowsAffected()
	if err == nil && rows != 1 {
		err = notOneRow(rows)
	}
	return err
}
