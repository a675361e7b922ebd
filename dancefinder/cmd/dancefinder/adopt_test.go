package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/adoption"
	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/internal/legacytest"
	"github.com/dancefinder/eventsourcing/operate"
)

// newLegacy returns a database with legacy tables that are filled.
func newLegacy(t *testing.T, size legacytest.Size) *database {
	t.Helper()
	d := newDatabase(t)
	legacytest.Fill(t, d.Pool, size)
	return d
}

// contents returns the tables that are adopted, column by column.
func (d *database) contents() map[string][]string {
	d.t.Helper()
	tables := map[string][]string{}
	for _, name := range adoption.Tables {
		tables[name] = legacytest.Dump(d.t, d.Pool, "SELECT to_jsonb(t) FROM "+name+" AS t")
	}
	return tables
}

var medium = legacytest.Size{Bands: 30, Halls: 60, Events: 600, Users: 10}

const rename = "UPDATE band SET name = 'Namnlös' WHERE name = ''"

func TestAdoptLegacy(t *testing.T) {
	t.Parallel()
	t.Run("leads from the old database to read views that are reset", func(t *testing.T) {
		t.Parallel()
		size := medium
		if os.Getenv("SOAK") != "" { // make soak
			size = legacytest.Full
		}
		d := newLegacy(t, size)
		d.done("migrate", "up")
		for _, command := range [][]string{{"readviews", "reset", "event"}, {"import", "-"}} {
			got := d.run(command...)
			require.Equal(t, operate.ExitFailed, got.code)
			require.Contains(t, got.err, errUnadopted.Error())
			require.Contains(t, got.err, "Run 'dancefinder adopt-legacy' first.")
		}
		legacytest.Exec(t, d.Pool, rename)
		want := d.contents()
		require.Greater(t, len(want["event"]), size.Events)
		projector := start(t, d.args([]string{"projector"})...) // while it runs, and after it: the same tables
		projector.await(projector.err, "the log does not know: run 'dancefinder adopt-legacy'", patience)

		got := d.run("adopt-legacy")
		require.Equal(t, operate.ExitDone, got.code, got.err)
		require.Regexp(t, fmt.Sprintf(`(?m)^TABLE +ROWS +ADOPTED +KNOWN +REFUSED\nband +%[1]d +%[1]d +0 +0$`, size.Bands+8), got.out)
		require.Contains(t, got.err, "adopt: ")
		require.Contains(t, got.err, "Next: start 'dancefinder projector'")
		head := d.number("SELECT max(tstamp) FROM events")
		require.NoError(t, d.app().project(t))
		requireContents(t, want, d.contents(), "adopted, and applied by a projector")
		require.Equal(t, head, d.number("SELECT max(tstamp) FROM events"), "no provider knows these places")

		require.Regexp(t, fmt.Sprintf(`(?m)^band +%[1]d +0 +%[1]d +0$`, size.Bands+8), d.done("adopt-legacy"))
		require.Equal(t, head, d.number("SELECT max(tstamp) FROM events"), "once")

		d.done("readviews", "reset", "band", "dancehall", "event", "userpreferences")
		require.NoError(t, d.app().project(t))
		requireContents(t, want, d.contents(), "after a reset of all")
		require.Equal(t, operate.ExitDone, projector.stop())
	})
	t.Run("names the rows that no event can stand for, and does them later", func(t *testing.T) {
		t.Parallel()
		d := newLegacy(t, legacytest.Small)
		d.done("migrate", "up")
		legacytest.Exec(t, d.Pool, `UPDATE event SET event_date = 'infinity' WHERE extra_info = 'samma band';
			UPDATE event SET updated = '0044-03-15 BC' WHERE extra_info = 'ingenting';
			UPDATE dance_hall SET latitude = 'NaN' WHERE name = 'Hall 1';
			UPDATE ignored_city SET created = '-infinity' WHERE city = 'ÖREBRO'`)
		got := d.run("adopt-legacy", "--json")
		require.Equal(t, operate.ExitFailed, got.code)
		require.Contains(t, got.err, "5 rows were not adopted")
		require.Contains(t, got.err, "correct them")
		var report adoptionReport
		require.NoError(t, json.Unmarshal([]byte(got.out), &report))
		var problems []string
		for _, r := range report.Refused {
			require.Len(t, legacytest.Dump(t, d.Pool, "SELECT FROM "+r.Table+" WHERE id = '"+r.ID+"'"), 1)
			require.Contains(t, got.err, r.Table+", id "+r.ID+": "+r.Reason)
			problems = append(problems, r.Table+": "+r.Reason)
		}
		require.ElementsMatch(t, []string{
			"band: the name is empty: give the row one", "event: a date is infinite", "event: a date is not in the years 1 to 9999",
			"dance_hall: a coordinate is not a number", "ignored_city: a date is infinite",
		}, problems)
		legacytest.Exec(t, d.Pool, rename+`; UPDATE event SET event_date = '2024-07-11', updated = created WHERE extra_info IN ('samma band', 'ingenting');
			UPDATE dance_hall SET latitude = 59 WHERE name = 'Hall 1'; UPDATE ignored_city SET created = now() WHERE city = 'ÖREBRO'`)
		require.Regexp(t, `(?m)^event +\d+ +2 +\d+ +0$`, d.done("adopt-legacy"))
		want := d.contents()
		d.done("readviews", "reset", "band", "dancehall", "event", "userpreferences")
		start(t, d.args([]string{"projector"})...)
		require.NoError(t, d.app().project(t))
		requireContents(t, want, d.contents(), "after a reset of all")
	})
	t.Run("keeps the rows that it has not come to from a reset, also when events were applied since", func(t *testing.T) {
		t.Parallel()
		for table, row := range map[string]string{
			"band":                 "(id, name, created) VALUES (gen_random_uuid(), 'Sen', '2001-02-03')",
			"dance_hall":           "(id, name, city, municipality, state, created) VALUES (gen_random_uuid(), 'Sen', '', '', '', '2001-02-03')",
			"event":                "(id, event_date, band_id, dance_hall_id, created, updated) VALUES (gen_random_uuid(), '2024-07-11', gen_random_uuid(), gen_random_uuid(), '2001-02-03', '2001-02-03')",
			"origin":               "(id, subject, origin, created) VALUES (gen_random_uuid(), 'user 1', 'Sen', '2001-02-03')",
			"ignored_band":         "(id, subject, band_id, created) VALUES (gen_random_uuid(), 'user 1', gen_random_uuid(), '2001-02-03')",
			"ignored_dance_hall":   "(id, subject, dance_hall_id, created) VALUES (gen_random_uuid(), 'user 1', gen_random_uuid(), '2001-02-03')",
			"ignored_city":         "(id, subject, city, created) VALUES (gen_random_uuid(), 'user 1', 'Sen', '2001-02-03')",
			"ignored_municipality": "(id, subject, municipality, created) VALUES (gen_random_uuid(), 'user 1', 'Sen', '2001-02-03')",
			"ignored_state":        "(id, subject, state, created) VALUES (gen_random_uuid(), 'user 1', 'Sen', '2001-02-03')",
		} {
			t.Run(table, func(t *testing.T) {
				t.Parallel()
				d := newLegacy(t, legacytest.Small)
				legacytest.Exec(t, d.Pool, rename)
				d.done("migrate", "up")
				d.done("adopt-legacy")
				projector := start(t, d.args([]string{"projector"})...)
				require.NoError(t, d.app().project(t))
				legacytest.Exec(t, d.Pool, "INSERT INTO "+table+" "+row)
				want := d.contents()
				for _, name := range []string{"band", "dancehall", "event", "userpreferences"} {
					got := d.run("readviews", "reset", name)
					require.Equal(t, operate.ExitFailed, got.code, name)
					require.Contains(t, got.err, errUnadopted.Error())
				}
				require.Equal(t, operate.ExitFailed, d.run("import", "-").code)
				requireContents(t, want, d.contents(), "nothing is lost")
				d.done("adopt-legacy")
				d.done("readviews", "reset", "band", "dancehall", "event", "userpreferences")
				require.NoError(t, d.app().project(t))
				requireContents(t, want, d.contents(), "after a reset of all")
				require.Equal(t, operate.ExitDone, projector.stop())
			})
		}
	})
	t.Run("finds nothing to do in a database that began with events", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		d.imports(july)
		start(t, d.args([]string{"projector"})...)
		_, _, err := d.app().service.Prefer(t.Context(), domain.IgnoreCity{Subject: "anna", City: "Mora"})
		require.NoError(t, err)
		require.NoError(t, d.app().project(t))
		events := d.number("SELECT count(*) FROM events")
		require.Regexp(t, `(?m)^ignored_city +1 +0 +1 +0$`, d.done("adopt-legacy"))
		require.Equal(t, events, d.number("SELECT count(*) FROM events"))
		legacytest.Exec(t, d.Pool, "INSERT INTO band (id, name, created) VALUES (gen_random_uuid(), 'Inget', now())")
		d.done("readviews", "reset", "band")
		require.NoError(t, d.app().project(t))
		require.Zero(t, d.number("SELECT count(*) FROM band WHERE name = 'Inget'"), "a reset removes what somebody made by hand")
	})
	t.Run("is refused where the tables are not there yet", func(t *testing.T) {
		t.Parallel()
		d := newLegacy(t, legacytest.Small)
		got := d.run("adopt-legacy")
		require.Equal(t, operate.ExitFailed, got.code)
		require.Contains(t, got.err, "migrate up")
	})
	t.Run("works with the least of connections", func(t *testing.T) {
		t.Parallel()
		d := newLegacy(t, legacytest.Small)
		legacytest.Exec(t, d.Pool, rename)
		url := d.with("pool_max_conns=2")
		require.Equal(t, operate.ExitDone, dancefinder(t, "migrate", "up", "--database-url", url).code)
		got := dancefinder(t, "adopt-legacy", "--database-url", url)
		require.Equal(t, operate.ExitDone, got.code, got.err)
	})
}

func requireContents(t *testing.T, want, got map[string][]string, message string) {
	t.Helper()
	for name, rows := range want {
		require.Equal(t, rows, got[name], "%s: %s", name, message)
	}
}

// What people did with the old program they find in the new one.
func TestAdoptedDatabase(t *testing.T) {
	t.Parallel()
	d := newLegacy(t, legacytest.Small)
	legacytest.Exec(t, d.Pool, rename)
	d.done("migrate", "up")
	a := d.app()
	ctx := t.Context()
	id := func(query string) (id string) {
		t.Helper()
		require.NoError(t, d.Pool.QueryRow(ctx, query).Scan(&id))
		return id
	}
	oldest := id("SELECT id::text FROM band WHERE name = 'bo granz'")
	d.done("adopt-legacy")
	start(t, d.args([]string{"projector"})...)
	require.NoError(t, a.project(t))

	// by name
	band, _, err := a.service.CreateBand(ctx, domain.CreateBand{Name: "BO GRANZ"})
	require.NoError(t, err)
	require.Equal(t, domain.BandID(oldest), band)
	hall, _, err := a.service.CreateDanceHall(ctx, domain.CreateDanceHall{Name: "folkets park", City: "Staden", Municipality: "Kommunen", State: "Landet"})
	require.NoError(t, err)
	require.EqualValues(t, id("SELECT id::text FROM dance_hall WHERE name = 'Folkets Park'"), hall)
	for _, name := range []string{"Bo Granz", "BO GRANZ", "bo granz"} {
		require.EqualValues(t, 1, d.number("SELECT count(*) FROM event e JOIN band b ON b.id = e.band_id WHERE b.name = '"+name+"'"), name)
	}

	// by id
	_, _, err = a.service.GeocodeDanceHall(ctx, domain.GeocodeDanceHall{
		DanceHallID: hall, Coordinate: domain.Coordinate{Latitude: 1, Longitude: 1}, Source: domain.SourceNominatim, Precision: domain.PrecisionVenue,
	})
	require.ErrorIs(t, err, domain.ErrGeocodeOutranked, "what was there is not replaced by a guess")
	_, _, err = a.service.DeleteEvent(ctx, domain.DeleteEvent{EventID: domain.EventID(id("SELECT id::text FROM event WHERE extra_info = 'över midnatt'"))})
	require.NoError(t, err)
	_, _, err = a.service.RenameBand(ctx, domain.RenameBand{BandID: domain.BandID(id("SELECT id::text FROM band WHERE length(name) = 250")), Name: "Ä"})
	require.NoError(t, err, "a name that was too long gets a shorter one")

	// preferences
	_, _, err = a.service.Prefer(ctx, domain.UnignoreCity{Subject: "user 1", City: "örebro"})
	require.NoError(t, err)
	_, _, err = a.service.Prefer(ctx, domain.UnignoreBand{Subject: "user 1", BandID: band})
	require.NoError(t, err)
	require.NoError(t, a.project(t))
	require.Zero(t, d.number("SELECT count(*) FROM ignored_city WHERE subject = 'user 1' AND lower(city) = 'örebro'"), "in both spellings")
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM ignored_band i JOIN band b ON b.id = i.band_id WHERE subject = 'user 1' AND lower(name) = 'bo granz'"))
	events := d.number("SELECT count(*) FROM events")
	d.done("adopt-legacy")
	require.Equal(t, events, d.number("SELECT count(*) FROM events"), "what was taken back is not adopted again")
	want := d.contents()
	d.done("readviews", "reset", "userpreferences", "event", "dancehall", "band")
	require.NoError(t, a.project(t))
	requireContents(t, want, d.contents(), "after a reset of all")
}

// Preferences of the time when they named bands come before the bands, in the log.
func TestPreferencesByName(t *testing.T) {
	t.Parallel()
	d := newLegacy(t, legacytest.Small)
	legacytest.Exec(t, d.Pool, rename)
	d.done("migrate", "up")
	legacytest.Exec(t, d.Pool, strings.ReplaceAll(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload)
		VALUES (1, gen_random_uuid(), 'BandIgnored', 'domain.UserPreferences', '{id}', 1, 1, now(), '{"subject": "nora", "bandName": "utan UUID"}'),
			(2, gen_random_uuid(), 'BandIgnored', 'domain.UserPreferences', '{id}', 2, 1, now(), '{"subject": "nora", "bandName": "Ingen"}')`,
		"{id}", string(domain.UserPreferencesIDFor("nora"))))
	d.done("adopt-legacy")
	d.done("readviews", "reset", "band", "userpreferences")
	d.done("readviews", "pause", "band") // so its table stays empty
	start(t, d.args([]string{"projector"})...)
	require.NoError(t, d.app().project(t, "userpreferences"))
	d.done("readviews", "resume", "band")
	require.NoError(t, d.app().project(t, "band"))
	require.Equal(t, []string{`("Utan uuid")`}, legacytest.Dump(t, d.Pool, "SELECT b.name FROM ignored_band i JOIN band b ON b.id = i.band_id WHERE subject = 'nora'"))
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM ignored_band WHERE subject = 'nora'"))
}
