package readview

import (
	"context"
	"strconv"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// PositionStore keeps how far each projection is, beside its tables and in the
// same transaction. That is what makes every event count exactly once: whoever
// applies a page holds the projection's lock, has compared the position with the
// page's, and sets it with the page's writes or not at all.
type PositionStore interface {
	// Lock reads the checkpoint of the projection name and keeps everybody else
	// from doing so until tx ends.
	Lock(ctx context.Context, tx Tx, name string) (Checkpoint, error)

	// Advance sets the position. It is called after Lock in the same tx.
	Advance(ctx context.Context, tx Tx, name string, to eventsourced.Position) error
}

// Checkpoint is what must not have changed since a page was read.
type Checkpoint struct {
	Position   eventsourced.Position // everything up to it is applied
	Generation int64                 // changes with every reset
	Running    bool                  // neither paused nor failed
}

// positions is the [PositionStore] on the tables readviews and readview_states.
type positions struct {
	idleTimeout time.Duration
}

// The state is read by a statement of its own, after the lock was granted: a
// single one would see it as it was before the wait. Whoever changes it holds the
// same lock.
const (
	lockSQL    = `SELECT position FROM readviews WHERE name = $1 FOR UPDATE`
	stateSQL   = `SELECT generation, status = 'running', set_config('idle_in_transaction_session_timeout', $2, true) FROM readview_states WHERE name = $1`
	advanceSQL = `UPDATE readviews SET position = $2 WHERE name = $1`
)

// Lock implements [PositionStore]. It also lets the server end the transaction
// when its client falls silent.
func (p positions) Lock(ctx context.Context, tx Tx, name string) (Checkpoint, error) {
	var at Checkpoint
	var setting string
	err := queryRows(ctx, tx,
		rowQuery{lockSQL, []any{name}, []any{(*int64)(&at.Position)}},
		rowQuery{stateSQL, []any{name, strconv.FormatInt(p.idleTimeout.Milliseconds(), 10)}, []any{&at.Generation, &at.Running, &setting}})
	return at, err
}

// Advance implements [PositionStore].
func (positions) Advance(ctx context.Context, tx Tx, name string, to eventsourced.Position) error {
	_, err := tx.ExecContext(ctx, advanceSQL, name, int64(to))
	return err
}
