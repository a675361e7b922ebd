package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/stretchr/testify/require"
)

// An event that can't be published is left out by a command, and the relay goes on.
func TestRelaySkip(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	good := d.number("SELECT min(tstamp) FROM events")
	bad := d.number("SELECT max(tstamp) FROM events")
	_, err := d.Pool.Exec(t.Context(), "UPDATE events SET schema_version = 99 WHERE tstamp = $1", bad)
	require.NoError(t, err)
	skip := func(position int64, more ...string) result {
		return d.run(append([]string{"relay", "skip", "--position", fmt.Sprint(position), "--reason", "of another world"}, more...)...)
	}
	got := skip(good, "--yes")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.err, "the event is not in the way")
	require.Contains(t, skip(bad, "--dry-run").err, "this program is older than the event")
	_, err = d.Pool.Exec(t.Context(), `INSERT INTO consumers (name, topic, error, since, tried_at, attempts, failed_event, failed_name, failed_position)
		SELECT 'relay', '$relay', 'it was written by a newer version', now(), now(), 3, id, name, tstamp FROM events WHERE tstamp = $1`, bad) // the relay is no newer one
	require.NoError(t, err)
	require.Contains(t, skip(bad, "--dry-run").out, fmt.Sprintf("at position %d", bad))
	require.Zero(t, d.number("SELECT count(*) FROM relay_skips"))
	require.Regexp(t, `^skipped \w+ at position \d+, id \S+: .*newer version`, skip(bad, "--yes").out)
	require.Regexp(t, `^skipped already `, skip(bad, "--yes").out)
	require.Equal(t, operate.ExitUsage, d.run("relay", "skip", "--position", "7").code)
	require.Equal(t, operate.ExitUsage, d.run("relay", "skip", "--reason", "none").code)

	require.Regexp(t, `^POSITION .*\n\d+ .* \S+@\S+ .* of another world `, d.done("relay", "skipped"))
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(d.done("relay", "skipped", "--json")), &all))
	require.Len(t, all, 1)
	require.Regexp(t, `^\S+@\S+$`, all[0]["actor"])
	require.Equal(t, float64(bad), all[0]["position"])
	require.Equal(t, "[]\n", d.done("relay", "skipped", "--json", "--relay", "relay.in-process"))
	require.Equal(t, "[]\n", d.done("relay", "published", "--json"), "it has never run")
}
