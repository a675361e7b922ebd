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

const insertBand = `
	INSERT INTO band (id, name, created)
	VALUES ($1, $2, $3)
	ON CONFLICT (name) DO UPDATE
	SET id = EXCLUDED.id, created = EXCLUDED.created`

// handleBandCreated also takes over the row of a band that has the name under
// another id, as a database from before event sourcing may have it. That the band has a row
// under another name is for events that come again after it was renamed: to look at every
// event, with a DELETE, would keep its insert from going together with the others.
func handleBandCreated(ctx context.Context, tx readview.Tx, event *domain.BandCreated) error {
	return readview.ExecOr(ctx, tx, func() error {
		if err := readview.Exec(ctx, tx, `DELETE FROM band WHERE id = $1`, event.EventAggregateId); err != nil {
			return err
		}
		return readview.Exec(ctx, tx, insertBand, event.EventAggregateId, event.Name, event.EventTime)
	}, insertBand, event.EventAggregateId, event.Name, event.EventTime)
}

// handleBandRenamed changes nothing where another band has taken over the row.
func handleBandRenamed(ctx context.Context, tx readview.Tx, event *domain.BandRenamed) error {
	const rename = `UPDATE band SET name = $2 WHERE id = $1`
	return readview.ExecOr(ctx, tx, func() error {
		if err := readview.Exec(ctx, tx, `DELETE FROM band WHERE name = $2 AND id <> $1`, event.EventAggregateId, event.Name); err != nil {
			return err
		}
		return readview.Exec(ctx, tx, rename, event.EventAggregateId, event.Name)
	}, rename, event.EventAggregateId, event.Name)
}

func handleBandDeleted(ctx context.Context, tx readview.Tx, event *domain.BandDeleted) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM band WHERE id = $1`, event.EventAggregateId)
	return err
}
