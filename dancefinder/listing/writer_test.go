package listing_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

func TestWriter(t *testing.T) {
	t.Parallel()

	t.Run("it writes the columns in their order and the date with its weekday", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "Datum,Tid,Dansband,Dansställe,Ort,Kommun,Län,Övrigt\n"+
			"Lör 2026-12-05,21.00-01.00,Tollez,Malungs Folkets Park,Malung,Malung-Sälen,Dalarna,\n",
			write(t, plain(nil)))
	})

	t.Run("a listing without rows has a header", func(t *testing.T) {
		t.Parallel()
		rows, _, errs := readAll(t, write(t), listing.Options{})
		require.Empty(t, rows)
		require.Empty(t, errs)
	})

	t.Run("a cancelled row says so, once", func(t *testing.T) {
		t.Parallel()
		for extra, want := range map[string]string{"": "Inställt", "Kaffe": "Inställt Kaffe", "Inställt": "Inställt"} {
			rows, _, _ := readAll(t, write(t, plain(func(r *listing.Row) { r.Cancelled, r.Extra = true, extra })), listing.Options{})
			require.Len(t, rows, 1)
			require.True(t, rows[0].Cancelled)
			require.Equal(t, want, rows[0].Extra)
		}
	})

	t.Run("it refuses rows that could not be read", func(t *testing.T) {
		t.Parallel()
		for name, change := range map[string]func(*listing.Row){
			"a date that is none":    func(r *listing.Row) { r.Date = "Lör 5" },
			"an end without a start": func(r *listing.Row) { r.Start = "" },
			"no band":                func(r *listing.Row) { r.Band = "" },
			"no state":               func(r *listing.Row) { r.State = "" },
			"a NUL in a name":        func(r *listing.Row) { r.Band = "A\x00B" },
			"another encoding":       func(r *listing.Row) { r.Hall = "K\xe5re" },
			"a hall too long":        func(r *listing.Row) { r.Hall = strings.Repeat("x", 201) },
			"an extra too long":      func(r *listing.Row) { r.Extra = strings.Repeat("x", 2001) },
		} {
			var b strings.Builder
			w := listing.NewWriter(&b)
			require.Error(t, w.Write(plain(change)), name)
			require.Empty(t, b.String())
		}
	})

	t.Run("an error of what it writes to is reported by Flush", func(t *testing.T) {
		t.Parallel()
		r, pipe := io.Pipe()
		broken := errors.New("broken")
		r.CloseWithError(broken)
		w := listing.NewWriter(pipe)
		require.NoError(t, w.Write(plain(nil)))
		require.ErrorIs(t, w.Flush(), broken)
	})
}

func TestWrittenRowsReadBackEqual(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var rows []listing.Row
	for i := range 2_000 {
		rows = append(rows, randomRow(rng, i+2))
	}
	back, warnings, errs := readAll(t, write(t, rows...), listing.Options{})
	require.Empty(t, errs)
	require.Empty(t, warnings)
	require.Equal(t, rows, back)
}

func randomRow(rng *rand.Rand, line int) listing.Row {
	text := func(least int) string {
		letters := []rune(`aåÅéxÖ"',;&<>|-/()=+@`)
		var words []string
		for range least + rng.IntN(3) {
			word := make([]rune, 1+rng.IntN(8))
			for i := range word {
				word[i] = letters[rng.IntN(len(letters))]
			}
			words = append(words, string(word))
		}
		return strings.Join(words, " ")
	}
	clock := func() string {
		return time.Unix(rng.Int64N(86400), 0).UTC().Format("15:04")
	}
	row := listing.Row{
		Line: line,
		Date: time.Unix(rng.Int64N(4e9), 0).UTC().Format(time.DateOnly),
		Band: text(1), Hall: text(1), City: text(0), Municipality: text(1), State: text(1), Extra: text(0),
	}
	if strings.Trim(row.Extra, "> ") == "" { // a link to more
		row.Extra = ""
	}
	switch rng.IntN(3) {
	case 0:
		row.Start, row.End = clock(), clock()
	case 1:
		row.Start = clock()
	}
	if rng.IntN(20) == 0 {
		row.Cancelled, row.Extra = true, "Inställt"
	}
	return row
}

func write(t *testing.T, rows ...listing.Row) string {
	t.Helper()
	var b strings.Builder
	w := listing.NewWriter(&b)
	for _, row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Flush())
	return b.String()
}
