package projections_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

const (
	angs, zetas, zetasAgain = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
	parken, logen, logenToo = "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa", "bbbbbbbb-2222-4222-8222-bbbbbbbbbbbb", "cccccccc-3333-4333-8333-cccccccccccc"
	changed, bare, gone     = "dddddddd-1111-4111-8111-dddddddddddd", "eeeeeeee-2222-4222-8222-eeeeeeeeeeee", "ffffffff-3333-4333-8333-ffffffffffff"
	brief, shut             = "44444444-4444-4444-8444-444444444444", "dddddddd-4444-4444-8444-dddddddddddd"
	annas                   = "99999999-9999-4999-8999-999999999999"
	bos                     = "99999999-9999-4999-8999-999999999998"
)

// story has every type of event, as it is stored. Each happened a minute after the
// one before, the first at 10:00.
var story = []struct{ aggregate, id, name, payload string }{
	{domain.AggregateBand, angs, "BandCreated", `{"name": "Ängs"}`},
	{domain.AggregateBand, zetas, "BandCreated", `{"name": "Zetas"}`},
	{domain.AggregateBand, zetasAgain, "BandCreated", `{"name": "Zetas"}`}, // takes the row over
	{domain.AggregateDanceHall, parken, "DanceHallCreated", `{"name": "Parken", "city": "Malung", "municipality": "Malung-Sälen", "state": "Dalarna"}`},
	{domain.AggregateDanceHall, logen, "DanceHallCreated", `{"name": "Logen", "city": "", "municipality": "Mora", "state": "Gävleborg"}`},
	{domain.AggregateDanceHall, logenToo, "DanceHallCreated", `{"name": "Logen", "city": "", "municipality": "Mora", "state": "Gävleborg"}`},
	{domain.AggregateDanceHall, parken, "DanceHallGeocoded", `{"latitude": 60.5, "longitude": 13.25, "source": "gazetteer", "precision": "city", "query": "Malung"}`},
	{domain.AggregateEvent, changed, "EventCreated", `{"date": "2026-07-04", "startTime": "21:00", "endTime": "01:00", "bandId": "` + angs + `", "danceHallId": "` + logenToo + `", "extraInfo": "Logdans", "sourceUrl": "https://example.org/1"}`},
	{domain.AggregateEvent, bare, "EventCreated", `{"date": "2026-07-05", "startTime": "19:00", "endTime": "23:30", "bandId": "` + zetasAgain + `", "danceHallId": "` + logenToo + `", "extraInfo": "Dragspel"}`},
	{domain.AggregateEvent, gone, "EventCreated", `{"date": "2026-07-06", "bandId": "` + angs + `", "danceHallId": "` + parken + `"}`},
	{domain.AggregateEvent, changed, "EventUpdated", `{"date": "2026-07-11", "startTime": "18:30", "bandId": "` + zetasAgain + `", "danceHallId": "` + parken + `", "extraInfo": "Kaffe"}`},
	{domain.AggregateEvent, gone, "EventDeleted", `{"reason": "Inställt"}`},
	{domain.AggregateUserPreferences, annas, "OriginAdded", `{"subject": "anna", "origin": "Mora", "latitude": 61.5, "longitude": 14.75}`},
	{domain.AggregateUserPreferences, annas, "OriginAdded", `{"subject": "anna", "origin": "Falun"}`},
	{domain.AggregateUserPreferences, annas, "OriginRemoved", `{"subject": "anna", "origin": "Falun"}`},
	{domain.AggregateUserPreferences, annas, "BandIgnored", `{"subject": "anna", "bandId": "` + angs + `", "bandName": "Ängs"}`},
	{domain.AggregateUserPreferences, annas, "BandIgnored", `{"subject": "anna", "bandId": "` + zetas + `", "bandName": "Zetas"}`},
	{domain.AggregateUserPreferences, annas, "BandUnignored", `{"subject": "anna", "bandId": "` + zetas + `", "bandName": "Zetas"}`},
	{domain.AggregateUserPreferences, annas, "DanceHallIgnored", `{"subject": "anna", "danceHallId": "` + parken + `", "danceHallName": "Parken"}`},
	{domain.AggregateUserPreferences, annas, "DanceHallIgnored", `{"subject": "anna", "danceHallId": "` + logen + `", "danceHallName": "Logen"}`},
	{domain.AggregateUserPreferences, annas, "DanceHallUnignored", `{"subject": "anna", "danceHallId": "` + logen + `", "danceHallName": "Logen"}`},
	{domain.AggregateUserPreferences, annas, "CityIgnored", `{"subject": "anna", "city": "Malung"}`},
	{domain.AggregateUserPreferences, annas, "CityIgnored", `{"subject": "anna", "city": "Orsa"}`},
	{domain.AggregateUserPreferences, annas, "CityUnignored", `{"subject": "anna", "city": "Orsa"}`},
	{domain.AggregateUserPreferences, annas, "MunicipalityIgnored", `{"subject": "anna", "municipality": "Malung-Sälen"}`},
	{domain.AggregateUserPreferences, annas, "MunicipalityIgnored", `{"subject": "anna", "municipality": "Mora"}`},
	{domain.AggregateUserPreferences, annas, "MunicipalityUnignored", `{"subject": "anna", "municipality": "Mora"}`},
	{domain.AggregateUserPreferences, annas, "StateIgnored", `{"subject": "anna", "state": "Dalarna"}`},
	{domain.AggregateUserPreferences, annas, "StateIgnored", `{"subject": "anna", "state": "Skåne"}`},
	{domain.AggregateUserPreferences, annas, "StateUnignored", `{"subject": "anna", "state": "Skåne"}`},
	{domain.AggregateBand, brief, "BandCreated", `{"name": "Ängarna"}`},
	{domain.AggregateBand, brief, "BandDeleted", `{"reason": "Upplöst"}`},
	{domain.AggregateBand, brief, "BandNameTaken", `{"bandId": "` + angs + `"}`},
	{domain.AggregateBand, angs, "BandRenamed", `{"name": "Ängarna"}`},
	{domain.AggregateBand, zetas, "BandRenamed", `{"name": "Zetor"}`}, // has no row any more
	{domain.AggregateDanceHall, shut, "DanceHallCreated", `{"name": "Parken", "city": "Orsa", "municipality": "Orsa", "state": "Dalarna"}`},
	{domain.AggregateDanceHall, shut, "DanceHallDeleted", `{}`},
	{domain.AggregateDanceHall, shut, "DanceHallNameTaken", `{"danceHallId": "` + parken + `"}`},
	{domain.AggregateDanceHall, parken, "DanceHallUpdated", `{"name": "Stora Parken", "city": "Orsa", "municipality": "Orsa", "state": "Dalarna"}`},
	{domain.AggregateDanceHall, logen, "DanceHallUpdated", `{"name": "Logen", "city": "", "municipality": "Älvdalen", "state": "Dalarna"}`},
	{domain.AggregateUserPreferences, annas, "CalendarLinkReplaced", `{"subject": "anna", "hash": "abab"}`},
	{domain.AggregateUserPreferences, annas, "CalendarLinkReplaced", `{"subject": "anna", "hash": "cdcd"}`},
	{domain.AggregateUserPreferences, bos, "CalendarLinkReplaced", `{"subject": "bo", "hash": "efef"}`},
	{domain.AggregateUserPreferences, bos, "CalendarLinkReplaced", `{"subject": "bo"}`},
}

// row is one with all its columns.
type row = map[string]any

// at is the time of an event of the story, as PostgreSQL writes it.
func at(minute int) string { return fmt.Sprintf("2026-03-01T10:%02d:00.123456+00:00", minute) }

// rowsOfTheStory are worked out by hand; the ids that are derived, in another language.
var rowsOfTheStory = map[string][]row{
	"band": {
		{"id": angs, "name": "Ängarna", "created": at(0)},
		{"id": zetasAgain, "name": "Zetas", "created": at(2)},
	},
	"dance_hall": {
		{"id": parken, "name": "Stora Parken", "city": "Orsa", "municipality": "Orsa", "state": "Dalarna", "latitude": 60.5, "longitude": 13.25, "created": at(3)},
		{"id": logenToo, "name": "Logen", "city": "", "municipality": "Mora", "state": "Gävleborg", "latitude": nil, "longitude": nil, "created": at(5)},
	},
	"event": {
		{"id": changed, "event_date": "2026-07-11", "start_time": "18:30:00", "end_time": nil, "extra_info": "Kaffe", "band_id": zetasAgain, "dance_hall_id": parken, "created": at(7), "updated": at(10)},
		{"id": bare, "event_date": "2026-07-05", "start_time": "19:00:00", "end_time": "23:30:00", "extra_info": "Dragspel", "band_id": zetasAgain, "dance_hall_id": logenToo, "created": at(8), "updated": at(8)},
	},
	"origin":               {{"id": "bafd84ab-008e-5b82-9391-e59340b37e73", "subject": "anna", "origin": "Mora", "latitude": 61.5, "longitude": 14.75, "created": at(12)}},
	"ignored_band":         {{"id": "a21094bf-ad99-542a-8bd1-9b3d5ddd0b73", "subject": "anna", "band_id": angs, "created": at(15)}},
	"ignored_dance_hall":   {{"id": "a508d5d1-2c28-5c3f-a0fc-489e2f81c7fd", "subject": "anna", "dance_hall_id": parken, "created": at(18)}},
	"ignored_city":         {{"id": "5fcaf414-601b-580d-9b7d-bd25857f484d", "subject": "anna", "city": "Malung", "created": at(21)}},
	"ignored_municipality": {{"id": "98f9f387-23cc-5d33-982d-d33c054242a8", "subject": "anna", "municipality": "Malung-Sälen", "created": at(24)}},
	"ignored_state":        {{"id": "02e7519b-3472-5eee-b412-558019f3b941", "subject": "anna", "state": "Dalarna", "created": at(27)}},
	"calendar_link":        {{"subject": "anna", "hash": "cdcd", "created": at(41)}},
	"userpreferences_lookup": {
		{"band_key": "ängs", "band_id": angs},
		{"band_key": "zetas", "band_id": zetasAgain},
		{"band_key": "ängarna", "band_id": brief},
	},
}

// tell stores the story and returns the last position.
func tell(t *testing.T, store *pgstore.Store) (last eventsourced.Position) {
	t.Helper()
	told := map[string]bool{}
	for i, e := range story {
		told[e.name] = true
		data := eventsourced.EventData{
			ID: eventsourced.NewEventID(), Name: e.name, SchemaVersion: 1, Payload: json.RawMessage(e.payload),
			Time: time.Date(2026, 3, 1, 10, i, 0, 123456000, time.UTC),
		}
		if e.name == "BandIgnored" || e.name == "BandUnignored" {
			data.SchemaVersion = 2
		}
		var err error
		last, err = store.Append(t.Context(), eventsourced.Stream{AggregateName: e.aggregate, AggregateID: e.id}, eventsourced.Any, []eventsourced.EventData{data})
		require.NoError(t, err)
	}
	require.Len(t, told, len(domain.EventTypes()), "the story has every type of event")
	return last
}

// newStore returns a log beside DanceFinder's tables.
func newStore(t *testing.T) (*pgstore.Store, *pgxpool.Pool) {
	t.Helper()
	db := readviewtest.NewDatabase(t)
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	store := pgstore.New(db.Pool, registry, pgstore.Config{})
	t.Cleanup(store.Close)
	return store, db.Pool
}

func TestEveryColumnOfEveryTable(t *testing.T) {
	t.Parallel()
	store, pool := newStore(t)
	last := tell(t, store)
	manager := run(t, store, pool)
	requireStory := func(after string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, manager.WaitFor(ctx, last))
		requireRows(t, pool, after)
	}
	requireStory("the first time")
	for _, name := range manager.Names() {
		require.NoError(t, manager.ResetProjection(t.Context(), name))
	}
	requireStory("after a reset")

	// Events that come again, as after a position that was set back by hand, mend
	// every column of what they make.
	for _, name := range manager.Names() {
		require.NoError(t, manager.Pause(t.Context(), name))
	}
	_, err := pool.Exec(t.Context(), `
		UPDATE band SET created = 'epoch';
		UPDATE dance_hall SET latitude = 0, longitude = 0 WHERE latitude IS NOT NULL;
		UPDATE dance_hall SET created = 'epoch';
		UPDATE event SET event_date = '2000-01-01', start_time = '00:00', end_time = '00:00', extra_info = 'wrong', band_id = gen_random_uuid(),
			dance_hall_id = gen_random_uuid(), created = 'epoch', updated = 'epoch';
		UPDATE userpreferences_lookup SET band_id = gen_random_uuid();
		UPDATE readviews SET position = 0`)
	require.NoError(t, err)
	for _, name := range manager.Names() {
		require.NoError(t, manager.Resume(t.Context(), name))
	}
	require.Eventually(t, func() bool {
		var through int
		err := pool.QueryRow(t.Context(), `SELECT count(*) FROM readviews WHERE position >= $1`, int64(last)).Scan(&through)
		return err == nil && through == len(projections.All())
	}, time.Minute, 25*time.Millisecond)
	requireStory("when all events came again")
}

// requireRows requires that the tables have the story's rows, and no other.
func requireRows(t *testing.T, pool *pgxpool.Pool, after string) {
	t.Helper()
	require.Len(t, rowsOfTheStory, len(tables))
	for _, table := range tables {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "SET LOCAL timezone = 'UTC'")
			require.NoError(t, err)
			rows, err := tx.Query(t.Context(), "SELECT to_jsonb(r) FROM "+table+" r")
			require.NoError(t, err)
			got, err := pgx.CollectRows(rows, pgx.RowTo[row])
			require.NoError(t, err)
			require.ElementsMatch(t, rowsOfTheStory[table], got, "%s %s", table, after)
			return nil
		})
		require.NoError(t, err)
	}
}

// Somebody may refer to a read view from a table of their own: a reset must not
// empty that one, too.
func TestResetDoesNotCascade(t *testing.T) {
	t.Parallel()
	for _, p := range projections.All() {
		t.Run("from "+p.Name, func(t *testing.T) {
			t.Parallel()
			store, pool := newStore(t)
			manager := run(t, store, pool)
			fill(t, pool)
			all := contents(t, pool)
			for _, table := range p.Tables {
				key := cmp.Or(map[string]string{"userpreferences_lookup": "band_key", "calendar_link": "subject"}[table], "id")
				_, err := pool.Exec(t.Context(), fmt.Sprintf(`CREATE TABLE mine AS SELECT %[1]s AS reference FROM %[2]s;
					ALTER TABLE mine ADD FOREIGN KEY (reference) REFERENCES %[2]s (%[1]s)`, key, table))
				require.NoError(t, err)
				require.ErrorContains(t, manager.ResetProjection(t.Context(), p.Name), "foreign key")
				require.Equal(t, all, contents(t, pool), "all or nothing")
				var mine int
				require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM mine").Scan(&mine))
				require.Equal(t, 1, mine)
				_, err = pool.Exec(t.Context(), "DROP TABLE mine")
				require.NoError(t, err)
			}
			require.NoError(t, manager.ResetProjection(t.Context(), p.Name))
			for _, table := range p.Tables {
				all[table] = nil
			}
			require.Equal(t, all, contents(t, pool), "the others' rows stay")
		})
	}
}
