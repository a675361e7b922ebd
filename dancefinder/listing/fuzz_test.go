package listing_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

func FuzzCSV(f *testing.F) {
	f.Add(header + "December 2026\nLör 5;21.00-01.00;Tollez;Parken;Malung;Malung-Sälen;Dalarna;Inställt\n")
	f.Add(header + "2026-12-05;;20.00 Tollez 21,00;\"Loge \"\"Parken\"\"\";;;Båt;\n")
	f.Add("\ufeffDatum,Tid,Dansband,Dansställe,Ort,Kommun,Län,Övrigt\nfre 2026-12-05,kl 21,Ej fastställt,,,,,\n")
	f.Add(header + "2026-12-05;;A\x00B;Par\x1fken;\x7f;Malung\u0085;Dalarna\u200b;\ufffd\n")
	f.Add("Maj\x00 2026\n" + header + "5;;" + strings.Repeat("Å", 201) + ";Parken;;Malung;Dalarna;" + strings.Repeat("x", 2001) + "\n")
	f.Add(excel)
	f.Add("\xff\xfeD\x00a\x00t\x00u\x00m\x00;\x00")
	f.Add("Datum;;Tid;Band;Lokal;Plats;Kommun;L\xe4n;\xd6vrigt\nfre;4:e;kl. 19 till 23;\"Tollez\nx;P;M;;Dalarna;>\n;;;;;;\n")
	f.Fuzz(requireSoundRows)
}

func FuzzHTML(f *testing.F) {
	f.Add("<h1>December 2026</h1><table>" + htmlHeader + "<tr><td>Lör 5<td>21-01<td>Tollez<td>Parken<td>Trysil<td><td>Norge<td><b>Kaf</b>fe")
	f.Add("<table><tr><td><table>" + htmlHeader + "</table></table></tr><td colspan=9>")
	f.Add("<h1>Maj\x01 2026</h1><table>" + htmlHeader + "<tr><td>2026-12-05<td><td>A&#0;B<td>Par&#1;ken<td>&nbsp;<td>Malung<td>Dala\x00rna")
	f.Add("<table>" + htmlHeader + "<tr><td>2026-12-05<td><table><tr><td><script><td></script></h1><caption>Maj</caption>")
	f.Add("<table>" + realHeader + "<tr><td colspan=9>December 2026" + realRow("Fre", "4", "&gt;") + "<tr hidden><td rowspan=2>Lör<td rowspan=0>5<tr style='visibility:hidden'><td style='display:none'>x</table>")
	f.Fuzz(requireSoundRows)
}

// requireSoundRows requires that whatever is read keeps the promises of Row,
// and that a row to import reads back equal after it was written.
func requireSoundRows(t *testing.T, text string) {
	for row, err := range listing.Read(strings.NewReader(text), listing.Options{Year: 2026}) {
		if err != nil {
			require.NotEmpty(t, err.Error())
			continue
		}
		requireDate(t, row.Date)
		requireTimes(t, row.Start, row.End)
		for _, s := range []string{row.Band, row.Hall, row.City, row.Municipality, row.State, row.Extra} {
			require.False(t, strings.ContainsFunc(s, unicode.IsControl), "%q", s)
			require.LessOrEqual(t, utf8.RuneCountInString(s), listing.MaxExtra)
			require.Equal(t, strings.Join(strings.Fields(s), " "), s)
		}
		require.Positive(t, row.Line)
		if row.Skip == listing.SkipUndecided {
			continue
		}
		row.Skip, row.Warnings, row.Line = "", nil, 2
		rows, warnings, errs := readAll(t, write(t, row), listing.Options{})
		require.Empty(t, errs)
		require.Empty(t, warnings)
		require.Equal(t, []listing.Row{row}, rows)
	}
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"", "-", "21.00-01.00", "21:00", "21,00", "13.30-17.00", "kl. 9–24", "24.00", "21.00-", "kl. 19-23.30", "19.00 till 23.30", "19:00:00", "klockan 19", "12 : 00-20 :00", "1900-2330"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start, end, err := listing.ParseTime(text)
		if err != nil {
			require.Empty(t, start+end)
			return
		}
		requireTimes(t, start, end)
	})
}

func FuzzDate(f *testing.F) {
	for _, header := range []string{"", "December 2026", "februari 2028"} {
		for _, s := range []string{"Lör 5", "lör 5/12", "2026-12-05", "29/2", "lördag den 5 december 2026", "5/12-2026", "31", "20261205", "05.12.2026", "2026/12/05 00:00:00", "lö 5/12", "Lördagen den 5:e december", "05/12/2026", "4-5/12"} {
			f.Add(header, s)
		}
	}
	f.Fuzz(func(t *testing.T, header, text string) {
		date, err := listing.ParseDate(header, text)
		if err != nil {
			require.Empty(t, date)
			return
		}
		requireDate(t, date)
		again, err := listing.ParseDate("", date)
		require.NoError(t, err)
		require.Equal(t, date, again)
	})
}

func requireDate(t *testing.T, date string) {
	t.Helper()
	_, err := time.Parse(time.DateOnly, date)
	require.NoError(t, err)
}

var clock = regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d$`)

func requireTimes(t *testing.T, start, end string) {
	t.Helper()
	if start == "" {
		require.Empty(t, end)
		return
	}
	require.Regexp(t, clock, start)
	if end != "" {
		require.Regexp(t, clock, end)
	}
}
