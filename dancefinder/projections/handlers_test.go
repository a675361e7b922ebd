package projections

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

// setupTestDB returns a database with DanceFinder's tables.
func setupTestDB(t *testing.T) *sql.DB {
	t.Helper()
	db := readviewtest.NewDatabase(t)
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	return db.SQL()
}

const (
	someID  = "3f0c64ae-1d2b-4c3d-9e5f-0123456789ab"
	otherID = "00000000-aaaa-4bbb-8ccc-0123456789ab"
)

var now = time.Date(2026, 7, 4, 20, 30, 0, 123456000, time.UTC)

func base(id string) eventsourced.BaseEvent {
	return eventsourced.BaseEvent{EventAggregateId: id, EventTime: now}
}

func TestBandCreatedHandler(t *testing.T) {
	t.Parallel()
	db := setupTestDB(t)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()

	event := &domain.BandCreated{
		BaseEvent: eventsourced.BaseEvent{
			EventAggregateId: someID,
			EventTime:        time.Now(),
		},
		Name: "Test Band",
	}
	err = handleBandCreated(context.Background(), tx, event)
	require.NoError(t, err)

	var count int
	err = tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM band WHERE name = $1", "Test Band").Scan(&count)
	require.NoError(t, err)
	require.Equal(t, 1, count)
}

// step is a handler with its event.
type step func(ctx context.Context, tx readview.Tx) error

func with[E any](handler func(context.Context, readview.Tx, E) error, event E) step {
	return func(ctx context.Context, tx readview.Tx) error { return handler(ctx, tx, event) }
}

// Each case calls handlers in one transaction and looks at what they leave.
func TestHandlers(t *testing.T) {
	t.Parallel()
	db := setupTestDB(t)
	latitude, longitude := 60.68, 13.72
	dance := domain.EventCreated{BaseEvent: base(someID), Date: "2026-07-04", StartTime: "21:00", EndTime: "01:00", BandID: someID, DanceHallID: otherID, ExtraInfo: "Logdans"}
	moved := domain.EventUpdated(dance)
	moved.EventTime, moved.Date, moved.EndTime = now.Add(time.Hour), "2026-07-05", ""
	for name, c := range map[string]struct {
		steps []step
		query string
		want  []string
	}{
		"a band has its name and its time": {
			steps: []step{with(handleBandCreated, &domain.BandCreated{BaseEvent: base(someID), Name: "Ängs"})},
			query: `SELECT id || ' ' || name || ' ' || (created = '2026-07-04T20:30:00.123456Z') FROM band`,
			want:  []string{someID + " Ängs true"},
		},
		"a band of the same name takes the row over": {
			steps: []step{
				with(handleBandCreated, &domain.BandCreated{BaseEvent: base(someID), Name: "Ängs"}),
				with(handleBandCreated, &domain.BandCreated{BaseEvent: base(otherID), Name: "Ängs"}),
			},
			query: `SELECT id || ' ' || name FROM band`,
			want:  []string{otherID + " Ängs"},
		},
		"a band that is known under another name gets the new one": {
			steps: []step{
				with(handleBandCreated, &domain.BandCreated{BaseEvent: base(someID), Name: "Old"}),
				with(handleBandCreated, &domain.BandCreated{BaseEvent: base(someID), Name: "New"}),
			},
			query: `SELECT id || ' ' || name FROM band`,
			want:  []string{someID + " New"},
		},
		"a hall is placed by geocoding and keeps its place": {
			steps: []step{
				with(handleDanceHallCreated, &domain.DanceHallCreated{BaseEvent: base(someID), Name: "Parken", City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"}),
				with(handleDanceHallGeocoded, &domain.DanceHallGeocoded{BaseEvent: base(someID), Latitude: latitude, Longitude: longitude}),
				with(handleDanceHallCreated, &domain.DanceHallCreated{BaseEvent: base(otherID), Name: "Parken", City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"}),
			},
			query: `SELECT concat_ws(' ', id, name, city, municipality, state, latitude, longitude) FROM dance_hall`,
			want:  []string{otherID + " Parken Malung Malung-Sälen Dalarna 60.68 13.72"},
		},
		"a dance is created": {
			steps: []step{with(handleEventCreated, &dance)},
			query: `SELECT concat_ws(' ', event_date, start_time, end_time, extra_info, band_id, dance_hall_id, created = updated) FROM event`,
			want:  []string{"2026-07-04 21:00:00 01:00:00 Logdans " + someID + " " + otherID + " t"},
		},
		"a dance that changes has only the new details": {
			steps: []step{with(handleEventCreated, &dance), with(handleEventUpdated, &moved)},
			query: `SELECT concat_ws(' ', event_date, start_time, end_time IS NULL, updated - created) FROM event`,
			want:  []string{"2026-07-05 21:00:00 t 01:00:00"},
		},
		"a dance that is deleted is gone, also twice": {
			steps: []step{
				with(handleEventCreated, &dance),
				with(handleEventDeleted, &domain.EventDeleted{BaseEvent: base(someID)}),
				with(handleEventDeleted, &domain.EventDeleted{BaseEvent: base(someID)}),
			},
			query: `SELECT id::text FROM event`,
		},
		"an origin that is added twice is there once": {
			steps: []step{
				with(handleOriginAdded, &domain.OriginAdded{BaseEvent: base(someID), Subject: "anna", Origin: "Falun", Latitude: &latitude, Longitude: &longitude}),
				with(handleOriginAdded, &domain.OriginAdded{BaseEvent: base(someID), Subject: "anna", Origin: "Falun"}),
				with(handleOriginAdded, &domain.OriginAdded{BaseEvent: base(someID), Subject: "anna", Origin: "Mora"}),
				with(handleOriginAdded, &domain.OriginAdded{BaseEvent: base(someID), Subject: "bo", Origin: "Mora"}),
				with(handleOriginRemoved, &domain.OriginRemoved{BaseEvent: base(someID), Subject: "anna", Origin: "Mora"}),
			},
			query: `SELECT concat_ws(' ', subject, origin, latitude, longitude) FROM origin ORDER BY 1`,
			want:  []string{"anna Falun 60.68 13.72", "bo Mora"},
		},
		"what is ignored is kept by user and forgotten by user": {
			steps: []step{
				with(handleBandIgnored, &domain.BandIgnored{BaseEvent: base(someID), Subject: "anna", BandID: someID}),
				with(handleBandIgnored, &domain.BandIgnored{BaseEvent: base(someID), Subject: "bo", BandID: someID}),
				with(handleBandUnignored, &domain.BandUnignored{BaseEvent: base(someID), Subject: "bo", BandID: someID}),
				with(handleDanceHallIgnored, &domain.DanceHallIgnored{BaseEvent: base(someID), Subject: "anna", DanceHallID: otherID}),
				with(handleDanceHallIgnored, &domain.DanceHallIgnored{BaseEvent: base(someID), Subject: "bo", DanceHallID: otherID}),
				with(handleDanceHallUnignored, &domain.DanceHallUnignored{BaseEvent: base(someID), Subject: "bo", DanceHallID: otherID}),
				with(handleCityIgnored, &domain.CityIgnored{BaseEvent: base(someID), Subject: "anna", City: "Malung"}),
				with(handleCityIgnored, &domain.CityIgnored{BaseEvent: base(someID), Subject: "bo", City: "Malung"}),
				with(handleCityUnignored, &domain.CityUnignored{BaseEvent: base(someID), Subject: "bo", City: "Malung"}),
				with(handleMunicipalityIgnored, &domain.MunicipalityIgnored{BaseEvent: base(someID), Subject: "anna", Municipality: "Mora"}),
				with(handleMunicipalityIgnored, &domain.MunicipalityIgnored{BaseEvent: base(someID), Subject: "bo", Municipality: "Mora"}),
				with(handleMunicipalityUnignored, &domain.MunicipalityUnignored{BaseEvent: base(someID), Subject: "bo", Municipality: "Mora"}),
				with(handleStateIgnored, &domain.StateIgnored{BaseEvent: base(someID), Subject: "anna", State: "Dalarna"}),
				with(handleStateIgnored, &domain.StateIgnored{BaseEvent: base(someID), Subject: "anna", State: "Dalarna"}),
				with(handleStateIgnored, &domain.StateIgnored{BaseEvent: base(someID), Subject: "bo", State: "Dalarna"}),
				with(handleStateUnignored, &domain.StateUnignored{BaseEvent: base(someID), Subject: "bo", State: "Dalarna"}),
			},
			query: `SELECT subject || ' ' || band_id FROM ignored_band UNION ALL SELECT subject || ' ' || dance_hall_id FROM ignored_dance_hall
				UNION ALL SELECT subject || ' ' || city FROM ignored_city UNION ALL SELECT subject || ' ' || municipality FROM ignored_municipality
				UNION ALL SELECT subject || ' ' || state FROM ignored_state`,
			want: []string{"anna " + someID, "anna " + otherID, "anna Malung", "anna Mora", "anna Dalarna"},
		},
		"a band that was ignored by name is found by name": {
			steps: []step{
				with(handleBandNamed, &domain.BandCreated{BaseEvent: base(otherID), Name: "Ängs"}),
				inSchema(1, with(handleBandIgnored, &domain.BandIgnored{BaseEvent: base(someID), Subject: "anna", BandID: someID, BandName: " ängs "})),
				inSchema(1, with(handleBandIgnored, &domain.BandIgnored{BaseEvent: base(someID), Subject: "bo", BandID: someID, BandName: "unheard of"})),
				inSchema(2, with(handleBandIgnored, &domain.BandIgnored{BaseEvent: base(someID), Subject: "ida", BandID: someID, BandName: "Ängs"})),
				inSchema(1, with(handleBandIgnored, &domain.BandIgnored{BaseEvent: base(someID), Subject: "pia", BandID: someID, BandName: "Ängs"})),
				inSchema(1, with(handleBandUnignored, &domain.BandUnignored{BaseEvent: base(someID), Subject: "pia", BandID: someID, BandName: "Ängs"})),
			},
			query: `SELECT subject || ' ' || band_id FROM ignored_band ORDER BY subject`,
			want:  []string{"anna " + otherID, "bo " + someID, "ida " + someID},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			for _, step := range c.steps {
				require.NoError(t, step(t.Context(), tx))
			}
			require.Equal(t, c.want, texts(t, tx, c.query))
		})
	}
}

func TestChangesOfWhatIsNotThereFail(t *testing.T) {
	t.Parallel()
	db := setupTestDB(t)
	for name, step := range map[string]step{
		"a hall is geocoded": with(handleDanceHallGeocoded, &domain.DanceHallGeocoded{BaseEvent: base(someID)}),
		"a dance is updated": with(handleEventUpdated, &domain.EventUpdated{BaseEvent: base(someID), Date: "2026-07-04", BandID: someID, DanceHallID: someID}),
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			require.ErrorIs(t, step(t.Context(), tx), readview.ErrNotOneRow)
		})
	}
}

func TestRowIDs(t *testing.T) {
	t.Parallel()
	require.Equal(t, "190e9918", rowID("a", "b", "c").String()[:8], "it never changes")
	seen := map[uuid.UUID]bool{rowID("a", "b", "c"): true}
	for _, other := range []uuid.UUID{rowID("x", "b", "c"), rowID("a", "x", "c"), rowID("a", "b", "x")} {
		require.False(t, seen[other])
		seen[other] = true
	}
}

// inSchema runs a step as for an event of that schema version.
func inSchema(version int, s step) step {
	return func(ctx context.Context, tx readview.Tx) error {
		recorded := &eventsourced.Recorded{EventData: eventsourced.EventData{SchemaVersion: version}}
		return s(eventsourced.WithRecorded(ctx, recorded), tx)
	}
}

func texts(t *testing.T, tx readview.Tx, query string) (all []string) {
	t.Helper()
	rows, err := tx.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		all = append(all, text)
	}
	require.NoError(t, rows.Err())
	return all
}
