package reactor

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// ParkedEvent is an event that a reactor put aside.
type ParkedEvent struct {
	Position  eventsourced.Position
	EventID   eventsourced.EventID
	EventName string
	Error     string // of the last attempt
	ParkedAt  time.Time
}

const (
	parkSQL = `INSERT INTO {schema}parked_events (name, position, event_id, event_name, error) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name, position) DO UPDATE SET error = EXCLUDED.error, parked_at = now(), due = false`
	unparkSQL = `DELETE FROM {schema}parked_events WHERE name = $1 AND position = $2`
	listSQL   = `SELECT position, event_id, event_name, error, parked_at FROM {schema}parked_events
		WHERE name = $1 AND (due OR NOT $2) ORDER BY position`
	retrySQL = `UPDATE {schema}parked_events SET due = true WHERE name = $1`
)

// parks are the events that a reactor has put aside.
type parks struct {
	store   *consumer.Store
	reactor string
}

func (p parks) park(ctx context.Context, event eventsourced.Recorded, cause error) error {
	return p.exec(ctx, "park an event of", parkSQL, int64(event.Position), [16]byte(event.ID), event.Name, pgerr.Text(cause.Error()))
}

func (p parks) unpark(ctx context.Context, position eventsourced.Position) error {
	return p.exec(ctx, "unpark an event of", unparkSQL, int64(position))
}

// retry has all of them tried again.
func (p parks) retry(ctx context.Context) error {
	return p.exec(ctx, "retry the parked events of", retrySQL)
}

// list returns them, or those to be tried again.
func (p parks) list(ctx context.Context, dueOnly bool) ([]ParkedEvent, error) {
	rows, err := p.store.Pool().Query(ctx, p.store.Qualify(listSQL), p.reactor, dueOnly)
	if err != nil {
		return nil, p.store.Explain("read the parked events of reactor "+p.reactor, err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (event ParkedEvent, err error) {
		err = row.Scan((*int64)(&event.Position), (*[16]byte)(&event.EventID), &event.EventName, &event.Error, &event.ParkedAt)
		return event, err
	})
	return events, p.store.Explain("read the parked events of reactor "+p.reactor, err)
}

func (p parks) exec(ctx context.Context, what, sql string, arguments ...any) error {
	_, err := p.store.Pool().Exec(ctx, p.store.Qualify(sql), append([]any{p.reactor}, arguments...)...)
	return p.store.Explain(what+" reactor "+p.reactor, err)
}

// retryParked tries the parked events that Resume has marked, once each.
func (r *Reactor) retryParked(ctx context.Context) error {
	due, err := r.parks.list(ctx, true)
	if err != nil {
		return err
	}
	for _, parked := range due {
		event, found, err := consumer.EventAt(ctx, r.log, parked.Position)
		switch {
		case err != nil:
		case !found || event.ID != parked.EventID: // the log was restored, or is another one
			err = r.parkMissing(ctx, parked)
		default:
			err = r.retry(ctx, event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parkMissing has it on record that a parked event can't be tried.
func (r *Reactor) parkMissing(ctx context.Context, parked ParkedEvent) error {
	r.follower.Logger().ErrorContext(ctx, "parked event not tried again", "event_id", parked.EventID.String(), "event_name", parked.EventName,
		"position", int64(parked.Position), "error", errMissing)
	event := eventsourced.Recorded{Position: parked.Position, EventData: eventsourced.EventData{ID: parked.EventID, Name: parked.EventName}}
	return consumer.Detached(ctx, func(ctx context.Context) error { return r.parks.park(ctx, event, errMissing) })
}

func (r *Reactor) retry(ctx context.Context, event eventsourced.Recorded) error {
	cause := r.call(ctx, event)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return consumer.Detached(ctx, func(ctx context.Context) error {
		if cause != nil {
			return r.parks.park(ctx, event, cause)
		}
		return r.parks.unpark(ctx, event.Position)
	})
}
