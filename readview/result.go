package readview

import (
	"context"
	"errors"
	"fmt"
)

// queuedResult is the result of a statement that may not have been sent yet.
type queuedResult struct {
	tx    *eventTx
	query string
	rows  int64 // notKnown at first
}

const notKnown = -1

// newResult takes one of a slice that is made now and then: there are as many as
// statements.
func (p *pipeline) newResult(tx *eventTx, query string) *queuedResult {
	if len(p.results) == cap(p.results) {
		p.results = make([]queuedResult, 0, 256)
	}
	p.results = append(p.results, queuedResult{tx: tx, query: query, rows: notKnown})
	return &p.results[len(p.results)-1]
}

// RowsAffected implements [sql.Result]. It sends the queue if need be.
func (r *queuedResult) RowsAffected() (int64, error) {
	p := r.tx.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.rows == notKnown && !r.tx.over && !p.dead {
		if err := p.ask(); err != nil {
			return 0, err
		}
		if r.rows == notKnown { // it went with others: not again
			p.counted.Store(r.query, true)
			p.fail(r.tx.event, errTogether)
			return 0, errTogether
		}
	}
	if r.rows == notKnown {
		return 0, errNotKnown
	}
	return r.rows, nil
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
	if t, ok := tx.(*eventTx); ok {
		if queued, err := t.execOne(ctx, query, args); queued || err != nil {
			return err
		}
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

// execOne queues the statement if it can be.
func (t *eventTx) execOne(ctx context.Context, query string, args []any) (queued bool, err error) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if err := t.ready(query); err != nil {
		return false, err
	}
	return t.p.add(ctx, query, args, statement{event: t.event, one: true}, t.done)
}
