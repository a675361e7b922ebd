package listing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

const htmlHeader = `<tr><th>Datum<th>Tid<th>Dansband<th>Dansställe<th>Ort<th>Kommun<th>Län<th>Övrigt`

func TestReadHTML(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, page string
		want       []listing.Row
	}{
		{"a page with a heading, nested markup and entities", `<!DOCTYPE html>
<html><head><title>Danser</title><style>td { color: red }</style></head><body>
<h2><b>December</b>&nbsp;2026</h2>
<table><thead>
<tr><th>Datum</th><th>Tid</th><th>Dansband</th><th>Dansst&auml;lle</th><th>Ort</th><th>Kommun</th><th>L&auml;n</th><th>&Ouml;vrigt</th></tr>
</thead><tbody>
<tr class="odd">
  <td><b>L&ouml;r</b> 5</td><td>21.00&#8211;01.00</td>
  <td><a href="/tollez"><i>T</i>ollez</a><script>track("x")</script></td>
  <td>Malungs<br>Folkets <span>Park</span></td><td>Malung</td><td>Malung-S&auml;len</td><td>Dalarna</td><td><!-- nothing --></td>
</tr></tbody></table>`,
			[]listing.Row{plain(func(r *listing.Row) { r.Line = 7 })}},

		{"rows and cells that are not closed, and a month in a row", `<TABLE>` + htmlHeader + `
<tr><td colspan=8>December 2026
<tr><td>Lör 5<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td>
<tr><th colspan="8">Januari 2027</th>
<tr><td>Lör 2<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna</table>`,
			[]listing.Row{
				plain(func(r *listing.Row) { r.Line = 3 }),
				plain(func(r *listing.Row) { r.Line, r.Date = 5, "2027-01-02" }),
			}},

		{"a table for each month, between tables that are no listing", `<table><tr><td>Meny</td><td>Sök</td></tr></table>
<table><caption>December 2026</caption>` + htmlHeader + `
<tr><td>Lör 5<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td></table>
<table><caption>Januari 2027</caption>` + htmlHeader + `
<tr><td>Lör 2<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td></table>
<table><tr><td>Kontakt</td><td>Om oss</td></tr></table>`,
			[]listing.Row{
				plain(func(r *listing.Row) { r.Line = 3 }),
				plain(func(r *listing.Row) { r.Line, r.Date = 5, "2027-01-02" }),
			}},

		{"a listing within a table for layout, and a table within a cell",
			`<table><tr><td>Meny</td><td><h1>December 2026</h1><table>` + htmlHeader + `
<tr><td>Lör 5<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td><table><tr><td>Kaffe<td>Bulle</table></table></td></tr></table>`,
			[]listing.Row{plain(func(r *listing.Row) { r.Extra = "Kaffe Bulle" })}},

		{"a cell that takes two columns", `<table>` + htmlHeader + `
<tr><td>2026-12-05<td>21-01<td>Tollez<td>M/S Vågdans<td colspan=2>(Båt)<td><td>Kaffe</table>`,
			[]listing.Row{plain(func(r *listing.Row) {
				r.Hall, r.City, r.Municipality, r.State, r.Extra = "M/S Vågdans", "", domain.Ferry, domain.Ferry, "Kaffe"
			})}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rows, warnings, errs := readAll(t, test.page, listing.Options{})
			require.Empty(t, errs)
			require.Empty(t, warnings)
			require.Equal(t, test.want, rows)
		})
	}
}

func TestReadHTMLReportsBadRowsAndGoesOn(t *testing.T) {
	t.Parallel()
	good := "<tr><td>2026-12-05<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td>\n"
	tests := []struct{ name, row, want string }{
		{"a NUL", "<tr><td>2026-12-05<td>21-01<td>A\x00B<td>Parken<td>Malung<td>Malung<td>Dalarna<td>", `line 2: Dansband "A\x00B": expected text without control characters, found U+0000`},
		{"a NUL as an entity", "<tr><td>2026-12-05<td>21-01<td>A&#0;B<td>Parken<td>Malung<td>Malung<td>Dalarna<td>", `line 2: Dansband "A�B": expected text without control characters, found U+FFFD`},
		{"a control character as an entity", "<tr><td>2026-12-05<td>21-01<td>Tollez<td>Par&#1;ken<td>Malung<td>Malung<td>Dalarna<td>", `line 2: Dansställe "Par\x01ken": expected text without control characters, found U+0001`},
		{"a weekday that contradicts its date", "<tr><td>Fre 2026-12-05<td>21-01<td>Tollez<td>Parken<td>Malung<td>Malung<td>Dalarna<td>", `line 2: Datum "Fre 2026-12-05": weekday contradicts the date: 2026-12-05 is a lördag`},
		{"a row with one cell", "<tr><td colspan=8>Annons", `line 2: Datum "Annons": expected a date such as Lör 5, lör 5/12 or 2026-12-05`},
		{"a cell that is too long", "<tr><td>" + strings.Repeat("x", listing.MaxCell+1), `line 2: Datum "` + strings.Repeat("x", 100) + `": expected at most 4096 bytes in a cell`},
		{"far too many cells", "<tr>" + strings.Repeat("<td colspan=60>", 60), `line 2: expected at most 64 columns`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rows, _, errs := readAll(t, "<table>"+htmlHeader+"\n"+test.row+"\n"+good+"</table>", listing.Options{})
			require.Len(t, errs, 1)
			require.EqualError(t, errs[0], test.want)
			require.Equal(t, []listing.Row{plain(func(r *listing.Row) { r.Line = 3 })}, rows)
		})
	}
}

func TestReadHTMLStops(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"at a tag without an end":       "<table>" + htmlHeader + `<tr><td title="` + strings.Repeat("x", listing.MaxToken+1),
		"at tables nested without end":  strings.Repeat("<table>", listing.MaxNesting+1),
		"at a text longer than allowed": "<p>" + strings.Repeat("x", listing.MaxToken+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, _, errs := readAll(t, page, listing.Options{})
			require.Empty(t, rows)
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], listing.ErrTooLong)
		})
	}
}
