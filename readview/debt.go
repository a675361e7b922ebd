package readview

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// OnFailure says what a projection does about an event that it can't apply.
type OnFailure int

const (
	// StopAtFailure stops the projection at the event, until [Manager.Resume] or a restart of
	// the process. No event is applied before those before it are.
	StopAtFailure OnFailure = iota

	// ParkFailures puts the event aside, with its error, and the later events of its stream
	// behind it, and goes on with other streams, until [Manager.Retry]. Read views whose rows
	// are each of one stream want this. What is the fault of the database is no event's: then
	// the projection waits or stops, and nothing is parked.
	ParkFailures
)

// ParkedEvent is an event that was put aside, with those of its stream after it.
type ParkedEvent struct {
	Position  eventsourced.Position
	EventID   eventsourced.EventID
	EventName string
	Stream    eventsourced.Stream
	Error     string    // of the last try; "" for one that waits for earlier ones of its stream
	Stack     string    // of a panic
	Statement string    // that the handler failed with, if its error is of the database
	Tries     int       // 0 for one that waits
	Reason    string    // why somebody has parked it; "" for one that waits, or that the projection's policy has parked
	Actor     string    // by whom; likewise
	ParkedAt  time.Time // or tried last
}

// SkippedEvent is an event that somebody has decided not to have applied.
type SkippedEvent struct {
	Position  eventsourced.Position
	EventID   eventsourced.EventID
	EventName string
	Stream    eventsourced.Stream
	Error     string // what it had failed with
	Reason    string // why it was skipped
	Actor     string // by whom
	SkippedAt time.Time
}

// debt fills in the statements about parked and skipped events.
func (sql *statements) debt(r func(string) string) {
	columns := `(name, position, event_id, event_name, aggregate_name, aggregate_id, `
	sql.park = r(`WITH put AS (INSERT INTO {parked} ` + columns + `error, stack, statement, tries, recorded, reason, actor)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13))
		UPDATE {states} SET parked = parked + 1, status = CASE status WHEN 'paused' THEN 'paused' ELSE 'running' END, {no failure} WHERE name = $1`)
	sql.parkBehind = r(`WITH put AS (INSERT INTO {parked} ` + columns + `recorded) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING name)
		UPDATE {states} SET parked = parked + (SELECT count(*) FROM put) WHERE name = $1`)
	sql.parkedStreams = r(`SELECT DISTINCT aggregate_name, aggregate_id FROM {parked}
		WHERE name = $1 AND (aggregate_name, aggregate_id) IN (SELECT * FROM unnest($2::text[], $3::text[]))`)
	sql.parked = r(`SELECT position, event_id, event_name, aggregate_name, aggregate_id, coalesce(error, ''), coalesce(stack, ''),
			coalesce(statement, ''), tries, parked_at, coalesce(reason, ''), coalesce(actor, '') FROM {parked} WHERE name = $1 ORDER BY position`)
	// It fails when the event is not parked.
	sql.unpark = r(`WITH gone AS (DELETE FROM {parked} WHERE name = $1 AND position = $2 RETURNING name)
		UPDATE {states} SET parked = parked - (SELECT 1 / count(*) FROM gone) WHERE name = $1`)
	sql.parkAgain = r(`UPDATE {parked} SET error = $3, stack = $4, statement = $5, tries = tries + 1, parked_at = clock_timestamp() WHERE name = $1 AND position = $2`)
	sql.skip = r(`WITH put AS (INSERT INTO {skipped} ` + columns + `error, reason, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9))
		UPDATE {states} SET skipped = skipped + 1, status = CASE status WHEN 'paused' THEN 'paused' ELSE 'running' END, {no failure} WHERE name = $1`)
	sql.skipParked = r(`WITH gone AS (DELETE FROM {parked} WHERE name = $1 AND position = $2 RETURNING *),
			put AS (INSERT INTO {skipped} ` + columns + `error, reason, actor)
				SELECT name, position, event_id, event_name, aggregate_name, aggregate_id, coalesce(error, ''), $3, $4 FROM gone)
		UPDATE {states} SET parked = parked - 1, skipped = skipped + 1 WHERE name = $1 AND EXISTS (SELECT FROM gone)`)
	sql.skipped = r(`SELECT position, event_id, event_name, aggregate_name, aggregate_id, error, reason, actor, skipped_at
		FROM {skipped} WHERE name = $1 ORDER BY position`)
	sql.standing = r(`SELECT generation, CASE WHEN status <> 'running' THEN failed_position END, EXISTS (SELECT FROM {parked} p WHERE p.name = s.name AND p.position = $2) FROM {states} s WHERE s.name = $1`)
	sql.clearDebt = r(`WITH parked AS (DELETE FROM {parked} WHERE name = $1), skipped AS (DELETE FROM {skipped} WHERE name = $1)
		UPDATE {states} SET parked = 0, skipped = 0 WHERE name = $1`)
	sql.recorded = r(`SELECT p.recorded FROM {parked} p WHERE p.name = $1 AND p.position = $2
		UNION ALL SELECT s.failed_recorded FROM {states} s WHERE s.name = $1 AND s.failed_position = $2`)
}

// clearDebt forgets what was skipped or is parked: the projection is about to apply all events
// again, or has. Its lock is held.
func (s states) clearDebt(ctx context.Context, tx Tx, name string) error {
	sql, err := s.sql(ctx)
	if err == nil {
		_, err = tx.ExecContext(ctx, sql.clearDebt, name)
	}
	return err
}

// Parked returns the events of a projection that were put aside, in the order of the log.
func (m *Manager) Parked(ctx context.Context, name string) ([]ParkedEvent, error) {
	return debts(ctx, m, name, "parked", func(sql *statements) string { return sql.parked }, func(row pgx.CollectableRow) (e ParkedEvent, err error) {
		err = row.Scan((*int64)(&e.Position), (*[16]byte)(&e.EventID), &e.EventName, &e.Stream.AggregateName, &e.Stream.AggregateID,
			&e.Error, &e.Stack, &e.Statement, &e.Tries, &e.ParkedAt, &e.Reason, &e.Actor)
		e.ParkedAt = e.ParkedAt.UTC()
		return e, err
	})
}

// Skipped returns the events that somebody has decided that a projection does not apply, in
// the order of the log. A reset forgets them, as it tries all; a rebuild those that it has applied.
func (m *Manager) Skipped(ctx context.Context, name string) ([]SkippedEvent, error) {
	return debts(ctx, m, name, "skipped", func(sql *statements) string { return sql.skipped }, func(row pgx.CollectableRow) (e SkippedEvent, err error) {
		err = row.Scan((*int64)(&e.Position), (*[16]byte)(&e.EventID), &e.EventName, &e.Stream.AggregateName, &e.Stream.AggregateID,
			&e.Error, &e.Reason, &e.Actor, &e.SkippedAt)
		e.SkippedAt = e.SkippedAt.UTC()
		return e, err
	})
}

func debts[E any](ctx context.Context, m *Manager, name, what string, query func(*statements) string, scan pgx.RowToFunc[E]) ([]E, error) {
	if _, err := m.runner(name); err != nil {
		return nil, err
	}
	sql, err := m.states.sql(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := m.pool.Query(ctx, query(sql), name)
	if err == nil {
		var all []E
		if all, err = pgx.CollectRows(rows, scan); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("read the %s events of %s: %w", what, name, explain(err))
}
