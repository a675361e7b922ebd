package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadviewsStatus(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	t.Run("of an empty database is a table of zeros", func(t *testing.T) {
		require.Equal(t, ""+
			"NAME             KIND        STATE    POSITION  HEAD  BEHIND  LAG  NODE\n"+
			"band             projection  standby  0         0     0       0s   -\n"+
			"dancehall        projection  standby  0         0     0       0s   -\n"+
			"event            projection  standby  0         0     0       0s   -\n"+
			"userpreferences  projection  standby  0         0     0       0s   -\n"+
			"geocoding        reactor     standby  0         0     0       0s   -\n", d.done("readviews", "status"))
	})
	d.imports(july)
	names, kinds := append(slices.Clone(projectionNames), "geocoding"), []string{"projection", "projection", "projection", "projection", "reactor"}
	behind := []int{2, 2, 3, 2, 2} // of what each handles
	t.Run("tells how far behind each projection is", func(t *testing.T) {
		pattern := `^NAME .*\n`
		for i, name := range names {
			pattern += fmt.Sprintf(`%s +%s +standby  0         \d{16}  %d       [0-9.]+m?s +-\n`, name, kinds[i], behind[i])
		}
		require.Regexp(t, pattern+"$", d.done("readviews", "status"))
	})
	t.Run("is JSON with exactly the keys that programs know", func(t *testing.T) {
		text := d.done("readviews", "status", "--json")
		var rows []map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &rows))
		require.Len(t, rows, len(names))
		head := d.number("SELECT max(tstamp) FROM events")
		for i, row := range rows {
			require.Greater(t, row["lag_seconds"], 0.0)
			delete(row, "lag_seconds")
			require.Equal(t, map[string]any{
				"name": names[i], "kind": kinds[i], "state": "standby", "position": 0.0, "head": float64(head), "behind": float64(behind[i]), "more": false, "parked": 0.0, "node": "", "topic": "", "error": nil, "failure": nil,
				"version": 0.0, "estimate": float64(behind[i]), "rate": 0.0, "left_seconds": 0.0, "skipped": 0.0, "rebuild": nil, "verify": nil, "verify_every_seconds": 0.0, "refused": "", "asked": "",
			}, row)
		}
		require.Regexp(t, `^\[\s+\{\s+"name": .*,\s+"topic": "",\s+"kind": .*,\s+"state": .*,\s+"position": .*,\s+"head": .*,\s+"behind": .*,\s+"more": false,\s+"lag_seconds": .*,\s+"parked": 0,\s+"node": "",\s+"error": null,\s+"failure": null,\s+"version": 0,\s+"estimate": 2,\s+"rate": 0,\s+"left_seconds": 0,\s+"skipped": 0,\s+"rebuild": null,\s+"verify": null,\s+"verify_every_seconds": 0,\s+"refused": "",\s+"asked": ""\s+\}`, text)
	})
	t.Run("shows who applies a projection", func(t *testing.T) {
		start(t, d.args([]string{"projector"})...)
		require.NoError(t, d.app().project(t))
		require.Regexp(t, `\nband +projection +live +\d{16}  \d{16}  0       0s +\S+:\d+\b`, d.done("readviews", "status"))
	})
}

// What runs is in the database, whatever the environment of the one who looks.
func TestStatusShowsWhatIsRegistered(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	require.Regexp(t, `^NAME .*\n$`, d.done("relay", "status"), "no relay has run")
	_, err := d.Pool.Exec(t.Context(), `INSERT INTO consumers (name, topic) VALUES ('mails', '$reactor'), ('someone', '$all');
		INSERT INTO consumers (name, topic, error, tried_at, since, attempts, failed_event, failed_name, failed_position) VALUES
		('relay', '$relay', 'the broker is down', now(), now() - interval '1 hour', 3, gen_random_uuid(), 'BandCreated', 7)`)
	require.NoError(t, err)
	for _, amqp := range [][]string{nil, {"--amqp-url", "amqp://guest:guest@127.0.0.1:1/"}} {
		text := d.done(append([]string{"relay", "status"}, amqp...)...)
		require.Regexp(t, `^NAME .*\nrelay +relay +[a-z]+ +0 .*\n\nrelay is [a-z]+, as of .*Z:\n  BandCreated, position 7, id \S+: the broker is down \(tries: 3, since .*Z\)\n  It tries again by itself once the cause is gone\.\n$`, text)
		text = d.done(append([]string{"readviews", "status"}, amqp...)...)
		require.Regexp(t, `\nmails +reactor .*\nrelay +relay .*\nsomeone +subscriber .*\ngeocoding +reactor .*\n\nrelay is `, text)
		require.NotContains(t, text, "in-process")
	}
}

// One process is one node, whatever it runs.
func TestProjectorIsOneNode(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	start(t, d.args([]string{"projector"})...)
	require.NoError(t, d.app().project(t))
	var all []struct{ Node string }
	require.NoError(t, json.Unmarshal([]byte(d.done("readviews", "status", "--json")), &all))
	nodes := map[string]int{}
	for _, status := range all {
		nodes[status.Node]++
	}
	require.Len(t, nodes, 1, "projections, relay and reactor: %v", nodes)
	require.NotContains(t, nodes, "")
}
