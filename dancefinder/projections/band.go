package projections

import (
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/readview"
)

var band = readview.Projection{
	Name:     "band",
	Handlers: readview.Handlers{readview.On(handleBandCreated), readview.On(handleBandRenamed), readview.On(handleBandDeleted)},
	Reset:    resetBand,
	Tables:   []string{"band"},
}

var resetBand = readview.Truncate("band")

// handleBandCreated also takes over the row of a band that has the name under
// another id, as a database from before event sourcing may have it.
func handleBandCreated(ctx context.Context, tx readview.Tx, event *domain.BandCreated) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM band WHERE id = $1 AND name <> $2`, event.EventAggregateId, event.Name)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO band (id, name, created)
		VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE
		SET id = EXCLUDED.id, created = EXCLUDED.created`,
		event.EventAggregateId, event.Name, event.EventTime)
	return err
}

// handleBandRenamed changes nothing where another band has taken over the row.
func handleBandRenamed(ctx context.Context, tx readview.Tx, event *domain.BandRenamed) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM band WHERE name = $2 AND id <> $1`, event.EventAggregateId, event.Name)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE band SET name = $2 WHERE id = $1`, event.EventAggregateId, event.Name)
	return err
}

func handleBandDeleted(ctx context.Context, tx readview.Tx, event *domain.BandDeleted) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM band WHERE id = $1`, event.EventAggregateId)
	return err
}
