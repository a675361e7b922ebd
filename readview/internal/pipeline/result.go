package pipeline

import "context"

// Result is the result of a statement that may not have been sent yet.
type Result struct {
	turn  *Turn
	query string
	rows  int64 // notKnown at first
}

const notKnown = -1

// newResult takes one of a slice that is made now and then: there are as many as
// statements.
func (tx *Tx) newResult(t *Turn, query string) *Result {
	if len(tx.results) == cap(tx.results) {
		tx.results = make([]Result, 0, 256)
	}
	tx.results = append(tx.results, Result{turn: t, query: query, rows: notKnown})
	return &tx.results[len(tx.results)-1]
}

// RowsAffected implements [sql.Result]. It sends what is queued, and waits, if need be: that
// is one round trip, in which all that was queued before is executed as well.
func (r *Result) RowsAffected() (int64, error) {
	tx := r.turn.tx
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if r.rows == notKnown && r.turn.stage != over && !tx.gone() {
		if err := tx.flush(); err != nil {
			return 0, err
		}
		if r.rows == notKnown { // it went with others: not again
			tx.db.counted.Store(r.query, true)
			tx.fail(r.turn.event, ErrTogether)
			return 0, ErrTogether
		}
	}
	if r.rows == notKnown {
		return 0, errNotKnown
	}
	return r.rows, nil
}

// LastInsertId implements [sql.Result].
func (r *Result) LastInsertId() (int64, error) {
	if _, err := r.RowsAffected(); err != nil {
		return 0, err
	}
	return 0, errNoInserts
}

// Exec executes a statement whose result nobody looks at.
func (t *Turn) Exec(ctx context.Context, query string, args ...any) error {
	queued, err := t.queue(ctx, query, args, statement{event: t.event})
	if !queued && err == nil {
		_, err = t.ExecContext(ctx, query, args...)
	}
	return err
}

// ExecOne executes a statement that has to change one row, otherwise it fails with
// [ErrNotOneRow]: at once, or at its turn when it is found out later.
func (t *Turn) ExecOne(ctx context.Context, query string, args ...any) error {
	if queued, err := t.queue(ctx, query, args, statement{event: t.event, one: true}); queued || err != nil {
		return err
	}
	result, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	rows, err := result.RowsAffected()
	if err == nil && rows != 1 {
		t.tx.mu.Lock()
		defer t.tx.mu.Unlock()
		err = t.failed(query, NotOneRow(rows))
	}
	return err
}

// queue queues a statement if it can be.
func (t *Turn) queue(ctx context.Context, query string, args []any, s statement) (queued bool, err error) {
	t.tx.mu.Lock()
	defer t.tx.mu.Unlock()
	if err := t.ready(query); err != nil {
		return false, err
	}
	return t.tx.add(ctx, t, query, args, s)
}
