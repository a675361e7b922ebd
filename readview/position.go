package readview

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// PositionStore keeps how far each projection is, beside its tables and in the
// same transaction. That is what makes every event count exactly once: whoever
// applies a page holds the projection's lock, has compared the position with the
// page's, and sets it with the page's writes or not at all.
type PositionStore interface {
	// Lock reads the checkpoint of the projection name and keeps everybody else
	// from doing so until tx ends.
	Lock(ctx context.Context, tx Tx, name string) (Checkpoint, error)

	// Advance sets the position. It is called after Lock in the same tx. That there
	// is no such projection is an error.
	Advance(ctx context.Context, tx Tx, name string, to eventsourced.Position) error
}

// Checkpoint is what must not have changed since a page was read.
type Checkpoint struct {
	Position   eventsourced.Position // everything up to it is applied
	Generation int64                 // changes with every reset
	Running    bool                  // neither paused nor failed nor ahead of the log
}

// positions is the [PositionStore] on the tables readviews and readview_states.
type positions struct {
	tables      *tables
	idleTimeout time.Duration
}

// Lock implements [PositionStore]. It also lets the server end the transaction
// when its client falls silent. The state is read by a statement of its own, after the
// lock was granted: a single one would see it as it was before the wait. Whoever
// changes it holds the same lock.
func (p positions) Lock(ctx context.Context, tx Tx, name string) (Checkpoint, error) {
	sql, err := p.tables.sql(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	var at Checkpoint
	var setting string
	err = queryRows(ctx, tx,
		pipeline.Query{SQL: sql.lock, Args: []any{name}, Into: []any{(*int64)(&at.Position)}},
		pipeline.Query{SQL: sql.state, Args: []any{name, strconv.FormatInt(p.idleTimeout.Milliseconds(), 10)}, Into: []any{&at.Generation, &at.Running, &setting}})
	return at, err
}

// Advance implements [PositionStore]. Whether there was a row to change is found out by
// the server, so that nobody has to wait for the answer.
func (p positions) Advance(ctx context.Context, tx Tx, name string, to eventsourced.Position) error {
	sql, err := p.tables.sql(ctx)
	if err != nil {
		return err
	}
	if _, err = tx.ExecContext(ctx, sql.advance, name, int64(to)); err != nil {
		return fmt.Errorf("advance the position of %s: %w", name, err)
	}
	return nil
}

// queryRows makes queries, in one round trip where tx can.
func queryRows(ctx context.Context, tx Tx, queries ...pipeline.Query) error {
	if turn, ok := tx.(*pipeline.Turn); ok {
		return turn.QueryRows(queries...)
	}
	for _, q := range queries {
		if err := tx.QueryRowContext(ctx, q.SQL, q.Args...).Scan(q.Into...); err != nil {
			return err
		}
	}
	return nil
}
