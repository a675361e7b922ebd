//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestPoisonEvent(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	position := d.number("SELECT min(tstamp) FROM events WHERE name = 'BandCreated'")
	at := fmt.Sprint(position)
	poison := func(payload string) {
		_, err := d.Pool.Exec(t.Context(), `UPDATE events SET payload = $1::text::jsonb WHERE tstamp = $2`, payload, position)
		require.NoError(t, err)
	}
	var payload string
	require.NoError(t, d.Pool.QueryRow(t.Context(), `SELECT payload::text FROM events WHERE tstamp = $1`, position).Scan(&payload))

	got := d.run("readviews", "show", "band")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.err, "does not stand at that event")
	rehearsal := d.done("readviews", "dry-run", "band", "--position", at)
	require.Contains(t, rehearsal, "INSERT band")
	require.Contains(t, rehearsal, "it would be applied")
	require.Zero(t, d.number("SELECT count(*) FROM band"))

	poison(`{"Name": 7}`)
	start(t, d.args([]string{"projector"})...)
	require.ErrorIs(t, d.app().project(t, "band"), readview.ErrNotRunning)
	show := d.done("readviews", "show", "band")
	require.Contains(t, show, "BandCreated")
	require.Contains(t, show, `"Name": 7`)
	require.Contains(t, show, "it can't be decoded: ")
	require.Contains(t, show, "failed 3 times")
	var shown struct {
		Position int64
		Failure  struct{ Error string }
		Problem  string
	}
	require.NoError(t, json.Unmarshal([]byte(d.done("readviews", "show", "band", "--json")), &shown))
	require.Equal(t, position, shown.Position)
	require.Contains(t, shown.Failure.Error, shown.Problem)
	got = d.run("readviews", "dry-run", "band")
	require.Equal(t, operate.ExitFound, got.code)
	require.Contains(t, got.out, "it would fail")

	for _, wrong := range [][]string{{"skip", "band"}, {"skip", "band", "--position", at}, {"park", "band", "--reason", "x"}, {"retry"}, {"show", "nonsense"}, {"log", "--limit", "-1"}} {
		require.Equal(t, operate.ExitUsage, d.run(append([]string{"readviews"}, wrong...)...).code, wrong)
	}
	got = d.run("readviews", "skip", "band", "--position", fmt.Sprint(position+1), "--reason", "a test")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, d.done("readviews", "skip", "band", "--position", at, "--reason", "a test", "--dry-run"), "would never apply BandCreated of ")
	require.Contains(t, d.done("readviews", "park", "band", "--position", at, "--reason", "later"), "parked BandCreated of ")
	require.NoError(t, d.app().project(t, "band"))
	require.EqualValues(t, 1, d.number("SELECT count(*) FROM band"))
	require.Regexp(t, `BandCreated .* later \(\S+@\S+\) `, d.done("readviews", "parked", "band"))
	require.Contains(t, d.done("readviews", "parked", "band", "--json"), `"reason": "later"`)
	require.Contains(t, d.done("readviews", "status"), "band has parked 1 event: 'dancefinder readviews parked band' lists what is parked.")

	got = d.run("readviews", "retry", "band")
	require.Equal(t, operate.ExitFound, got.code)
	require.Contains(t, got.out, "0 applied, 1 still parked")
	poison(payload)
	require.Contains(t, d.done("readviews", "retry", "band", "--dry-run"), at)
	require.JSONEq(t, `{"projection": "band", "applied": 1, "left": 0, "failed": []}`, d.done("readviews", "retry", "band", "--json"))
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM band"))

	poison(`{"Name": 7}`)
	d.done("readviews", "reset", "band")
	require.ErrorIs(t, d.app().project(t, "band"), readview.ErrNotRunning)
	d.done("readviews", "skip", "band", "--position", at, "--reason", "a test")
	require.NoError(t, d.app().project(t, "band"))
	require.Contains(t, d.done("readviews", "skipped", "band"), "a test (")
	require.Contains(t, d.done("readviews", "status"), "band lacks 1 skipped event:")
	explained := d.done("readviews", "explain", "band", "--where", "name = 'Zetas' OR name = 'Ängs'")
	require.Regexp(t, `^position \d{16}  \S+  BandCreated of domain.Band/\S+, version 1, id \S+.*\n  INSERT band \{"id": "\S+"\}\n(    .*\n)*    name: "(Zetas|Ängs)"\n(    .*\n)*now: \{.*\}\n$`, explained)
	require.True(t, json.Valid([]byte(d.done("readviews", "explain", "band", "--where", "true", "--json"))))
	require.Equal(t, operate.ExitUsage, d.run("readviews", "explain", "band").code)
	log := d.done("readviews", "log", "band")
	require.Equal(t, []string{"COMMAND", "skip", "park", "retry", "retry", "reset", "skip"}, column(log, 4))
	require.Regexp(t, `park +\S+@\S+ +position="`+at+`" reason="later" +done`, log)
	require.Equal(t, operate.ExitUsage, d.run("readviews", "log", "nonsense").code)
}

// column returns one of a table.
func column(table string, i int) (all []string) {
	for line := range strings.Lines(table) {
		all = append(all, strings.Fields(line)[i])
	}
	return all
}
