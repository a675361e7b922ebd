//go:build unix

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/internal/legacytest"
	"github.com/dancefinder/eventsourcing/operate"
)

// eventsOfRows counts those that the rows of a legacy database amount to, but for those that
// take names.
const eventsOfRows = `SELECT (SELECT count(*) FROM band) + (SELECT count(*) + count(latitude) FROM dance_hall)
	+ (SELECT count(*) + count(*) FILTER (WHERE created <> updated) FROM event) + (SELECT count(*) FROM origin)
	+ (SELECT count(*) FROM ignored_band) + (SELECT count(*) FROM ignored_dance_hall) + (SELECT count(*) FROM ignored_city)
	+ (SELECT count(*) FROM ignored_municipality) + (SELECT count(*) FROM ignored_state)`

const recorded = "SELECT count(*) FROM events WHERE name NOT LIKE '%NameTaken'"

func TestAdoptionThatIsKilled(t *testing.T) {
	t.Parallel()
	d := newLegacy(t, medium)
	legacytest.Exec(t, d.Pool, rename)
	d.done("migrate", "up")
	want, total := d.contents(), d.number(eventsOfRows)
	for _, part := range []int64{20, total / 3, total * 2 / 3} {
		child := spawn(t, nil, d.args([]string{"adopt-legacy"})...)
		require.Eventually(t, func() bool { return d.number(recorded) > part }, patience, 5*time.Millisecond)
		// Whatever it is at, it gets no further.
		gate, err := d.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = gate.Exec(t.Context(), "LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE")
		require.NoError(t, err)
		require.Less(t, d.number(recorded), total, "it is not through yet")
		require.NoError(t, child.command.Process.Kill())
		require.Equal(t, -1, child.wait())
		require.NoError(t, gate.Rollback(t.Context()))
		require.Equal(t, want, d.contents(), "the tables are not touched")
	}
	got := d.run("adopt-legacy")
	require.Equal(t, operate.ExitDone, got.code, got.err)
	require.Equal(t, total, d.number(recorded), "each row once")
	require.Equal(t, d.number("SELECT count(*) FROM events WHERE name LIKE '%NameTaken'"),
		d.number(`SELECT count(DISTINCT aggregate_id) FROM events WHERE name LIKE '%NameTaken'`))

	start(t, d.args([]string{"projector"})...)
	require.NoError(t, d.app().project(t))
	require.Equal(t, want, d.contents())
	d.done("readviews", "reset", "band", "dancehall", "event", "userpreferences")
	require.NoError(t, d.app().project(t))
	require.Equal(t, want, d.contents())
}

func TestAdoptionsAtOnce(t *testing.T) {
	t.Parallel()
	d := newLegacy(t, legacytest.Small)
	legacytest.Exec(t, d.Pool, rename)
	d.done("migrate", "up")
	gate, err := d.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = gate.Exec(t.Context(), "LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE")
	require.NoError(t, err)
	first := start(t, d.args([]string{"adopt-legacy"})...)
	require.Eventually(t, func() bool {
		return d.number(fmt.Sprintf("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '%s.events'::regclass", d.Schema)) > 0
	}, patience, 5*time.Millisecond)
	second := d.run("adopt-legacy")
	require.Equal(t, operate.ExitFailed, second.code)
	require.Contains(t, second.err, "rows are being adopted by another process")
	require.NoError(t, gate.Rollback(t.Context()))
	require.Equal(t, operate.ExitDone, first.wait(patience), first.err)
	require.Equal(t, d.number(eventsOfRows), d.number(recorded))
}
