package listing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

func TestReadCSVOfSpreadsheets(t *testing.T) {
	t.Parallel()
	row := "2026-12-05;21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;\n"
	with := func(delimiter string) string { return strings.ReplaceAll(header+row, ";", delimiter) }
	for name, text := range map[string]string{
		"a separator's line":             "sep=;\n" + header + row,
		"a separator's line in quotes":   "\"sep=;\"\r\n" + header + row,
		"a separator's line and a mark":  "\ufeffsep=;\r\n" + header + row,
		"a separator's line of commas":   "sep=,\n" + with(","),
		"a separator's line of tabs":     "sep=\t\n" + with("\t"),
		"a separator of its own":         "sep=|\n" + with("|"),
		"bars":                           with("|"),
		"an introduction full of commas": "Datum, tid, band, plats, mat, dryck, pris, info, kontakt\n\n" + header + row,
		"line ends of an old Mac":        strings.ReplaceAll(header+row, "\n", "\r"),
		"all cells in quotes":            `"` + strings.ReplaceAll(strings.ReplaceAll(header+strings.TrimSpace(row), ";", `";"`), "\n", "\"\n\"") + `"`,
		"empty cells at the end":         strings.ReplaceAll(header+row, "\n", ";;;;\n"),
	} {
		t.Run("with "+name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "2026-12-05", dates(t, text, listing.Options{}))
		})
	}
}

// A quote that is opened and not closed costs its row, and a cell may have line breaks.
func TestReadQuotes(t *testing.T) {
	t.Parallel()
	good := func(day string) string {
		return "2026-12-" + day + ";21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;\n"
	}
	for name, test := range map[string]struct {
		bad  string // between two good rows
		errs int
	}{
		"in the band":                     {"2026-12-05;21-01;\"Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n", 1},
		"in the last cell":                {"2026-12-05;21-01;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\"\n", 1},
		"in the first cell":               {"\"2026-12-05;21-01;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n", 1},
		"in two rows that follow":         {"2026-12-05;21-01;\"Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n2026-12-05;21-01;\"Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n", 2},
		"in two rows as if it were one":   {"2026-12-05;21-01;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\"\n2026-12-05;21-01;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\"\n", 2},
		"that closes too soon":            {"2026-12-05;21-01;\"Tollez\" x;Parken;Malung;Malung-Sälen;Dalarna;\n", 1},
		"in a row that is far too long":   {strings.Repeat("x", 3*listing.MaxRecord) + "\n", 1},
		"in a cell that is far too long":  {"2026-12-05;21-01;\"" + strings.Repeat("x", 3*listing.MaxCell) + "\";Parken;Malung;Malung-Sälen;Dalarna;\n", 1},
		"before many lines without quote": {"2026-12-05;\"\n" + strings.Repeat("\n", 10_000), 1},
	} {
		t.Run(name+" costs no other row", func(t *testing.T) {
			t.Parallel()
			rows, _, errs := readAll(t, header+good("05")+test.bad+good("06")+good("07"), listing.Options{})
			require.Len(t, errs, test.errs)
			for _, err := range errs {
				require.ErrorAs(t, err, new(*listing.RowError))
			}
			require.Len(t, rows, 3)
			require.Equal(t, "2026-12-06", rows[1].Date)
			require.Equal(t, 3+strings.Count(test.bad, "\n"), rows[1].Line)
		})
	}
	t.Run("around line breaks are fine, whatever the lines say", func(t *testing.T) {
		t.Parallel()
		extra := "Kaffe, te, bulle, saft, kakor, glass\n\n5/12: Logdans; fika\n\"\"Välkomna\"\""
		rows, _, errs := readAll(t, header+strings.TrimSuffix(good("05"), "\n")+"\""+extra+"\"\n"+good("06"), listing.Options{})
		require.Empty(t, errs)
		require.Len(t, rows, 2)
		require.Equal(t, `Kaffe, te, bulle, saft, kakor, glass 5/12: Logdans; fika "Välkomna"`, rows[0].Extra)
		require.Equal(t, 6, rows[1].Line)
	})
	t.Run("at the end of a file that is cut off are errors", func(t *testing.T) {
		t.Parallel()
		whole := header + good("05") + "2026-12-06;21-01;Tollez;\"Malungs \"\"Folkets\"\"\nPark\";Malung;Malung-Sälen;Dalarna;\"x\ny\"\n"
		from := strings.Index(whole, "2026-12-06")
		for n := from + 1; n < strings.LastIndex(whole, "\""); n++ {
			rows, _, errs := readAll(t, whole[:n], listing.Options{})
			if strings.HasSuffix(whole[:n], "Dalarna;") {
				continue // nobody can tell
			}
			require.Len(t, rows, 1, whole[from:n])
			require.NotEmpty(t, errs, whole[from:n])
		}
	})
}
