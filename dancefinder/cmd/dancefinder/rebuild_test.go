//go:build linux

package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/operate"
)

// An operator finds a row that somebody has changed, rebuilds, and goes back.
func TestVerifyAndRebuild(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	start(t, d.args([]string{"projector"})...)
	require.NoError(t, d.app().project(t, "band", "dancehall", "event"))
	require.Contains(t, d.done("readviews", "verify", "band", "dancehall", "event", "userpreferences"), "equal, at position")

	_, err := d.Pool.Exec(t.Context(), `UPDATE band SET name = 'by hand' WHERE id = (SELECT min(id::text)::uuid FROM band)`)
	require.NoError(t, err)
	got := d.run("readviews", "verify", "band")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.out, `name is "by hand", a replay gives "`)
	require.Contains(t, d.done("readviews", "rebuild", "band", "--dry-run"), "band: would replay")
	got = d.run("readviews", "rebuild", "band", "--verify", "--yes")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.err, "band: 0 rows lacking, 1 different, 0 too many")
	require.EqualValues(t, 1, d.number("SELECT count(*) FROM band WHERE name = 'by hand'"))

	var rebuilt []struct {
		How    string
		Tables []struct{ Updated int64 }
	}
	require.NoError(t, json.Unmarshal([]byte(d.done("readviews", "rebuild", "band", "dancehall", "--yes", "--json")), &rebuilt))
	require.Len(t, rebuilt, 2)
	require.EqualValues(t, 1, rebuilt[0].Tables[0].Updated)
	require.Zero(t, d.number("SELECT count(*) FROM band WHERE name = 'by hand'"))
	require.Contains(t, d.done("readviews", "rollback", "band", "--yes"), "1 updated")
	require.EqualValues(t, 1, d.number("SELECT count(*) FROM band WHERE name = 'by hand'"))
	require.Contains(t, d.done("readviews", "rebuild", "event", "--how", "auto", "--keep", "0s"), "0 rows inserted")
	require.Contains(t, d.done("readviews", "cleanup", "--kept"), "removed")
	require.Contains(t, d.done("readviews", "log"), "rollback")

	for _, wrong := range [][]string{{"rebuild"}, {"rebuild", "nonsense"}, {"rebuild", "band", "--how", "magic"}, {"rebuild", "band", "--how", "ask"}, {"verify"}} {
		require.Equal(t, operate.ExitUsage, d.run(append([]string{"readviews"}, wrong...)...).code, wrong)
	}
}
