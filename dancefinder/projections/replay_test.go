package projections_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

var tables = []string{
	"band", "dance_hall", "event", "origin", "ignored_band", "ignored_dance_hall", "ignored_city",
	"ignored_municipality", "ignored_state", "userpreferences_lookup", "calendar_link",
}

// TestProjectionReplay resets each projection alone, and all of them in every
// order: every table is again what it was, in every column.
func TestProjectionReplay(t *testing.T) {
	t.Parallel()
	db := readviewtest.NewDatabase(t)
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	store := pgstore.New(db.Pool, registry, pgstore.Config{})
	t.Cleanup(store.Close)
	last := history(t, domain.NewService(store), store)

	manager := run(t, store, db.Pool)
	wait := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, manager.WaitFor(ctx, last))
	}
	wait()
	want := contents(t, db.Pool)
	for _, table := range tables {
		require.NotEmpty(t, want[table], "the history leaves something in %s", table)
	}
	names := manager.Names()
	require.Equal(t, []string{"band", "dancehall", "event", "userpreferences"}, names)
	for _, name := range names {
		require.NoError(t, manager.ResetProjection(t.Context(), name))
		wait()
		require.Equal(t, want, contents(t, db.Pool), "after a reset of %s", name)
	}
	for i, order := range permutations(names) {
		if i%5 != 0 && !soak.On {
			continue
		}
		for _, name := range order {
			require.NoError(t, manager.ResetProjection(t.Context(), name))
		}
		wait()
		require.Equal(t, want, contents(t, db.Pool), "after resets of %v", order)
	}
}

func TestResetEmptiesItsOwnTablesOnly(t *testing.T) {
	t.Parallel()
	db := readviewtest.NewDatabase(t)
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	owner := map[string]string{}
	for _, p := range projections.All() {
		for _, table := range p.Tables {
			require.Empty(t, owner[table], "%s belongs to one projection", table)
			owner[table] = p.Name
		}
	}
	require.Len(t, owner, len(tables))
	for _, p := range projections.All() {
		fill(t, db.Pool)
		tx, err := db.SQL().BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, p.Reset.Reset(t.Context(), tx))
		require.NoError(t, tx.Commit())
		for table, rows := range contents(t, db.Pool) {
			require.Equal(t, owner[table] == p.Name, len(rows) == 0, "%s after the reset of %s", table, p.Name)
		}
	}
}

func TestReadViewsHaveNoForeignKeys(t *testing.T) {
	t.Parallel()
	db := readviewtest.NewDatabase(t)
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	var keys int
	err = db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace`).Scan(&keys)
	require.NoError(t, err)
	require.Zero(t, keys)
}

// history tells the domain a story in which everything happens, and returns the
// last position.
func history(t *testing.T, service *domain.Service, store eventsourced.Store) (last eventsourced.Position) {
	t.Helper()
	ctx := t.Context()
	note := func(position eventsourced.Position, err error) {
		t.Helper()
		require.NoError(t, err)
		last = max(last, position)
	}
	var bands []domain.BandID
	var halls []domain.DanceHallID
	for i := range 12 {
		band, position, err := service.CreateBand(ctx, domain.CreateBand{Name: fmt.Sprintf("Orkester %d", i)})
		note(position, err)
		bands = append(bands, band)
		hall, position, err := service.CreateDanceHall(ctx, domain.CreateDanceHall{Name: fmt.Sprintf("Parken %d", i), City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"})
		note(position, err)
		halls = append(halls, hall)
		if i%3 > 0 {
			_, position, err = service.GeocodeDanceHall(ctx, domain.GeocodeDanceHall{DanceHallID: hall, Coordinate: domain.Coordinate{Latitude: 60 + float64(i)/10, Longitude: 13}, Source: domain.SourceGazetteer, Precision: domain.PrecisionCity})
			note(position, err)
		}
	}
	for i := range 60 {
		details := domain.EventDetails{Date: fmt.Sprintf("2026-07-%02d", i%28+1), StartTime: "21:00", EndTime: "01:00", BandID: bands[i%12], DanceHallID: halls[i*7%12]}
		id, position, err := service.CreateEvent(ctx, domain.CreateEvent{EventDetails: details})
		note(position, err)
		if i%5 == 0 {
			details.ExtraInfo, details.StartTime, details.EndTime = "Nya tider", "19:00", ""
			_, position, err = service.UpdateEvent(ctx, domain.UpdateEvent{EventID: id, EventDetails: details})
			note(position, err)
		}
		if i%7 == 0 {
			_, position, err = service.DeleteEvent(ctx, domain.DeleteEvent{EventID: id, Reason: "Inställt"})
			note(position, err)
		}
	}
	for i := range 10 {
		subject := fmt.Sprintf("user-%d", i)
		for _, preference := range []domain.Preference{
			domain.AddOrigin{Subject: subject, Origin: "Falun"},
			domain.IgnoreBand{Subject: subject, BandID: bands[i]},
			domain.IgnoreDanceHall{Subject: subject, DanceHallID: halls[i]},
			domain.IgnoreCity{Subject: subject, City: "Malung"},
			domain.IgnoreMunicipality{Subject: subject, Municipality: "Mora"},
			domain.IgnoreState{Subject: subject, State: "Dalarna"},
			domain.ReplaceCalendarLink{Subject: subject, Hash: fmt.Sprintf("%064x", i+1)},
		} {
			_, position, err := service.Prefer(ctx, preference)
			note(position, err)
		}
		if i%2 == 0 { // changed their mind, and changed it back
			_, position, err := service.Prefer(ctx, domain.UnignoreBand{Subject: subject, BandID: bands[i]})
			note(position, err)
			_, position, err = service.Prefer(ctx, domain.UnignoreState{Subject: subject, State: "Dalarna"})
			note(position, err)
		}
		if i%4 == 0 {
			_, position, err := service.Prefer(ctx, domain.IgnoreBand{Subject: subject, BandID: bands[i]})
			note(position, err)
			_, position, err = service.Prefer(ctx, domain.RemoveOrigin{Subject: subject, Origin: "Falun"})
			note(position, err)
		}
	}
	// And one event of the time when preferences named bands.
	old := eventsourced.EventData{
		ID: eventsourced.NewEventID(), Name: "BandIgnored", SchemaVersion: 1, Time: time.Unix(1_700_000_000, 0),
		Payload: []byte(`{"subject": "veteran", "bandName": "Orkester 3"}`),
	}
	position, err := store.Append(ctx, eventsourced.Stream{AggregateName: domain.AggregateUserPreferences, AggregateID: string(domain.UserPreferencesIDFor("veteran"))}, eventsourced.NoStream, []eventsourced.EventData{old})
	note(position, err)
	return last
}

func run(t *testing.T, store *pgstore.Store, pool *pgxpool.Pool) *readview.Manager {
	t.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(t, err)
	manager, err := readview.NewManager(router, store, pool, readview.Config{PageEvents: 20})
	require.NoError(t, err)
	require.NoError(t, manager.Add(projections.All()...))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return manager
}

// contents returns all rows of all tables, as text and in order.
func contents(t *testing.T, pool *pgxpool.Pool) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, table := range tables {
		rows, err := pool.Query(t.Context(), fmt.Sprintf(`SELECT r::text FROM %s r ORDER BY 1`, table))
		require.NoError(t, err)
		all[table] = nil
		for rows.Next() {
			var row string
			require.NoError(t, rows.Scan(&row))
			all[table] = append(all[table], row)
		}
		require.NoError(t, rows.Err())
	}
	return all
}

// fill puts a row into every table.
func fill(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `
		WITH id AS (SELECT gen_random_uuid() AS id),
			a AS (INSERT INTO band SELECT id, id::text, now() FROM id),
			b AS (INSERT INTO dance_hall SELECT id, id::text, '', '', '', NULL, NULL, now() FROM id),
			c AS (INSERT INTO event (id, event_date, band_id, dance_hall_id, created, updated) SELECT id, '2026-07-04', id, id, now(), now() FROM id),
			d AS (INSERT INTO origin SELECT id, id::text, '', NULL, NULL, now() FROM id),
			e AS (INSERT INTO ignored_band (id, subject, band_id, created) SELECT id, '', id, now() FROM id),
			f AS (INSERT INTO ignored_dance_hall (id, subject, dance_hall_id, created) SELECT id, '', id, now() FROM id),
			g AS (INSERT INTO ignored_city SELECT id, id::text, '', now() FROM id),
			h AS (INSERT INTO ignored_municipality SELECT id, id::text, '', now() FROM id),
			i AS (INSERT INTO ignored_state SELECT id, id::text, '', now() FROM id),
			j AS (INSERT INTO calendar_link SELECT id::text, id::text, now() FROM id)
		INSERT INTO userpreferences_lookup SELECT id::text, id FROM id`)
	require.NoError(t, err)
}

func permutations(names []string) (all [][]string) {
	if len(names) == 1 {
		return [][]string{names}
	}
	for i := range names {
		rest := append(append([]string{}, names[:i]...), names[i+1:]...)
		for _, tail := range permutations(rest) {
			all = append(all, append([]string{names[i]}, tail...))
		}
	}
	return all
}
