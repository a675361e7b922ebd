package reactor

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// ParkedEvent is an event that a reactor put aside, or has skipped.
type ParkedEvent struct {
	Position  eventsourced.Position
	EventID   eventsourced.EventID
	EventName string
	Stream    eventsourced.Stream
	Error     string    // of the last try; "" for one that waits for earlier ones of its stream
	Tries     int       // 0 for one that waits
	ParkedAt  time.Time // or tried last, or skipped
	Due       bool      // somebody has resumed it, and it is about to be tried
}

const (
	parkedColumns    = `position, event_id, event_name, aggregate_name, aggregate_id, coalesce(error, ''), tries, `
	listSQL          = `SELECT ` + parkedColumns + `parked_at, due FROM {schema}parked_events WHERE name = $1 ORDER BY position`
	skippedSQL       = `SELECT ` + parkedColumns + `skipped_at, false FROM {schema}reactor_skipped WHERE name = $1 ORDER BY position`
	countSQL         = `SELECT count(*) FROM {schema}parked_events WHERE name = $1`
	parkedStreamsSQL = `SELECT aggregate_name, aggregate_id, count(*) FROM {schema}parked_events WHERE name = $1 GROUP BY 1, 2`
	// The first one of each stream.
	dueSQL = `SELECT ` + parkedColumns + `parked_at, due FROM {schema}parked_events p WHERE name = $1 AND due AND NOT EXISTS
		(SELECT FROM {schema}parked_events e WHERE e.name = p.name AND e.aggregate_name = p.aggregate_name
			AND e.aggregate_id = p.aggregate_id AND e.position < p.position)
		ORDER BY position LIMIT $2`

	lockSQL         = `SELECT FROM {schema}consumers WHERE name = $1 AND topic = '$reactor' FOR UPDATE`
	resumeAllSQL    = `UPDATE {schema}parked_events SET due = true WHERE name = $1`
	resumeStreamSQL = resumeAllSQL + ` AND aggregate_name = $2 AND aggregate_id = $3`
	resumeEventSQL  = `UPDATE {schema}parked_events p SET due = true FROM {schema}parked_events e WHERE p.name = $1 AND e.name = $1 AND e.event_id = $2
		AND p.aggregate_name = e.aggregate_name AND p.aggregate_id = e.aggregate_id AND p.position <= e.position`
	giveUpSQL = `WITH gone AS (DELETE FROM {schema}parked_events WHERE name = $1 AND event_id = $2 RETURNING *)
		INSERT INTO {schema}reactor_skipped (name, position, event_id, event_name, aggregate_name, aggregate_id, error, tries)
		SELECT name, position, event_id, event_name, aggregate_name, aggregate_id, $3 || coalesce(': ' || error, ''), tries FROM gone`
)

// duePage is how many parked events are tried again at the same time at most.
const duePage = 100

// Parking is where a reactor's parked and skipped events are, for those who look after them,
// in whichever process. It is safe for concurrent use.
type Parking struct {
	store *consumer.Store
	name  string
}

// NewParking returns the parking of the reactor of a name, whose tables are where store is. It panics
// when store is nil.
func NewParking(store *consumer.Store, name string) Parking {
	if store == nil {
		panic("reactor.NewParking: the store is nil")
	}
	return Parking{store, name}
}

// Parked returns the events that were put aside, in the order of the log.
func (p Parking) Parked(ctx context.Context) ([]ParkedEvent, error) { return p.list(ctx, listSQL) }

// Skipped returns the events that were not handled because a reaction, or somebody, decided
// so, in the order of the log: the last ten thousand.
func (p Parking) Skipped(ctx context.Context) ([]ParkedEvent, error) { return p.list(ctx, skippedSQL) }

// ResumeAll has all parked events tried again, each stream's in order, up to the first one of
// each that fails again. Each is tried once. It returns how many there are.
func (p Parking) ResumeAll(ctx context.Context) (int64, error) {
	return p.change(ctx, "resume", nil, "resume the parked events of", resumeAllSQL)
}

// ResumeStream is ResumeAll for one stream. It returns [ErrNotParked] when it has none.
func (p Parking) ResumeStream(ctx context.Context, stream eventsourced.Stream) (int64, error) {
	n, err := p.change(ctx, "resume", map[string]string{"stream": stream.String()}, "resume the parked events of "+stream.String()+" of", resumeStreamSQL, stream.AggregateName, stream.AggregateID)
	return n, orNotParked(n, err, stream)
}

// ResumeEvent is ResumeAll for one event, and those of its stream that are parked before it. It
// returns [ErrNotParked] when it is not parked.
func (p Parking) ResumeEvent(ctx context.Context, id eventsourced.EventID) (int64, error) {
	n, err := p.change(ctx, "resume", map[string]string{"event": id.String()}, "resume a parked event of", resumeEventSQL, [16]byte(id))
	return n, orNotParked(n, err, id)
}

// Skip gives a parked event up: it is not handled, and is on record as skipped, with the reason.
// Those behind it wait until they are resumed. It returns [ErrNotParked] when it is not parked.
func (p Parking) Skip(ctx context.Context, id eventsourced.EventID, reason string) error {
	n, err := p.change(ctx, "skip", map[string]string{"event": id.String(), "reason": reason}, "skip a parked event of", giveUpSQL, [16]byte(id), pgerr.Text(reason))
	return orNotParked(n, err, id)
}

func orNotParked(n int64, err error, what fmt.Stringer) error {
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", what, ErrNotParked)
	}
	return err
}

// change changes rows while nobody parks events, as the operator log says.
func (p Parking) change(ctx context.Context, command string, asked map[string]string, what, sql string, arguments ...any) (n int64, err error) {
	id := consumer.ID{Kind: consumer.KindReactor, Name: p.name}
	err = p.store.Operate(ctx, id, command, asked, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, p.store.Qualify(lockSQL), p.name); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, p.store.Qualify(sql), append([]any{p.name}, arguments...)...)
		if n = tag.RowsAffected(); err == nil && n == 0 && asked != nil {
			err = ErrNotParked
		}
		return err
	})
	return n, p.store.Explain(what+" reactor "+p.name, err)
}

func (p Parking) list(ctx context.Context, sql string, arguments ...any) ([]ParkedEvent, error) {
	rows, err := p.store.Pool().Query(ctx, p.store.Qualify(sql), append([]any{p.name}, arguments...)...)
	if err != nil {
		return nil, p.store.Explain("read the parked events of reactor "+p.name, err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e ParkedEvent, err error) {
		err = row.Scan((*int64)(&e.Position), (*[16]byte)(&e.EventID), &e.EventName, &e.Stream.AggregateName, &e.Stream.AggregateID,
			&e.Error, &e.Tries, &e.ParkedAt, &e.Due)
		return e, err
	})
	return events, p.store.Explain("read the parked events of reactor "+p.name, err)
}

func (p Parking) count(ctx context.Context) (n int64, err error) {
	err = p.store.Pool().QueryRow(ctx, p.store.Qualify(countSQL), p.name).Scan(&n)
	return n, p.store.Explain("count the parked events of reactor "+p.name, err)
}

// retryParked has the parked events tried that somebody has resumed: of each stream the first
// one. With no concurrency nothing else is handled meanwhile.
func (w *window) retryParked(ctx context.Context) error {
	due, err := w.r.parking.list(ctx, dueSQL, duePage)
	if err != nil {
		return err
	}
	for _, parked := range due {
		if w.again[parked.Position] != nil || len(w.again) >= duePage {
			continue
		}
		events, err := w.r.eventsAt(ctx, parked.Position)
		if err != nil {
			return err
		}
		u := &unit{parts: events, parked: &parked}
		w.again[parked.Position] = u
		if len(events) == 0 || events[0].ID != parked.EventID { // the log was restored, or is another one
			u.parts = []eventsourced.Recorded{{
				Position: parked.Position, Stream: parked.Stream, EventData: eventsourced.EventData{ID: parked.EventID, Name: parked.EventName},
			}}
			u.became, u.err, u.tries = aside, errMissing, 1
			w.r.logger(u.event()).ErrorContext(ctx, "parked event not tried again", "error", errMissing)
			w.ended <- u
		} else {
			w.start(u)
		}
		for w.limit() == 1 && w.again[parked.Position] != nil {
			if err := w.await(ctx); err != nil {
				return err
			}
		}
	}
	return w.settle(ctx)
}

// eventsAt returns what the log has at a position.
func (r *Reactor) eventsAt(ctx context.Context, at eventsourced.Position) (events []eventsourced.Recorded, err error) {
	query := eventsourced.LogQuery{After: at - 1, UpTo: at, Names: r.names}
	for event, err := range r.log.ReadLog(ctx, query) {
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		events = append(events, event)
	}
	return events, nil
}
