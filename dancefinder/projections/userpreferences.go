package projections

import (
	"context"
	"database/sql"
	"errors"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

var userPreferences = readview.Projection{
	Name: "userpreferences",
	Handlers: readview.Handlers{
		readview.On(handleOriginAdded), readview.On(handleOriginRemoved),
		readview.On(handleBandIgnored), readview.On(handleBandUnignored),
		readview.On(handleDanceHallIgnored), readview.On(handleDanceHallUnignored),
		readview.On(handleCityIgnored), readview.On(handleCityUnignored),
		readview.On(handleMunicipalityIgnored), readview.On(handleMunicipalityUnignored),
		readview.On(handleStateIgnored), readview.On(handleStateUnignored),
		readview.On(handleBandNamed), readview.On(handleCalendarLinkReplaced),
	},
	Reset:  resetUserPreferences,
	Tables: userPreferencesTables,
}

var userPreferencesTables = []string{
	"origin", "ignored_band", "ignored_dance_hall", "ignored_city", "ignored_municipality", "ignored_state",
	"userpreferences_lookup", "calendar_link",
}

var resetUserPreferences = readview.Truncate(userPreferencesTables...)

func handleOriginAdded(ctx context.Context, tx readview.Tx, event *domain.OriginAdded) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO origin (id, subject, origin, latitude, longitude, created)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (subject, origin) DO NOTHING`,
		adoptedRowID(event.RowID, "origin", event.Subject, event.Origin), event.Subject, event.Origin, event.Latitude, event.Longitude, event.EventTime)
	return err
}

func handleOriginRemoved(ctx context.Context, tx readview.Tx, event *domain.OriginRemoved) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM origin WHERE subject = $1 AND origin = $2`, event.Subject, event.Origin)
	return err
}

func handleBandIgnored(ctx context.Context, tx readview.Tx, event *domain.BandIgnored) error {
	id, err := bandID(ctx, tx, event.BandID, event.BandName)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO ignored_band (id, subject, band_id, created)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (subject, band_id) DO NOTHING`,
		adoptedRowID(event.RowID, "ignored_band", event.Subject, id), event.Subject, id, event.EventTime)
	return err
}

func handleBandUnignored(ctx context.Context, tx readview.Tx, event *domain.BandUnignored) error {
	id, err := bandID(ctx, tx, event.BandID, event.BandName)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM ignored_band WHERE subject = $1 AND band_id = $2`, event.Subject, id)
	return err
}

// bandID returns the id of the band that an event is about. Events of schema
// version 1 only named it, and the id that they are read with is derived from the
// name; a band that was created under another id is found by its name.
func bandID(ctx context.Context, tx readview.Tx, id, name string) (string, error) {
	recorded := eventsourced.FromContext(ctx)
	if recorded == nil || recorded.SchemaVersion > 1 {
		return id, nil
	}
	err := tx.QueryRowContext(ctx, `SELECT band_id FROM userpreferences_lookup WHERE band_key = $1`, domain.Key(name)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, err
}

// handleBandNamed keeps the look-up of bands by name for [bandID]. Who ignored the band by
// name before it was known, and so under the derived id, ignores it from now on: as long
// as no band has had the name, no other event can have put that id there.
func handleBandNamed(ctx context.Context, tx readview.Tx, event *domain.BandCreated) error {
	key := domain.Key(event.Name)
	derived := string(domain.BandIDFor(domain.BandName(event.Name)))
	if derived != event.EventAggregateId {
		for _, statement := range []string{
			`UPDATE ignored_band AS i SET band_id = $2
			WHERE band_id = $1 AND NOT EXISTS (SELECT FROM userpreferences_lookup WHERE band_key = $3)
				AND NOT EXISTS (SELECT FROM ignored_band WHERE subject = i.subject AND band_id = $2)`,
			`DELETE FROM ignored_band AS i
			WHERE band_id = $1 AND NOT EXISTS (SELECT FROM userpreferences_lookup WHERE band_key = $3)
				AND EXISTS (SELECT FROM ignored_band WHERE subject = i.subject AND band_id = $2)`,
		} {
			if _, err := tx.ExecContext(ctx, statement, derived, event.EventAggregateId, key); err != nil {
				return err
			}
		}
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO userpreferences_lookup (band_key, band_id)
		VALUES ($1, $2)
		ON CONFLICT (band_key) DO UPDATE SET band_id = EXCLUDED.band_id`,
		key, event.EventAggregateId)
	return err
}

func handleDanceHallIgnored(ctx context.Context, tx readview.Tx, event *domain.DanceHallIgnored) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO ignored_dance_hall (id, subject, dance_hall_id, created)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (subject, dance_hall_id) DO NOTHING`,
		adoptedRowID(event.RowID, "ignored_dance_hall", event.Subject, event.DanceHallID), event.Subject, event.DanceHallID, event.EventTime)
	return err
}

func handleDanceHallUnignored(ctx context.Context, tx readview.Tx, event *domain.DanceHallUnignored) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM ignored_dance_hall WHERE subject = $1 AND dance_hall_id = $2`, event.Subject, event.DanceHallID)
	return err
}

func handleCityIgnored(ctx context.Context, tx readview.Tx, event *domain.CityIgnored) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO ignored_city (id, subject, city, created)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (subject, city) DO NOTHING`,
		adoptedRowID(event.RowID, "ignored_city", event.Subject, event.City), event.Subject, event.City, event.EventTime)
	return err
}

func handleCityUnignored(ctx context.Context, tx readview.Tx, event *domain.CityUnignored) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM ignored_city WHERE subject = $1 AND city = $2`, event.Subject, event.City)
	return err
}

func handleMunicipalityIgnored(ctx context.Context, tx readview.Tx, event *domain.MunicipalityIgnored) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO ignored_municipality (id, subject, municipality, created)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (subject, municipality) DO NOTHING`,
		adoptedRowID(event.RowID, "ignored_municipality", event.Subject, event.Municipality), event.Subject, event.Municipality, event.EventTime)
	return err
}

func handleMunicipalityUnignored(ctx context.Context, tx readview.Tx, event *domain.MunicipalityUnignored) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM ignored_municipality WHERE subject = $1 AND municipality = $2`, event.Subject, event.Municipality)
	return err
}

func handleStateIgnored(ctx context.Context, tx readview.Tx, event *domain.StateIgnored) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO ignored_state (id, subject, state, created)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (subject, state) DO NOTHING`,
		adoptedRowID(event.RowID, "ignored_state", event.Subject, event.State), event.Subject, event.State, event.EventTime)
	return err
}

func handleStateUnignored(ctx context.Context, tx readview.Tx, event *domain.StateUnignored) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM ignored_state WHERE subject = $1 AND state = $2`, event.Subject, event.State)
	return err
}

func handleCalendarLinkReplaced(ctx context.Context, tx readview.Tx, event *domain.CalendarLinkReplaced) error {
	if event.Hash == "" {
		_, err := tx.ExecContext(ctx, `DELETE FROM calendar_link WHERE subject = $1`, event.Subject)
		return err
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO calendar_link (subject, hash, created)
		VALUES ($1, $2, $3)
		ON CONFLICT (subject) DO UPDATE SET hash = EXCLUDED.hash, created = EXCLUDED.created`,
		event.Subject, event.Hash, event.EventTime)
	return err
}
