package projections

import (
	"context"
	"database/sql"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/readview"
)

var event = readview.Projection{
	Name: "event",
	Handlers: readview.Handlers{
		readview.On(handleEventCreated),
		readview.On(handleEventUpdated),
		readview.On(handleEventDeleted),
	},
	Reset:  resetEvent,
	Tables: []string{"event"},
}

var resetEvent = readview.Truncate("event")

// handleEventCreated leaves the date of an update that a row has had already, as an adopted
// one has: the event that says so follows.
func handleEventCreated(ctx context.Context, tx readview.Tx, event *domain.EventCreated) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO event (id, event_date, start_time, end_time, extra_info, band_id, dance_hall_id, created, updated)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
		ON CONFLICT (id) DO UPDATE
		SET event_date = EXCLUDED.event_date, start_time = EXCLUDED.start_time, end_time = EXCLUDED.end_time,
			extra_info = EXCLUDED.extra_info, band_id = EXCLUDED.band_id, dance_hall_id = EXCLUDED.dance_hall_id,
			created = EXCLUDED.created, updated = greatest(event.updated, EXCLUDED.updated)`,
		event.EventAggregateId, event.Date, clock(event.StartTime), clock(event.EndTime), event.ExtraInfo,
		event.BandID, event.DanceHallID, event.EventTime)
	return err
}

// handleEventUpdated fails without the dance's row: its creation comes first in
// the same stream.
func handleEventUpdated(ctx context.Context, tx readview.Tx, event *domain.EventUpdated) error {
	return readview.ExecOne(ctx, tx, `
		UPDATE event
		SET event_date = $2, start_time = $3, end_time = $4, extra_info = $5, band_id = $6, dance_hall_id = $7, updated = $8
		WHERE id = $1`,
		event.EventAggregateId, event.Date, clock(event.StartTime), clock(event.EndTime), event.ExtraInfo,
		event.BandID, event.DanceHallID, event.EventTime)
}

func handleEventDeleted(ctx context.Context, tx readview.Tx, event *domain.EventDeleted) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM event WHERE id = $1`, event.EventAggregateId)
	return err
}

// clock returns a time of day, NULL when it is not known.
func clock(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }
