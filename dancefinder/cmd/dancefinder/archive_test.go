package main

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/operate"
)

// What operators do: look, move, and go on, with every process told of the directory.
func TestLogArchive(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	_, err := d.Pool.Exec(t.Context(), "UPDATE events SET tstamp = tstamp - 30 * 86400000000")
	require.NoError(t, err)
	all, dir := d.number("SELECT count(*) FROM events"), t.TempDir()
	before := time.Now().Add(-10 * 24 * time.Hour).Format(time.DateOnly)

	t.Run("is wrong usage without a date that there is, and without a directory", func(t *testing.T) {
		for line, says := range map[string][]string{
			"--before \"soon\"": {"log", "archive", "--to", dir, "--before", "soon"},
			"--to: want":        {"log", "archive", "--before", before},
		} {
			got := d.run(says...)
			require.Equal(t, operate.ExitUsage, got.code)
			require.Contains(t, got.err, line)
		}
	})
	t.Run("tells before what it would do", func(t *testing.T) {
		require.Regexp(t, `^\d+ events would be archived`, d.done("log", "archive", "--before", before, "--to", dir, "--dry-run"))
		require.Equal(t, all, d.number("SELECT count(*) FROM events"))
	})
	t.Run("is refused while this program could not read the files, and for events of today", func(t *testing.T) {
		got := d.run("log", "archive", "--before", before, "--to", dir, "--yes")
		require.Equal(t, operate.ExitFailed, got.code)
		require.Contains(t, got.err, "ARCHIVE_DIR")
		got = d.run("--archive-dir", dir, "log", "archive", "--before", time.Now().UTC().Format(time.RFC3339), "--to", dir, "--yes")
		require.Equal(t, operate.ExitFailed, got.code)
		require.Contains(t, got.err, "24 hours")
		require.Equal(t, all, d.number("SELECT count(*) FROM events"))
	})
	t.Run("is interrupted, and says that nothing is lost", func(t *testing.T) {
		tx, err := d.Pool.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(t.Context()) }()
		_, err = tx.Exec(t.Context(), "LOCK TABLE log_archive IN SHARE MODE") // which lets nobody register
		require.NoError(t, err)
		p := start(t, d.args([]string{"--archive-dir", dir, "log", "archive", "--before", before, "--to", dir, "--yes", "--segment-events", "5"})...)
		require.Eventually(t, func() bool {
			return d.number("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'log_archive'::regclass") == 1
		}, patience, patience/1000)
		p.cancel()
		<-p.ended
		require.Equal(t, operate.ExitInterrupted, p.code)
		require.Contains(t, p.err.String(), "The log is whole")
		require.NotContains(t, p.out.String(), "nothing to archive")
		require.Equal(t, all, d.number("SELECT count(*) FROM events"))
	})
	t.Run("moves events, and what reads the log goes on", func(t *testing.T) {
		var report struct {
			Events, Removed, Kept int64
			Files                 []string
		}
		text := d.done("--archive-dir", dir, "log", "archive", "--before", before, "--to", dir, "--yes", "--segment-events", "5", "--json")
		require.NoError(t, json.Unmarshal([]byte(text), &report))
		require.Equal(t, all, report.Events)
		require.Equal(t, report.Events, report.Removed+report.Kept)
		require.Equal(t, report.Kept, d.number("SELECT count(*) FROM events"))
		require.Len(t, report.Files, int(all+4)/5)
		require.Contains(t, d.done("readviews", "log"), "archived up to position")
		require.Equal(t, "nothing to archive\n", d.done("--archive-dir", dir, "log", "archive", "--before", before, "--to", dir, "--yes"))

		table := d.done("log", "partitions")
		require.Contains(t, table, report.Files[0])
		require.Regexp(t, `(?m)^0 +0 +- .* the database$`, table)
		var rows []map[string]any
		require.NoError(t, json.Unmarshal([]byte(d.done("log", "partitions", "--json")), &rows))
		require.Len(t, rows, len(report.Files)+1)

		a, err := openApp(t.Context(), appOptions{databaseURL: d.URL, archive: dir, logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(a.Close)
		n := int64(0)
		for _, err := range a.store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, all, n)
	})
}
