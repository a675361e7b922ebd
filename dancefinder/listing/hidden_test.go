package listing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

// Only what a person sees is a dance, or a part of one.
func TestReadWhatAPersonSees(t *testing.T) {
	t.Parallel()
	const hall = "<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td>"
	dance := func(attributes, band string) string {
		return "<tr " + attributes + "><td>2026-12-05<td>21-01<td>" + band + hall + "</tr>\n"
	}
	good := dance("", "A")
	page := func(rows string) string { return "<table>" + htmlHeader + "</tr>" + rows + "</table>" }
	for name, test := range map[string]struct{ page, bands string }{
		"not a row with display none":             {page(dance(`style="display:none"`, "X") + good), "A"},
		"not a row with display none, shouted":    {page(dance(`STYLE="color:red; DISPLAY : NONE !important"`, "X") + good), "A"},
		"not a hidden row":                        {page(dance(`hidden`, "X") + dance(`hidden=""`, "X") + dance(`hidden="hidden"`, "X") + good), "A"},
		"not an invisible row":                    {page(dance(`style="visibility:hidden"`, "X") + dance(`style="visibility: collapse"`, "X") + good), "A"},
		"not a transparent row":                   {page(dance(`style="opacity:0"`, "X") + dance(`style="opacity: 0.0"`, "X") + good), "A"},
		"but a row that only listeners don't get": {page(dance(`aria-hidden="true"`, "B") + dance(`style="opacity:0.5"`, "C") + dance(`style="display:table-row"`, "D") + dance(`class="hidden-xs"`, "E") + good), "B C D E A"},
		"and a hidden row that is displayed":      {page(dance(`hidden style="display:table-row"`, "B") + good), "B A"},
		"not a comment":                           {page("<!--" + dance("", "X") + "-->" + good), "A"},
		"not a template":                          {page("<template>" + dance("", "X") + "</template>" + good), "A"},
		"not a template with a table":             {page(good) + "<template>" + page(dance("", "X")) + "</template>", "A"},
		"not what is for those without script":    {page(good) + "<noscript>" + page(dance("", "X")) + "</noscript>", "A"},
		"not a script":                            {page(good + "<script>'" + dance("", "X") + "'</script>"), "A"},
		"not a hidden table":                      {"<table hidden>" + htmlHeader + dance("", "X") + "</table>" + page(good), "A"},
		"not a table in a hidden box":             {"<div style='display:none'><p>" + page(dance("", "X")+"<tr><td>x<table><tr><td>y</table>") + "</div>" + page(good), "A"},
		"not a hidden group":                      {page("<tbody hidden>" + dance("", "X") + dance("", "X") + "<tbody>" + good + "</tbody>"), "A"},
		"not a hidden group that ends":            {page("<tbody hidden>" + dance("", "X") + "</tbody>" + good), "A"},
		"not a hidden row without an end":         {page("<tr hidden><td>2026-12-05<td>21-01<td>X" + hall + "<tr><td>2026-12-05<td>21-01<td>B" + hall + good), "B A"},
		"not a hidden last row":                   {page(good+"<tr hidden><td>2026-12-05<td>21-01<td>X"+hall) + page(dance("", "B")), "A B"},
		"not hidden cells, which take no place":   {page("<tr><td>2026-12-05<td style=display:none>20261205<td>21-01<td hidden>x</td><td>B" + hall + good), "B A"},
		"not a hidden column with its name":       {"<table>" + strings.Replace(htmlHeader, "<th>Tid", "<th hidden>Id<th>Tid", 1) + "<tr><td>2026-12-05<td hidden>17<td>21-01<td>B" + hall + "</table>", "B"},
		"not invisible cells, which take a place": {page("<tr><td>2026-12-05<td>21-01<td>B<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td style=visibility:hidden>Inställt" + good), "B A"},
		"not hidden text in a cell": {page("<tr><td><span hidden>1</span>2026-12-05<td>21-01<td><b style='display:none'>Not </b><span style=visibility:hidden>X<i>X</i></span>To<wbr hidden>l<span style='font-size:0'>x</span>lez" +
			"<div hidden><p>y<p>z</div><input type=hidden value=z><svg><title>Band</title></svg>" + hall + good), "Tollez A"},
		"not hidden text without an end":       {page("<tr><td>2026-12-05<td>21-01<td>B<span hidden>X" + hall + "<tr><td>2026-12-05<td>21-01<td>C<p hidden>X<p>c" + hall + good), "B C c A"},
		"but what is visible in the invisible": {page("<tr style=visibility:hidden><td>x<td>y" + good + "<tr><td>2026-12-05<td>21-01<td><span style=visibility:hidden>X<b style=visibility:visible>B</b>X</span>" + hall), "A B"},
		"not what is visible in the absent":    {page("<tr><td>2026-12-05<td>21-01<td><span hidden>X<b style='visibility:visible;display:inline'>X</b></span><span style=opacity:0><b style=visibility:visible>X</b></span>B" + hall), "B"},
		"not what is off the screen":           {page("<tr><td>2026-12-05<td>21-01<td>B<span style='position:absolute;left:-9999px'>X</span><span style='height:0;overflow:hidden'>X</span>" + hall), "B"},
		"not hidden month rows":                {page("<tr><td colspan=8>December 2026<tr hidden><td colspan=8>Januari 2027<tr style=visibility:hidden><td colspan=8>Mars 2027<tr><td>Lör 5<td>21-01<td>B" + hall), "B"},
		"not hidden headings":                  {"<h2>December 2026</h2><h2 hidden>Januari 2027</h2><h3 style=visibility:hidden>Mars 2027</h3>" + page("<tr><td>Lör 5<td>21-01<td>B"+hall), "B"},
		"not list items that are hidden":       {page("<tr><td>2026-12-05<td>21-01<td><ul><li hidden>X<ul><li>X</ul>X<li>B</ul>" + hall), "B"},
		"not a dialog that is closed":          {"<dialog>" + page(dance("", "X")) + "</dialog><dialog open>" + page(good) + "</dialog>", "A"},
		"not a body that a script shows later": {"<html><body style='opacity:0'>" + page(good), "A"},
		"not cells of rows that are hidden":    {page("<tr><td rowspan=2>2026-12-05<td>21-01<td>B" + hall + "<tr hidden><td>21-01<td>X" + hall + "<tr><td>21-01<td>C" + hall + good), "B C A"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, warnings, errs := readAll(t, test.page, listing.Options{})
			require.Empty(t, errs)
			require.Empty(t, warnings)
			var bands []string
			for _, row := range rows {
				bands = append(bands, row.Band)
				require.Equal(t, plain(func(r *listing.Row) { r.Line, r.Band = row.Line, row.Band }), row)
			}
			require.Equal(t, test.bands, strings.Join(bands, " "))
		})
	}
	t.Run("and a page that ends within something hidden is cut off", func(t *testing.T) {
		t.Parallel()
		for _, end := range []string{"<div hidden>", "<template>", "<noscript>x", "<div hidden><table>" + good, "<dialog>x"} {
			rows, _, errs := readAll(t, page(good)+end, listing.Options{})
			require.Len(t, rows, 1)
			require.Len(t, errs, 1, end)
			require.ErrorIs(t, errs[0], listing.ErrTruncated)
		}
		rows, _, errs := readAll(t, page(good)+"<p hidden>x", listing.Options{})
		require.Len(t, rows, 1)
		require.Empty(t, errs, "a paragraph needs no end")
	})
	t.Run("and what is hidden takes no memory", func(t *testing.T) {
		t.Parallel()
		rows, _, errs := readAll(t, "<div hidden>"+strings.Repeat("<b>", 1<<16)+"</div>"+page(good), listing.Options{})
		require.Len(t, rows, 1)
		require.Empty(t, errs)
	})
}
