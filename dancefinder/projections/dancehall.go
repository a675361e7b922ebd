package projections

import (
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/readview"
)

var danceHall = readview.Projection{
	Name: "dancehall",
	Handlers: readview.Handlers{
		readview.On(handleDanceHallCreated), readview.On(handleDanceHallUpdated), readview.On(handleDanceHallDeleted),
		readview.On(handleDanceHallGeocoded),
	},
	Reset:  resetDanceHall,
	Tables: []string{"dance_hall"},
}

var resetDanceHall = readview.Truncate("dance_hall")

// handleDanceHallCreated also takes over the row of a hall that has the name and
// the place under another id; its coordinates stay.
func handleDanceHallCreated(ctx context.Context, tx readview.Tx, event *domain.DanceHallCreated) error {
	_, err := tx.ExecContext(ctx, `
		DELETE FROM dance_hall
		WHERE id = $1 AND (name <> $2 OR city <> $3 OR municipality <> $4 OR state <> $5)`,
		event.EventAggregateId, event.Name, event.City, event.Municipality, event.State)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO dance_hall (id, name, city, municipality, state, created)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name, city, municipality, state) DO UPDATE
		SET id = EXCLUDED.id, created = EXCLUDED.created`,
		event.EventAggregateId, event.Name, event.City, event.Municipality, event.State, event.EventTime)
	return err
}

// handleDanceHallUpdated changes nothing where another hall has taken over the row.
func handleDanceHallUpdated(ctx context.Context, tx readview.Tx, event *domain.DanceHallUpdated) error {
	_, err := tx.ExecContext(ctx, `
		DELETE FROM dance_hall
		WHERE name = $2 AND city = $3 AND municipality = $4 AND state = $5 AND id <> $1`,
		event.EventAggregateId, event.Name, event.City, event.Municipality, event.State)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE dance_hall
		SET name = $2, city = $3, municipality = $4, state = $5
		WHERE id = $1`,
		event.EventAggregateId, event.Name, event.City, event.Municipality, event.State)
	return err
}

func handleDanceHallDeleted(ctx context.Context, tx readview.Tx, event *domain.DanceHallDeleted) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM dance_hall WHERE id = $1`, event.EventAggregateId)
	return err
}

// handleDanceHallGeocoded fails without the hall's row: its creation comes first
// in the same stream.
func handleDanceHallGeocoded(ctx context.Context, tx readview.Tx, event *domain.DanceHallGeocoded) error {
	return readview.ExecOne(ctx, tx, `
		UPDATE dance_hall
		SET latitude = $1, longitude = $2
		WHERE id = $3`,
		event.Latitude, event.Longitude, event.EventAggregateId)
}
