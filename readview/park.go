package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// behind are the streams of a page of which earlier events are parked, and how many events
// are.
type behind struct {
	streams map[eventsourced.Stream]bool
	parked  int64
}

func (b behind) has(it *item) bool { return b.streams[it.recorded.Stream] }

// behind asks which streams of the items [from, to) have parked events, if any have. The
// page's lock is held: whoever parks or retries has to wait for it.
func (a *applier) behind(ctx context.Context, own *pipeline.Turn, p *page, from, to int, parked int64) (behind, error) {
	if parked == 0 {
		return behind{}, nil
	}
	statements, err := a.m.states.sql(ctx)
	if err != nil {
		return behind{}, err
	}
	seen := map[eventsourced.Stream]bool{}
	var names, ids []string
	for i := from; i < to; i++ {
		if stream := p.items[i].recorded.Stream; !seen[stream] {
			seen[stream] = true
			names, ids = append(names, stream.AggregateName), append(ids, stream.AggregateID)
		}
	}
	if len(seen) == 0 {
		return behind{}, nil
	}
	rows, err := own.QueryContext(ctx, statements.parkedStreams, a.Name, names, ids)
	if err != nil {
		return behind{}, fmt.Errorf("read the parked events of %s: %w", a.Name, err)
	}
	defer func() { _ = rows.Close() }()
	found := behind{streams: map[eventsourced.Stream]bool{}, parked: parked}
	for rows.Next() {
		var stream eventsourced.Stream
		if err := rows.Scan(&stream.AggregateName, &stream.AggregateID); err != nil {
			return behind{}, err
		}
		found.streams[stream] = true
	}
	return found, rows.Err()
}

// parkBehind puts an event aside in a page, as earlier ones of its stream are.
func (a *applier) parkBehind(ctx context.Context, tx *pipeline.Tx, p *page, i int, behind *behind) error {
	if behind.parked >= int64(a.m.config.MaxParked) {
		return errTooMany
	}
	behind.parked++
	statements, err := a.m.states.sql(ctx)
	if err != nil {
		return err
	}
	e := &p.items[i].recorded
	_, err = tx.Turn(ctx, pipeline.NoEvent).ExecContext(ctx, statements.parkBehind, append(a.identity(e), a.kept(p, e.Position))...)
	return err
}

// identity are the first columns of a parked or skipped event.
func (a *applier) identity(e *eventsourced.Recorded) []any {
	return []any{a.Name, int64(e.Position), e.ID.String(), e.Name, e.Stream.AggregateName, e.Stream.AggregateID}
}

// park puts an event aside that has failed, if that is the projection's policy and the event
// may be to blame, and tells whether it did. It returns errTooMany when no more are, and
// errStale when the projection does not stand there any more.
func (a *applier) park(ctx context.Context, p *page, failed *EventError, failure *consumer.Failure) (bool, error) {
	if errors.Is(failed, errTooMany) {
		return false, nil // and stops there
	}
	if a.OnFailure != ParkFailures || a.databaseFault(ctx, failed) {
		return false, nil
	}
	err := a.m.states.locked(ctx, a.definition, func(tx *sql.Tx, statements *statements, position eventsourced.Position) error {
		var at checkpoint
		var parked int64
		var setting string
		err := tx.QueryRowContext(ctx, statements.state, a.Name, a.m.config.idleSetting()).Scan(&at.Generation, &at.Running, &parked, &setting)
		switch {
		case err != nil:
			return err
		case !at.Running || at.Generation != p.generation || position >= failure.Position || p.skips(position, failure.Position):
			return errStale
		case parked >= int64(a.m.config.MaxParked):
			return errTooMany
		}
		return a.putAside(ctx, tx, statements, &failed.Event, failure, a.kept(p, failure.Position), "", "")
	})
	return err == nil, err
}

// skips tells that the page has an event between two positions.
func (p *page) skips(from, to eventsourced.Position) bool {
	for i := range p.items {
		if at := p.items[i].recorded.Position; at > from && at < to {
			return true
		}
	}
	return false
}

// putAside parks an event and moves the position past it. There is a reason if somebody has it parked.
func (a *applier) putAside(ctx context.Context, tx *sql.Tx, statements *statements, e *eventsourced.Recorded, failure *consumer.Failure, kept *string, reason, actor string) error {
	_, err := tx.ExecContext(ctx, statements.park, append(a.identity(e),
		pgerr.Text(failure.Error), orNull(failure.Stack), orNull(failure.Statement), failure.Attempts, kept, orNull(pgerr.Text(reason)), orNull(pgerr.Text(actor)))...)
	if err == nil {
		err = a.m.states.set(ctx, tx, a.Name, e.Position)
	}
	return err
}

// databaseFault tells of the error of an event whether it may well be the database's, or is
// about the tables and so about all events: whatever else is wrong with the event, it is not
// parked for that.
func (a *applier) databaseFault(ctx context.Context, failed *EventError) bool {
	switch {
	case errors.Is(failed.Err, errSlow), errors.Is(failed.Err, errLate): // by itself the event takes too long
		return false
	case pgerr.Lost(failed.Err), pgerr.Canceled(failed.Err), pgerr.Retryable(failed.Err):
		return true
	case pgerr.Denied(failed.Err), pgerr.Undefined(failed.Err) && a.m.missingTables(ctx, a.definition) != nil:
		return true
	}
	return pgerr.OfServer(failed.Err)
}
