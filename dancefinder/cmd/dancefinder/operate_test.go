package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview"
)

var projectionNames = []string{"band", "dancehall", "event", "userpreferences"}

// app opens DanceFinder on the database, beside the commands.
func (d *database) app() *app {
	d.t.Helper()
	return appOn(d.t, d.URL)
}

func appOn(t *testing.T, url string) *app {
	t.Helper()
	a, err := openApp(t.Context(), appOptions{databaseURL: url, logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	return a
}

// project waits until projections, all when none is named, have applied all
// events, those of geocoding included.
func (a *app) project(t *testing.T, names ...string) error {
	t.Helper()
	require.Eventually(t, func() bool {
		reactor, err := a.reactor.Status(t.Context())
		require.NoError(t, err)
		halls, err := a.geocoding.Status(t.Context())
		require.NoError(t, err)
		return reactor.Behind == 0 && halls.Pending == 0
	}, patience, patience/1000)
	head, err := a.store.Head(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return a.manager.WaitFor(ctx, head, names...)
}

// imports imports a listing from standard input.
func (d *database) imports(listing string) {
	d.t.Helper()
	got := dancefinderReads(d.t, listing, d.args([]string{"import", "--partial", "-"})...)
	require.Equal(d.t, operate.ExitDone, got.code, got.err)
}

// status is what "readviews status --json" prints of a projection.
type status struct {
	Name       string
	Kind       string
	State      string
	Position   int64
	Head       int64
	Behind     int64
	LagSeconds float64 `json:"lag_seconds"`
	Error      *string
}

func (d *database) status() map[string]status {
	d.t.Helper()
	var all []status
	require.NoError(d.t, json.Unmarshal([]byte(d.done("readviews", "status", "--json")), &all))
	byName := map[string]status{}
	for _, s := range all {
		if s.Kind == "projection" {
			byName[s.Name] = s
		}
	}
	require.Len(d.t, byName, len(projectionNames))
	return byName
}

func TestProjector(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	projector := start(t, d.args([]string{"projector"})...)
	a := d.app()
	require.NoError(t, a.project(t))
	require.Contains(t, projector.err.String(), "projector runs")
	for table, rows := range map[string]int64{"band": 2, "dance_hall": 2, "event": 3} {
		require.Equal(t, rows, d.number("SELECT count(*) FROM "+table), table)
	}

	d.imports(header + "2026-08-01,21.00-01.00,Ängs,Logen,Mora,Mora,Dalarna,\n")
	require.NoError(t, a.project(t))
	require.EqualValues(t, 4, d.number("SELECT count(*) FROM event"), "it goes on with new events")
	for name, s := range d.status() {
		require.Equal(t, status{Name: name, Kind: "projection", State: "live", Position: s.Head, Head: s.Head}, s)
	}

	t.Run("lets another one stand by, which takes over", func(t *testing.T) {
		second := start(t, d.args([]string{"projector"})...)
		second.await(second.err, "projector runs", patience)
		require.Equal(t, operate.ExitDone, projector.stop())
		d.imports(header + "2026-08-02,15.00-19.00,Ängs,Logen,Mora,Mora,Dalarna,\n")
		require.NoError(t, a.project(t))
		require.EqualValues(t, 5, d.number("SELECT count(*) FROM event"))
		require.Equal(t, operate.ExitDone, second.stop())
		require.NotContains(t, projector.err.String()+second.err.String(), "level=ERROR")
	})
	t.Run("leaves a status without it", func(t *testing.T) {
		for name, s := range d.status() {
			require.Equal(t, status{Name: name, Kind: "projection", State: "standby", Position: s.Head, Head: s.Head}, s)
		}
	})
}

func TestReadviewsReset(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	projector := start(t, d.args([]string{"projector"})...)
	a := d.app()
	require.NoError(t, a.project(t))
	const spoil = "UPDATE band SET name = name || '?'"
	t.Run("makes a running projector apply all events again", func(t *testing.T) {
		_, err := d.Pool.Exec(t.Context(), spoil)
		require.NoError(t, err)
		require.Equal(t, "reset band\nreset event\n", d.done("readviews", "reset", "band", "event"))
		require.NoError(t, a.project(t))
		require.EqualValues(t, 2, d.number("SELECT count(*) FROM band WHERE name IN ('Ängs', 'Zetas')"))
		require.EqualValues(t, 3, d.number("SELECT count(*) FROM event"))
	})
	require.Equal(t, operate.ExitDone, projector.stop())
	t.Run("empties the tables of its own projection when none runs", func(t *testing.T) {
		d.done("readviews", "reset", "band")
		require.Zero(t, d.number("SELECT count(*) FROM band"))
		require.EqualValues(t, 3, d.number("SELECT count(*) FROM event"))
		got := d.status()
		require.Zero(t, got["band"].Position)
		require.Equal(t, d.number("SELECT count(*) FROM events WHERE name LIKE 'Band%'"), got["band"].Behind, "what it handles")
		require.Equal(t, got["event"].Head, got["event"].Position)
	})
	t.Run("may leave more to do than is counted", func(t *testing.T) {
		_, err := d.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
			SELECT (SELECT max(tstamp) FROM events) + n, gen_random_uuid(), 'BandRenamed', 'test.Band', 'x', n, now(), '{}' FROM generate_series(1, 10001) n`)
		require.NoError(t, err)
		require.Regexp(t, `(?m)^band .* 10000\+ `, d.done("readviews", "status"))
		require.EqualValues(t, 10_000, d.status()["band"].Behind)
	})
}

func TestReadviewsPauseAndResume(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	start(t, d.args([]string{"projector"})...)
	d.imports(july)
	a := d.app()
	require.NoError(t, a.project(t))
	require.Equal(t, "paused band\n", d.done("readviews", "pause", "band"))
	d.imports(header + "2026-08-01,21.00-01.00,Nya bandet,Logen,Mora,Mora,Dalarna,\n")
	require.NoError(t, a.project(t, "dancehall", "event", "userpreferences"), "the others go on")
	require.ErrorIs(t, a.project(t, "band"), readview.ErrNotRunning)
	got := d.status()["band"]
	require.Equal(t, "paused", got.State)
	require.EqualValues(t, 1, got.Behind, "what it handles")
	require.Nil(t, got.Error)
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM band"))

	require.Equal(t, "resumed band\n", d.done("readviews", "resume", "band"))
	require.NoError(t, a.project(t))
	require.EqualValues(t, 3, d.number("SELECT count(*) FROM band"))
	require.Equal(t, "live", d.status()["band"].State)
}

// What is in the status's table can be paused, not only projections.
func TestPauseOfRelayAndReactor(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	got := d.run("readviews", "pause", "band", "geocoding")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Empty(t, got.out, "all of it or nothing")
	require.Contains(t, got.err, "reactor geocoding has never run on this database")
	start(t, d.args([]string{"projector"})...)
	d.imports(july)
	require.NoError(t, d.app().project(t))
	require.Equal(t, "paused relay.in-process\npaused geocoding\n", d.done("readviews", "pause", "relay.in-process", "geocoding"))
	require.Equal(t, 2, strings.Count(d.done("readviews", "status"), "  paused  "))
	d.imports(header + "2026-08-01,21.00-01.00,Ängs,Nya logen,Mora,Mora,Dalarna,\n")
	require.NoError(t, d.app().manager.WaitFor(t.Context(), eventsourced.Position(d.number("SELECT max(tstamp) FROM events")), "dancehall"), "projections go on")
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM geocoding_job"), "the hall is not queued")
	d.done("readviews", "resume", "relay.in-process", "geocoding")
	require.Eventually(t, func() bool { return d.number("SELECT count(*) FROM geocoding_job") == 3 }, patience, patience/1000)
}

func TestReadviewsAfterAFailure(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	a := d.app()
	// An update of a dance that never was.
	poison, err := a.store.Registry().Encode(t.Context(), &domain.EventUpdated{Date: "2026-07-04", BandID: "3f0c64ae-1d2b-4c3d-9e5f-0123456789ab", DanceHallID: "3f0c64ae-1d2b-4c3d-9e5f-0123456789ab"})
	require.NoError(t, err)
	stream := eventsourced.Stream{AggregateName: domain.AggregateEvent, AggregateID: "00000000-aaaa-4bbb-8ccc-0123456789ab"}
	position, err := a.store.Append(t.Context(), stream, eventsourced.NoStream, poison)
	require.NoError(t, err)

	projector := start(t, d.args([]string{"projector"})...)
	require.ErrorIs(t, a.project(t, "event"), readview.ErrNotRunning)
	require.NoError(t, a.project(t, "band", "dancehall", "userpreferences"), "the others go on")
	got := d.status()["event"]
	require.Equal(t, "failed", got.State)
	require.Less(t, got.Position, int64(position))
	require.GreaterOrEqual(t, got.Behind, int64(1), "the event, and what geocoding found")
	require.NotNil(t, got.Error)
	require.Contains(t, *got.Error, "apply EventUpdated of domain.Event/00000000-aaaa-4bbb-8ccc-0123456789ab")
	text := d.done("readviews", "status")
	require.Regexp(t, `\nevent +projection +failed +\d{16}  \d{16}  \d+ `, text)
	require.Regexp(t, `\n\nevent failed at 2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ:\n  .*apply EventUpdated of .*\n  Fix the cause, then run 'dancefinder readviews resume event'\.\n$`, text)
	require.Equal(t, 1, strings.Count(projector.err.String(), "level=ERROR"), "the log says it once:\n%s", projector.err)

	_, err = d.Pool.Exec(t.Context(), `INSERT INTO event (id, event_date, start_time, end_time, extra_info, band_id, dance_hall_id, created, updated) SELECT $1, event_date, start_time, end_time, extra_info, band_id, dance_hall_id, created, updated FROM event LIMIT 1`, stream.AggregateID)
	require.NoError(t, err)
	require.Equal(t, "resumed event\n", d.done("readviews", "resume", "event"))
	require.NoError(t, a.project(t))
	require.Eventually(t, func() bool { return d.status()["event"].Error == nil }, patience, patience/1000, "the failure is off the record")
	require.NotContains(t, d.done("readviews", "status"), "failed")
}

// The queries of the specification, as they stand there.
const (
	checkProjectionStatus = `SELECT name, position,
(SELECT MAX(tstamp) FROM events) as latest_event
FROM readviews;`

	checkLag = `SELECT
rv.name,
rv.position as projection_position,
MAX(e.tstamp) as latest_event_time,
MAX(e.tstamp) - rv.position as lag_seconds
FROM readviews rv
CROSS JOIN events e
GROUP BY rv.name, rv.position;`

	countEvents = `-- Count events in event store by type
SELECT name, COUNT(*)
FROM events
WHERE aggregate_name = 'domain.Band'
GROUP BY name;`

	countBands = `-- Count bands in read model
SELECT COUNT(*) FROM band;`
)

func TestMonitoringQueries(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	projector := start(t, d.args([]string{"projector"})...)
	require.NoError(t, d.app().project(t))
	require.Equal(t, operate.ExitDone, projector.stop())
	projected := d.number("SELECT max(tstamp) FROM events")
	d.imports(header + "2026-08-01,21.00-01.00,Nya bandet,Logen,Mora,Mora,Dalarna,\n")
	latest := d.number("SELECT max(tstamp) FROM events")
	require.Greater(t, latest, projected)

	t.Run("check the status of projections", func(t *testing.T) {
		t.Parallel()
		var want [][]any
		for _, name := range projectionNames {
			want = append(want, []any{name, projected, latest})
		}
		require.ElementsMatch(t, want, d.rows(checkProjectionStatus))
	})
	t.Run("check their lag", func(t *testing.T) {
		t.Parallel()
		var want [][]any
		for _, name := range projectionNames {
			want = append(want, []any{name, projected, latest, latest - projected})
		}
		require.ElementsMatch(t, want, d.rows(checkLag))
	})
	t.Run("verify that the data is consistent", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, [][]any{{"BandCreated", int64(3)}}, d.rows(countEvents))
		require.Equal(t, [][]any{{int64(2)}}, d.rows(countBands), "the last one is not projected yet")
	})
}

func (d *database) rows(query string) (all [][]any) {
	d.t.Helper()
	rows, err := d.Pool.Query(d.t.Context(), query)
	require.NoError(d.t, err)
	defer rows.Close()
	for rows.Next() {
		row, err := rows.Values()
		require.NoError(d.t, err)
		all = append(all, row)
	}
	require.NoError(d.t, rows.Err())
	return all
}
