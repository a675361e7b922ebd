//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/stretchr/testify/require"
)

// long is a listing of n dances in July and August.
func long(n int) string {
	var b strings.Builder
	b.WriteString(header)
	for i := range n {
		_, _ = fmt.Fprintf(&b, "2026-0%d-%02d,21.00-01.00,Band %d,Hall %d,Malung,Malung-Sälen,Dalarna,\n", 7+i%2, 1+i%31, i%20, i)
	}
	return b.String()
}

// feed starts an import in a process of its own that gets text, and then waits for more.
func (d *database) feed(t *testing.T, text string) *child {
	t.Helper()
	stdin, writer, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, writer.Close()) })
	c := spawn(t, stdin, d.args([]string{"import", "-"})...)
	require.NoError(t, stdin.Close(), "the child has it")
	_, err = writer.WriteString(text)
	require.NoError(t, err)
	return c
}

// enough makes an import read on: rows are read in pieces.
func enough(text string) string { return text + strings.Repeat("\n", 300_000) }

func TestImportsAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("come one after the other", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		file := filepath.Join(t.TempDir(), "long.csv")
		write(t, file, long(150))
		var group sync.WaitGroup
		results := make([]result, 3)
		for i := range results {
			group.Go(func() { results[i] = d.run("import", file) })
		}
		group.Wait()
		created := 0
		for _, r := range results {
			require.Equal(t, operate.ExitDone, r.code, r.err)
			if strings.Contains(r.out, "  150      0        0 ") {
				created++
			}
		}
		require.Equal(t, 1, created, results)
		require.EqualValues(t, 150, d.number("SELECT count(*) FROM events WHERE name = 'EventCreated'"))
		require.EqualValues(t, 320, d.number("SELECT count(*) FROM events"), "150 dances, 20 bands, 150 halls")
	})
	t.Run("wait and say for what, and go on when the first is killed", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		csvFile, _ := folder(t)
		first := d.feed(t, enough(long(10)))
		require.Eventually(t, func() bool { return d.number("SELECT count(*) FROM events") > 0 }, patience, 5*time.Millisecond)
		second := start(t, d.args([]string{"import", csvFile})...)
		said := second.await(second.err, "to end", patience)
		require.Regexp(t, `^import: waiting for the import of standard input to end, which began at \d\d:\d\d:\d\d \(server process \d+\)\n`, said)
		third := start(t, d.args([]string{"import", csvFile})...)
		third.await(third.err, "to end", patience)
		require.Equal(t, operate.ExitInterrupted, third.stop(), "who waits can be stopped")
		require.Zero(t, d.number("SELECT count(*) FROM events WHERE payload->>'name' = 'Zetas'"))
		require.NoError(t, first.command.Process.Kill())
		require.Equal(t, operate.ExitDone, second.wait(patience), second.err)
		require.EqualValues(t, 1, d.number("SELECT count(*) FROM events WHERE payload->>'name' = 'Zetas'"))
	})
}

// What an import has done when it is stopped is whole, and the next one does the rest.
func TestImportThatIsStopped(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*child) error{
		"by a kill":   func(c *child) error { return c.command.Process.Kill() },
		"by a Ctrl-C": func(c *child) error { return c.command.Process.Signal(syscall.SIGINT) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newTables(t)
			d.imports(long(20))
			old := strings.ReplaceAll(long(20), "Hall", "Old hall")
			d.imports(old)
			text := long(80)
			c := d.feed(t, enough(text[:len(text)/2]))
			require.Eventually(t, func() bool { return d.number("SELECT count(*) FROM events WHERE name = 'EventCreated'") > 42 }, patience, 5*time.Millisecond)
			require.NoError(t, stop(c))
			require.Eventually(t, func() bool { _ = c.command.Process.Signal(syscall.SIGINT); return closed(c.ended) }, patience, 5*time.Millisecond)
			require.Zero(t, d.number("SELECT count(*) FROM events WHERE name = 'EventDeleted'"), "what was not read is not withdrawn")

			done := d.number("SELECT count(*) FROM events WHERE name = 'EventCreated'") - 40
			require.Less(t, done, int64(60))
			r := d.importedFrom(text, operate.ExitDone, "-")
			require.Equal(t, report{Rows: 80, Created: 60 - int(done), Unchanged: 20 + int(done), Withdrawn: 20, Bands: r.Bands, Halls: r.Halls}, r)
			events := d.number("SELECT count(*) FROM events")
			require.Equal(t, report{Rows: 80, Unchanged: 80}, d.importedFrom(text, operate.ExitDone, "-"))
			require.Equal(t, events, d.number("SELECT count(*) FROM events"))
		})
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// What can't be a listing is one line, whatever else there is to import.
func TestImportOfWhatIsNoListing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, content := range map[string]string{
		"empty.csv": "", "dances.xlsx": "PK\x03\x04 and so on", "dances.bin": strings.Repeat("\x01\x00\x00\x02", 200), "words.csv": "nothing\nof the kind\n",
	} {
		write(t, filepath.Join(folder, name), content)
	}
	write(t, filepath.Join(folder, "july.csv"), july)
	d := newTables(t)
	for name, says := range map[string]string{
		"":            " is a folder, not a listing",
		"empty.csv":   "/empty.csv is empty",
		"dances.xlsx": "/dances.xlsx is no listing but application/zip: save it as CSV or HTML",
		"dances.bin":  "/dances.bin is no listing but application/octet-stream: save it as CSV or HTML",
		"gone.csv":    "no such file or directory",
	} {
		got := d.run("import", filepath.Join(folder, "july.csv"), filepath.Join(folder, name))
		require.Equal(t, operate.ExitFailed, got.code, name)
		require.Regexp(t, `^dancefinder: .*`+regexp.QuoteMeta(says)+`\n$`, got.err)
		require.Empty(t, got.out)
	}
	require.Zero(t, d.number("SELECT count(*) FROM events"), "nothing was done")

	got := d.run("import", filepath.Join(folder, "words.csv"))
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.err, "not a listing")
	require.Empty(t, got.out, "there is nothing to report")
	require.Equal(t, operate.ExitFailed, dancefinderReads(t, "", d.args([]string{"import", "-"})...).code)
}
