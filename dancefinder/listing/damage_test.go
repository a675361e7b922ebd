package listing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

const (
	danceCells = "<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td>"
	oneTable   = "<table>" + htmlHeader + "<tr><td>2026-12-05" + danceCells + "</table>"
)

// A table that is passed over silently is one whose dances seem to be withdrawn.
func TestReadReportsTablesThatItCannotUse(t *testing.T) {
	t.Parallel()
	dance := "<tr><td>2026-12-06" + danceCells
	latin1 := "<tr><th>Datum<th>Tid<th>Dansband<th>Dansst\xe4lle<th>Ort<th>Kommun<th>L\xe4n<th>\xd6vrigt"
	for name, test := range map[string]struct {
		page string
		rows int // good ones
	}{
		"a second header in another encoding": {oneTable + "<table>" + latin1 + dance + "</table>", 1},
		"a second header with a NUL":          {oneTable + "<table>" + strings.Replace(htmlHeader, "Tid", "T\x00id", 1) + dance + "</table>", 1},
		"a second header that is damaged":     {oneTable + "<table>" + strings.ReplaceAll(htmlHeader, "<th>", "<th>\x01") + dance + "</table>", 1},
		"a second header with too many cells": {oneTable + "<table>" + htmlHeader + strings.Repeat("<th>", listing.MaxColumns) + dance + "</table>", 1},
		"a second table without a header":     {oneTable + "<table>" + dance + "</table>", 1},
		"a second header of other names":      {oneTable + "<table><tr><th>Date<th>Time<th>Band<th>Hall" + dance + "</table>", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, _, errs := readAll(t, test.page, listing.Options{})
			require.Len(t, rows, test.rows)
			require.NotEmpty(t, errs)
			for _, err := range errs {
				require.ErrorAs(t, err, new(*listing.RowError))
			}
		})
	}
	t.Run("but not what is no listing", func(t *testing.T) {
		t.Parallel()
		layout := "<table><tr><td>" + strings.Repeat("<p>Text", 1_000) + oneTable + "</table>"
		for _, page := range []string{
			layout, layout + oneTable,
			oneTable + "<table><tr><td>Kontakt<td>Om oss<td>2026<td>Sök</table>",
			oneTable + "<table><tr><td>v. 49" + strings.Repeat("<td>5", 7) + "</table>",
		} {
			_, _, errs := readAll(t, page, listing.Options{})
			require.Empty(t, errs)
		}
	})
}

func TestReadStopsAtTheEndOfACutPage(t *testing.T) {
	t.Parallel()
	last := "<tr><td>2026-12-06" + danceCells + "Kaffe"
	whole := "<html><body><!-- x --><!----><!--><!x><?x y?><!-x><!---><h1>Danser</h1><style>td{}</style><table>" + htmlHeader + last + "</table><p>Slut"
	rows, _, errs := readAll(t, whole, listing.Options{})
	require.Len(t, rows, 1)
	require.Empty(t, errs, "elements whose end may be left out")
	table := strings.Index(whole, "</table>")
	for n := strings.Index(whole, "<tr><td>"); n < table+len("</table>"); n++ {
		rows, _, errs = readAll(t, whole[:n], listing.Options{})
		require.Empty(t, rows, "the row may be cut: %q", whole[n-1:])
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], listing.ErrTruncated)
	}
	for _, end := range []string{
		"<t", "<table", "</", "x <", "</bod", "<p title=\"x", "<!-- <table>", "<!-- --", "<!--", "<!-", "<script>x", "<style>", "<textarea><table>", "<title>x", "<h2>Januari 20", "<table>", "<table><tr><td>Kontakt",
	} {
		rows, _, errs = readAll(t, oneTable+end, listing.Options{})
		require.Len(t, rows, 1)
		require.Len(t, errs, 1, end)
		require.ErrorIs(t, errs[0], listing.ErrTruncated)
	}
}

// Days alone belong to the month above them, so that one has to be known.
func TestReadReportsDaysOfUnknownMonths(t *testing.T) {
	t.Parallel()
	march := "<h2>Mars 2026</h2><table>" + htmlHeader + "<tr><td>Lör 28" + danceCells + "</table>"
	day, full := "<tr><td>Lör 2"+danceCells, "<tr><td>2026-05-02"+danceCells
	for _, head := range []string{"Danser i maj 2026", "Maj -26", "Mja 2026", "2026-05", "May 2026", "Maj\x01 2026"} {
		for _, page := range []string{
			march + "<h2>" + head + "</h2><table>" + htmlHeader + day + "</table>",
			march + "<table><caption>" + head + "</caption>" + htmlHeader + day + "</table>",
			march + "<table>" + htmlHeader + "<tr><td colspan=8>" + head + day + "</table>",
			march + "<table><tr><td>" + head + "</table><table>" + htmlHeader + day + "</table>",
			"Mars 2026\n" + header + "Lör 28;21-01;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n" + head + "\nLör 2;21-01;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n",
		} {
			rows, _, errs := readAll(t, page, listing.Options{})
			require.Len(t, rows, 1, page)
			require.Equal(t, "2026-03-28", rows[0].Date)
			require.NotEmpty(t, errs)
			require.ErrorAs(t, errs[len(errs)-1], new(*listing.RowError))
			require.ErrorContains(t, errs[len(errs)-1], "expected a month")
		}
	}
	for _, page := range []string{
		march + "<h2>Danser i maj 2026</h2><table>" + htmlHeader + full + day + "</table>",
		march + "<h2>Danser i maj 2026</h2><h3>Maj 2026</h3><table>" + htmlHeader + day + "</table>",
		"<h2>Maj 2026</h2><p><h3>Uppdaterad 2026-04-01</h3><table><caption>Danser i maj 2026</caption>" + htmlHeader + day + "</table>",
	} {
		rows, _, errs := readAll(t, page, listing.Options{})
		require.Empty(t, errs)
		require.Equal(t, "2026-05-02", rows[len(rows)-1].Date)
	}
}

// Where rows say their months, a day alone is of the month of the row before. If that one can't be read
// and may be of another month, nobody knows of which.
func TestReadReportsDaysAfterDatesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ lines, want string }{
		"a month that is misspelt":             {"5 dec; 2 jaan; 9; 10", "2026-12-05"},
		"a day that there is not":              {"5 nov; 31 februari; 9", "2026-11-05"},
		"a day that there is not, in numbers":  {"5/11; 31/2; 9", "2026-11-05"},
		"a weekday that contradicts":           {"5 dec; fre 2/1; 9", "2026-12-05"},
		"two dates":                            {"5 dec; 05/01/2027; 9", "2026-12-05"},
		"a month comes to be known again":      {"5 dec; 2 jaan; 9; 10 jan; 11", "2026-12-05 2027-01-10 2027-01-11"},
		"the same month":                       {"5 dec; 6-7 dec; 9", "2026-12-05 2026-12-09"},
		"no month":                             {"5 dec; lö-sö 5-6; 6 och 7; 9", "2026-12-05 2026-12-09"},
		"below a header the month is that one": {"# December 2026; lör 5; 2 jaan; 9", "2026-12-05 2026-12-09"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := header
			for line := range strings.SplitSeq(test.lines, "; ") {
				if month, ok := strings.CutPrefix(line, "# "); ok {
					text += month + "\n"
				} else {
					text += line + ";;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n"
				}
			}
			rows, _, errs := readAll(t, text, listing.Options{Year: 2026})
			require.NotEmpty(t, errs)
			var dates []string
			for _, row := range rows {
				dates = append(dates, row.Date)
			}
			require.Equal(t, test.want, strings.Join(dates, " "))
		})
	}
}
