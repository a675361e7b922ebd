//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/stretchr/testify/require"
)

func TestReadviewsResetOptions(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	projector := start(t, d.args([]string{"projector"})...)
	require.NoError(t, d.app().project(t))
	bands := d.number("SELECT count(*) FROM band")
	require.NotZero(t, bands)

	t.Run("say what a reset would empty, and leave it", func(t *testing.T) {
		got := d.done("readviews", "reset", "--all", "--dry-run")
		require.Regexp(t, `^PROJECTION +AT POSITION +EMPTIES +ROWS\nband +\d{16} +band +2\ndancehall +\d{16} +dance_hall +2\nevent +\d{16} +event +3\nuserpreferences +\d{16} +origin +0\n`, got)
		require.Equal(t, bands, d.number("SELECT count(*) FROM band"))
	})
	t.Run("wait until all of it is applied again", func(t *testing.T) {
		_, err := d.Pool.Exec(t.Context(), "UPDATE band SET name = name || '?'")
		require.NoError(t, err)
		got := d.run("readviews", "reset", "--all", "--wait")
		require.Equal(t, operate.ExitDone, got.code, got.err)
		require.Equal(t, "reset band\nreset dancehall\nreset event\nreset userpreferences\n", got.out)
		require.Regexp(t, `projecting: \d+( of \d+)? events in .*, \d+ a second\n$`, got.err)
		require.EqualValues(t, 2, d.number("SELECT count(*) FROM band WHERE name IN ('Ängs', 'Zetas')"))
		for _, s := range d.status() {
			require.Equal(t, s.Head, s.Position)
		}
	})
	require.Equal(t, operate.ExitDone, projector.stop())
	t.Run("tell who waits that nobody is at work", func(t *testing.T) {
		waiting := start(t, d.args([]string{"readviews", "reset", "band", "--wait"})...)
		waiting.await(waiting.err, "nobody runs band: start 'dancefinder projector'; it goes on waiting\n", patience)
		start(t, d.args([]string{"projector"})...)
		require.Equal(t, operate.ExitDone, waiting.wait(patience))
	})
}

func TestStatusCheck(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	check := func(args ...string) result {
		return d.run(append([]string{"readviews", "status", "--check"}, args...)...)
	}
	require.Equal(t, operate.ExitDone, check().code, "nothing has happened yet")
	d.imports(july)
	require.Equal(t, operate.ExitDone, check().code, "seven events are not many, and not late")

	got := check("--max-behind", "2")
	require.Equal(t, operate.ExitFound, got.code)
	require.Contains(t, got.err, "projection event (standby) is 3 events behind, more than 2\n")
	require.NotContains(t, got.err, "projection band (", "two are not more than two")
	require.Contains(t, got.out, "NAME ", "the table is there all the same")
	got = check("--max-lag", "1us", "--json")
	require.Equal(t, operate.ExitFound, got.code)
	require.Regexp(t, `projection band \(standby\) is \d+s behind, more than 1µs\n`, got.err)
	require.True(t, json.Valid([]byte(got.out)))

	_, err := d.Pool.Exec(t.Context(), `INSERT INTO consumers (name, topic) VALUES ('relay', '$relay')`)
	require.NoError(t, err)
	require.Equal(t, operate.ExitFound, d.run("relay", "status", "--check", "--max-behind", "6").code)

	d.done("readviews", "pause", "band", "dancehall", "event", "userpreferences")
	got = check("--max-behind", "1")
	require.NotContains(t, got.err, "projection", "somebody has paused them, and knows")
	require.Contains(t, got.err, "reactor geocoding")
}

func TestStatusesForPrograms(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	for _, command := range [][]string{{"relay", "status"}, {"geocoding", "status"}, {"migrate", "status"}} {
		var document any
		require.NoError(t, json.Unmarshal([]byte(d.done(append(command, "--json")...)), &document), command)
	}
	require.JSONEq(t, `{"done": 0, "pending": 0, "not_found": 0, "failed": 0}`, d.done("geocoding", "status", "--json"))
	require.Contains(t, d.done("migrate", "status", "--json"), `"name": "00001_legacy.sql",`+"\n    "+`"applied": true`)

	_, err := d.Pool.Exec(t.Context(), `INSERT INTO consumers (name, topic, error, tried_at, since, attempts, failed_event, failed_name, failed_position) VALUES
		('relay', '$relay', 'the broker is down', now(), now() - interval '1 hour', 3, gen_random_uuid(), 'BandCreated', 7)`)
	require.NoError(t, err)
	var relays []struct {
		Error   string
		Failure struct {
			Event, Advice string
			Tries         int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(d.done("relay", "status", "--json")), &relays))
	require.Len(t, relays, 1)
	require.Contains(t, relays[0].Error, "the broker is down")
	require.Regexp(t, `^BandCreated, position 7, id `, relays[0].Failure.Event)
	require.Equal(t, 3, relays[0].Failure.Tries)
	require.NotEmpty(t, relays[0].Failure.Advice)
}

func TestResetAsksInATerminal(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	projector := start(t, d.args([]string{"projector"})...)
	require.NoError(t, d.app().project(t))
	require.Equal(t, operate.ExitDone, projector.stop())
	reset := func(answer string, options ...string) result {
		keyboard, terminal := openTerminal(t)
		_, err := keyboard.WriteString(answer)
		require.NoError(t, err)
		var out, errOut bytes.Buffer
		code := operate.Run(t.Context(), rootCommand(), d.args(append([]string{"readviews", "reset", "band"}, options...)), terminal, &out, &errOut)
		return result{code, out.String(), errOut.String()}
	}
	got := reset("\n")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Regexp(t, `(?s)^PROJECTION .*\nband .* band +2\nEmpty these tables and apply all events again\? \[y/N\] dancefinder: nothing was done\n$`, got.err)
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM band"))
	require.Equal(t, operate.ExitDone, reset("\n", "--dry-run").code)
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM band"))

	require.Equal(t, result{operate.ExitDone, "reset band\n", ""}, reset("", "--yes"))
	require.Zero(t, d.number("SELECT count(*) FROM band"))
	require.Equal(t, "reset band\n", reset("y\n").out)
}
