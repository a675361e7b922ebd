package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/stretchr/testify/require"
)

func TestReactorsParked(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	const first, second, other = "01a21ad0-b542-7b2f-a278-048a4a19a580", "01a21ad0-b542-7478-a6f9-d17d741a3bb7", "01a21ad0-b542-74de-ab25-8f57f0a90d56"
	_, err := d.Pool.Exec(t.Context(), `INSERT INTO consumers (name, topic) VALUES ('mails', '$reactor');
		INSERT INTO parked_events (name, position, event_id, event_name, aggregate_name, aggregate_id, error, tries) VALUES
		('mails', 7, '`+first+`', 'BandCreated', 'domain.Band', 'a', 'the server is away', 9),
		('mails', 8, '`+second+`', 'BandRenamed', 'domain.Band', 'a', NULL, 0),
		('mails', 9, '`+other+`', 'BandCreated', 'domain.Band', 'b', 'no address', 1)`)
	require.NoError(t, err)
	due := func() int64 {
		return d.number("SELECT coalesce(sum(position), 0)::bigint FROM parked_events WHERE due")
	}

	require.Regexp(t, `^ID .*\n`+first+` +BandCreated +domain\.Band/a +7 +9 .* the server is away\n`+second+` +BandRenamed .* \(waits for those before it\)\n`+other+` .* no address\n$`,
		d.done("reactors", "parked", "mails"))
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(d.done("reactors", "parked", "mails", "--json")), &rows))
	require.Len(t, rows, 3)
	delete(rows[1], "time")
	require.Equal(t, map[string]any{"id": second, "event": "BandRenamed", "stream": "domain.Band/a", "position": 8.0, "error": nil, "tries": 0.0, "due": false}, rows[1])
	require.Contains(t, d.done("reactors", "status"), "mails has parked 3 events")
	require.NotContains(t, d.done("reactors", "status"), "band ")
	var statuses []struct {
		Name   string
		Parked int64
	}
	require.NoError(t, json.Unmarshal([]byte(d.done("readviews", "status", "--json")), &statuses))
	require.Contains(t, statuses, struct {
		Name   string
		Parked int64
	}{"mails", 3})
	got := d.run("reactors", "status", "--check", "--max-parked", "2")
	require.Equal(t, operate.ExitFound, got.code)
	require.Contains(t, got.err, "reactor mails has parked 3 events, more than 2")
	require.Equal(t, operate.ExitDone, d.run("reactors", "status", "--check", "--max-parked", "3").code)

	require.Equal(t, "1 parked events are tried again\n", d.done("reactors", "resume", "mails", "--event", first))
	require.EqualValues(t, 7, due(), "only that one")
	require.Equal(t, "2 parked events are tried again\n", d.done("reactors", "resume", "mails", "--stream", "domain.Band/a"))
	require.EqualValues(t, 15, due())
	require.JSONEq(t, `{"resumed": 3}`, d.done("reactors", "resume", "mails", "--json"))
	require.EqualValues(t, 24, due())

	require.Contains(t, d.done("reactors", "skip", "mails", "--event", other, "--reason", "a test", "--dry-run"), "would skip BandCreated of domain.Band/b at position 9: no address")
	require.EqualValues(t, 24, due())
	require.Contains(t, d.done("reactors", "skip", "mails", "--event", other, "--reason", "a test"), "skipped BandCreated")
	require.EqualValues(t, 15, due())
	require.Contains(t, d.done("reactors", "skipped", "mails"), "a test: no address")
	got = d.run("reactors", "skip", "mails", "--event", other, "--reason", "a test")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.err, "not parked")
	d.done("readviews", "pause", "mails")
	log := d.done("readviews", "log", "mails", "--limit", "3")
	require.Equal(t, []string{"COMMAND", "resume", "skip", "pause"}, column(log, 4))
	require.Regexp(t, `reactor +mails +skip +\S+@\S+ +event="`+other+`" reason="a test" +done\n`, log)
	require.Contains(t, d.run("reactors", "resume", "mails", "--stream", "domain.Band/b").err, "not parked")
	for says, args := range map[string][]string{
		"unknown reactor":      {"reactors", "parked", "nonsense"},
		"name one reactor":     {"reactors", "resume"},
		"choose one":           {"reactors", "resume", "mails", "--event", first, "--stream", "a/b"},
		"want AGGREGATE/ID":    {"reactors", "resume", "mails", "--stream", "nonsense"},
		"--event \"nonsense\"": {"reactors", "resume", "mails", "--event", "nonsense"},
		"--reason: say why":    {"reactors", "skip", "mails", "--event", first},
		"go with --check":      {"reactors", "status", "--max-parked", "1"},
		"--position P of one":  {"reactors", "skip", "mails", "--reason", "a"},
		"did you mean mails?":  {"reactors", "park", "mail", "--position", "7", "--reason", "a"},
		"say which event":      {"reactors", "park", "mails", "--reason", "a"},
	} {
		got := d.run(args...)
		require.Equal(t, operate.ExitUsage, got.code, args)
		require.Contains(t, got.err, says)
	}
}

// An event that a reactor goes on trying, or has stopped at, is parked or skipped from the command line, too.
func TestReactorsParkWhatFails(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	const first, second = "01a21ad0-b542-7b2f-a278-048a4a19a580", "01a21ad0-b542-7478-a6f9-d17d741a3bb7"
	_, err := d.Pool.Exec(t.Context(), `INSERT INTO consumers (name, topic, position, stopped, error, since, attempts, tried_at, failed_event, failed_name, failed_position, node, lease_until, lease_length) VALUES
		('mails', '$reactor', 0, false, 'the server is away', now(), 9, now(), '`+first+`', 'BandCreated', 7, 'a', now() + interval '1 h', '1 h'),
		('letters', '$reactor', 0, true, 'no address', now(), 9, now(), '`+second+`', 'BandRenamed', 8, '', '-infinity', '0')`)
	require.NoError(t, err)
	asked := func() (rows []string) {
		for _, row := range d.rows(`SELECT concat_ws(' ', name, event_id, skip, reason) FROM reactor_asked ORDER BY 1`) {
			rows = append(rows, row[0].(string))
		}
		return rows
	}
	const would = "would do: mails will park it when it fails again: BandCreated at position 7, which fails with: the server is away\n"
	require.Equal(t, would, d.done("reactors", "park", "mails", "--position", "7", "--reason", "mended tomorrow", "--dry-run"))
	require.Empty(t, asked())
	got := d.run("reactors", "park", "mails", "--position", "8", "--reason", "mended tomorrow")
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.err, "the reactor does not fail at that event: that is at position 7")
	require.Equal(t, strings.TrimPrefix(would, "would do: "), d.done("reactors", "park", "mails", "--position", "7", "--reason", "mended tomorrow"))
	require.JSONEq(t, `{"reactor": "letters", "event": "`+second+`", "position": 8, "reason": "a test",
		"outcome": "letters will skip it when it fails again: BandRenamed at position 8, which fails with: no address; it goes on now"}`,
		d.done("reactors", "skip", "letters", "--position", "8", "--reason", "a test", "--json"))
	require.Equal(t, []string{"letters " + second + " t a test", "mails " + first + " f mended tomorrow"}, asked())
	require.Zero(t, d.number(`SELECT count(*) FROM consumers WHERE stopped`), "it goes on")
	require.Equal(t, []string{"COMMAND", "park", "skip", "resume"}, column(d.done("readviews", "log", "mails", "letters"), 4))
	require.Contains(t, d.done("reactors", "status"), "reactors park mails --position 7 --reason TEXT', or skip in place of park")
}
