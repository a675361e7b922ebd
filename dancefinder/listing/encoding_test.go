package listing_test

import (
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

// excel is what a spreadsheet saves.
const excel = "sep=;\r\n" + "Datum;Tid;Dansband;Dansställe;Ort;Kommun;Län;Övrigt\r\n" +
	"2026-12-05 00:00:00;21:00–01:00;Tollez;\"Malungs\r\nFolkets Park\";Malung;Malung-Sälen;Dalarna;\"Kaffe; te\r\noch \"\"bulle\"\"\"\r\n" +
	"2026-12-06;21:00–01:00;Tollez;\"Malungs Folkets Park\";Malung;Malung-Sälen;Dalarna;\r\n"

func TestReadEncodings(t *testing.T) {
	t.Parallel()
	page := "<html><p>Dans i Malung</p><table>" + htmlHeader + "<tr><td>2026-12-05<td>21–01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td>Kaffe; te och \"bulle\"" +
		"<tr><td>2026-12-06<td>21–01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td></table>"
	windows, latin1, latin9 := encoding.Encoding(charmap.Windows1252), encoding.Encoding(charmap.ISO8859_1), encoding.Encoding(charmap.ISO8859_15)
	utf16 := func(order unicode.Endianness, mark unicode.BOMPolicy) encoding.Encoding {
		return unicode.UTF16(order, mark)
	}
	dashed := func(text string) string { return strings.ReplaceAll(text, "–", "-") }
	for name, test := range map[string]struct {
		encoding encoding.Encoding
		text     string
	}{
		"UTF-8":                           {encoding.Nop, excel},
		"UTF-8 with a byte order mark":    {unicode.UTF8BOM, excel},
		"Windows-1252":                    {windows, excel},
		"ISO-8859-1":                      {latin1, dashed(excel)},
		"UTF-16 LE":                       {utf16(unicode.LittleEndian, unicode.UseBOM), excel},
		"UTF-16 BE":                       {utf16(unicode.BigEndian, unicode.UseBOM), excel},
		"UTF-16 LE without a mark":        {utf16(unicode.LittleEndian, unicode.IgnoreBOM), excel},
		"UTF-16 BE without a mark":        {utf16(unicode.BigEndian, unicode.IgnoreBOM), excel},
		"a page in UTF-8":                 {encoding.Nop, page},
		"a page in Windows-1252":          {windows, page},
		"a page in ISO-8859-1 that says":  {latin1, dashed(strings.Replace(page, "<p>", "<meta http-equiv=Content-Type content='text/html; charset=ISO-8859-1'><p>", 1))},
		"a page in ISO-8859-15 that says": {latin9, dashed(strings.Replace(page, "<p>", "<meta charset=\"iso-8859-15\"><p>", 1))},
		"a page in UTF-16":                {utf16(unicode.LittleEndian, unicode.UseBOM), page},
		"a page in UTF-8 that says so":    {encoding.Nop, strings.Replace(page, "<p>", "<meta charset=utf-8><p>", 1)},
		"a page in UTF-8 that says other": {encoding.Nop, strings.Replace(page, "<p>", "<meta charset=iso-8859-1><p>", 1)},
		"a page whose letters come late":  {windows, "<!-- " + strings.Repeat("x", 2*listing.MaxRecord) + "-->" + page},
	} {
		t.Run("such as "+name, func(t *testing.T) {
			t.Parallel()
			text, err := test.encoding.NewEncoder().String(test.text)
			require.NoError(t, err)
			want := []listing.Row{plain(nil), plain(func(r *listing.Row) { r.Date = "2026-12-06" })}
			want[0].Extra = `Kaffe; te och "bulle"`
			for _, reader := range []func(string) []listing.Row{
				func(text string) []listing.Row {
					return rowsOf(t, listing.Read(strings.NewReader(text), listing.Options{}))
				},
				func(text string) []listing.Row {
					return rowsOf(t, listing.Read(iotest.OneByteReader(strings.NewReader(text)), listing.Options{}))
				},
			} {
				rows := reader(text)
				for i := range rows {
					rows[i].Line = 2
				}
				require.Equal(t, want, rows)
			}
		})
	}
	t.Run("and counts lines with the separator's", func(t *testing.T) {
		t.Parallel()
		rows := rowsOf(t, listing.Read(strings.NewReader(excel), listing.Options{}))
		require.Equal(t, []int{3, 6}, []int{rows[0].Line, rows[1].Line})
	})
}

func rowsOf(t *testing.T, read func(func(listing.Row, error) bool)) (rows []listing.Row) {
	t.Helper()
	for row, err := range read {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	return rows
}

func TestReadRefusesWhatIsNoText(t *testing.T) {
	t.Parallel()
	dos, err := charmap.CodePage850.NewEncoder().String(strings.ReplaceAll(excel, "–", "-"))
	require.NoError(t, err)
	mac, err := charmap.Macintosh.NewEncoder().String(excel)
	require.NoError(t, err)
	page, err := charmap.Macintosh.NewEncoder().String("<html><meta charset=macintosh><table>" + htmlHeader + "</table>")
	require.NoError(t, err)
	for name, test := range map[string]struct{ text, says string }{
		"text of DOS":             {dos, "iconv -f CP850 -t UTF-8"},
		"text of an old Mac":      {mac, "it is not in UTF-8 and was read as Windows-1252"},
		"a page that says so":     {page, "iconv -f MACINTOSH -t UTF-8"},
		"UTF-32":                  {"\xff\xfe\x00\x00D\x00\x00\x00", "iconv -f UTF-32 -t UTF-8"},
		"a workbook":              {"PK\x03\x04\x14\x00", "save its table as CSV UTF-8"},
		"a workbook of old":       {"\xd0\xcf\x11\xe0\xa1\xb1", "save its table as CSV UTF-8"},
		"a PDF":                   {"%PDF-1.7", "ask for the listing as a table"},
		"a file that is packed":   {"\x1f\x8b\x08", "gunzip"},
		"UTF-16 that is cut":      {"\xff\xfeD\x00a", "not a listing"},
		"zeros":                   {strings.Repeat("\x00", 100), "not a listing"},
		"a header with two marks": {"\ufeff\ufeffDatum;Tid\n", "not a listing"},
	} {
		t.Run("such as "+name, func(t *testing.T) {
			t.Parallel()
			rows, _, errs := readAll(t, test.text, listing.Options{})
			require.Empty(t, rows)
			require.Len(t, errs, 1)
			require.ErrorContains(t, errs[0], test.says)
			if test.says != "not a listing" {
				require.ErrorIs(t, errs[0], listing.ErrEncoding)
			}
		})
	}
	t.Run("and letters of another encoding among those of UTF-8 cost their rows", func(t *testing.T) {
		t.Parallel()
		rows, _, errs := readAll(t, header+"2026-12-05;21-01;K\xe5re;Parken;Malung;Malung-Sälen;Dalarna;\n2026-12-05;21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;\n", listing.Options{})
		require.Len(t, rows, 1)
		require.Len(t, errs, 1)
		require.ErrorAs(t, errs[0], new(*listing.RowError))
	})
	t.Run("and what Windows-1252 does not have costs its row", func(t *testing.T) {
		t.Parallel()
		text, err := charmap.Windows1252.NewEncoder().String(excel)
		require.NoError(t, err)
		rows, _, errs := readAll(t, strings.Replace(text, "Tollez", "Toll\x81ez", 1), listing.Options{})
		require.Len(t, rows, 1)
		require.Len(t, errs, 1)
	})
}
