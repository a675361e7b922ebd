package main

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/operate"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	generate := func(t *testing.T, args ...string) string {
		t.Helper()
		got := dancefinder(t, append([]string{"generate"}, args...)...)
		require.Equal(t, operate.ExitDone, got.code, got.err)
		require.Empty(t, got.err)
		return got.out
	}
	t.Run("writes the same listing for the same seed", func(t *testing.T) {
		t.Parallel()
		first, again := generate(t, "--seed", "2", "--days", "60"), generate(t, "--seed", "2", "--days", "60")
		require.Equal(t, first, again)
		first, again = generate(t), generate(t, "--seed", "1", "--years", "1", "--edition", "1", "--start", "2026-01-01")
		require.Equal(t, first, again, "the defaults")
	})
	t.Run("writes another one for another seed, edition, start or length", func(t *testing.T) {
		t.Parallel()
		seen := map[string]bool{}
		for _, args := range [][]string{nil, {"--seed", "2"}, {"--edition", "2"}, {"--start", "2026-01-02"}, {"--days", "61"}} {
			text := generate(t, append([]string{"--days", "60"}, args...)...)
			require.False(t, seen[text], args)
			seen[text] = true
		}
	})
	t.Run("starts at the given day", func(t *testing.T) {
		t.Parallel()
		rows, err := csv.NewReader(strings.NewReader(generate(t, "--start", "2030-06-01"))).ReadAll()
		require.NoError(t, err)
		require.Equal(t, listing.Columns(), rows[0])
		require.Equal(t, "Lör 2030-06-01", rows[1][0])
		require.Greater(t, len(rows), 19_000)
	})
	t.Run("writes what import reads without a word", func(t *testing.T) {
		t.Parallel()
		for _, edition := range []string{"1", "2"} {
			for row, err := range listing.Read(strings.NewReader(generate(t, "--seed", "3", "--edition", edition, "--days", "90")), listing.Options{}) {
				require.NoError(t, err)
				require.Empty(t, row.Warnings)
				require.Empty(t, row.Skip)
			}
		}
	})
	t.Run("writes what import imports", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		lines := bytes.SplitAfterN([]byte(generate(t, "--seed", "3", "--days", "60")), []byte("\n"), 302)
		beginning := string(bytes.Join(lines[:301], nil))
		first := d.importedFrom(beginning, operate.ExitDone, "-")
		require.Equal(t, report{Rows: 300, Created: 300, Bands: first.Bands, Halls: first.Halls}, first)
		require.Equal(t, report{Rows: 300, Unchanged: 300}, d.importedFrom(beginning, operate.ExitDone, "-"))
	})
}
