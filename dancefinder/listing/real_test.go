package listing_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

// realHeader is that of the best-known listing: the date takes two columns.
const realHeader = `<tr><th colspan="2">Datum</th><th>Tid</th><th>Dansband</th><th>Dansställe</th><th>Ort</th><th>Kommun</th><th>Län</th><th>Övrigt</th></tr>`

func realRow(weekday, day, extra string) string {
	return "<tr><td>" + weekday + "</td><td>" + day + "</td><td>21.00-01.00</td><td>Tollez</td><td>Malungs Folkets Park</td><td>Malung</td><td>Malung-Sälen</td><td>Dalarna</td><td>" + extra + "</td></tr>\n"
}

// dates requires that a listing is read without errors, and returns its dates.
func dates(t *testing.T, text string, opts listing.Options) string {
	t.Helper()
	rows, warnings, errs := readAll(t, text, opts)
	require.Empty(t, errs)
	require.Empty(t, warnings)
	var dates []string
	for _, row := range rows {
		dates = append(dates, row.Date)
		row.Date, row.Line = "2026-12-05", 2
		require.Equal(t, plain(nil), row)
	}
	return strings.Join(dates, " ")
}

func TestReadTheRealListing(t *testing.T) {
	t.Parallel()
	month := func(name string) string { return `<tr><td colspan="9">` + name + `</td></tr>` }
	for name, test := range map[string]struct {
		rows, want string
		year       int
	}{
		"with months and years":           {month("December 2026") + realRow("Fre", "4", "") + realRow("Lör", "5", "") + month("Januari 2027") + realRow("Fre", "1", ""), "2026-12-04 2026-12-05 2027-01-01", 0},
		"with a year once":                {month("December 2026") + realRow("Fre", "4", "") + month("Januari") + realRow("Fre", "1", "") + month("Februari") + realRow("Mån", "1", ""), "2026-12-04 2027-01-01 2027-02-01", 0},
		"in lower and upper case":         {month("december 2026") + realRow("fre", "4", "") + month("JANUARI 2027") + realRow("FRE", "1", ""), "2026-12-04 2027-01-01", 0},
		"without a year, which is given":  {month("december") + realRow("Fre", "4", "") + month("januari") + realRow("Fre", "1", ""), "2026-12-04 2027-01-01", 2026},
		"with a month in two cells":       {"<tr><th>December<th>2026" + realRow("Fre", "4", ""), "2026-12-04", 0},
		"with links to more":              {month("December 2026") + realRow("Fre", "4", "&gt;") + realRow("Lör", "5", `<a href="/x"> > </a>`) + realRow("Sön", "6", "»"), "2026-12-04 2026-12-05 2026-12-06", 0},
		"with the weekday behind the day": {month("December 2026") + realRow("4", "Fre", "") + realRow("5/12", "lö", ""), "2026-12-04 2026-12-05", 0},
		"with a date in one cell of two": {month("December 2026") + "<tr><td colspan=2>Fre 4<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td>Malung-Sälen<td>Dalarna<td>" +
			realRow("2026-12-05", "", "") + realRow("", "2026-12-06", ""), "2026-12-04 2026-12-05 2026-12-06", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := "<!DOCTYPE html><table>" + realHeader + test.rows + "</table>"
			require.Equal(t, test.want, dates(t, page, listing.Options{Year: test.year}))
		})
	}
	t.Run("with days of a month without a year that nobody gives", func(t *testing.T) {
		t.Parallel()
		rows, _, errs := readAll(t, "<table>"+realHeader+month("december")+realRow("Fre", "4", "")+realRow("Lör", "2026-12-05", "")+"</table>", listing.Options{})
		require.Len(t, rows, 1)
		require.Len(t, errs, 1)
		require.ErrorContains(t, errs[0], `Datum "Fre 4": expected a month`)
	})
	t.Run("but no range of days", func(t *testing.T) {
		t.Parallel()
		for _, cells := range [][2]string{{"Fre", "4-5"}, {"Fre-Lör", "4"}, {"Fre-Lör", "4-5"}, {"4", "5"}, {"Fre 4", "Lör 5"}, {"Fre", "4, 5"}, {"Fre", "4 o 5"}, {"4", "-5"}} {
			rows, _, errs := readAll(t, "<table>"+realHeader+month("December 2026")+realRow(cells[0], cells[1], "")+realRow("Sön", "6", "")+"</table>", listing.Options{})
			require.Len(t, errs, 1, cells)
			require.Len(t, rows, 1)
			require.Equal(t, "2026-12-06", rows[0].Date)
		}
	})
	t.Run("as a spreadsheet saves it", func(t *testing.T) {
		t.Parallel()
		text := "Datum;;Tid;Dansband;Dansställe;Ort;Kommun;Län;Övrigt\nDecember 2026;;;;;;;;\nFre;4;21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;>\nLör;5;21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;\n"
		require.Equal(t, "2026-12-04 2026-12-05", dates(t, text, listing.Options{}))
	})
}

func TestReadAnEmptyColumnBetweenCityAndMunicipality(t *testing.T) {
	t.Parallel()
	row := "<tr><td>Lör<td>5<td>21-01<td>Tollez<td>Malungs Folkets Park<td>Malung<td><td>Malung-Sälen<td>Dalarna<td>"
	month := "<tr><td colspan=9>December 2026"
	for name, page := range map[string]string{
		"in header and rows":    strings.Replace(realHeader, "<th>Kommun", "<th></th><th>Kommun", 1) + month + row,
		"under a city of two":   strings.Replace(realHeader, "<th>Ort", "<th colspan=2>Ort", 1) + month + row,
		"in some rows only":     realHeader + month + row + realRow("Sön", "6", ""),
		"in a row with a link":  realHeader + month + row + ">",
		"with blanks in a cell": realHeader + month + strings.Replace(row, "<td>Malung<td>", "<td>Malung<td>&nbsp;", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, dates(t, "<table>"+page+"</table>", listing.Options{}), "2026-12-05")
		})
	}
	t.Run("but not where cells may be missing or too many", func(t *testing.T) {
		t.Parallel()
		for _, cells := range []string{
			"Malung<td><td>Malung-Sälen<td>Dalarna<td>Kaffe<td>", "Malung<td><td>Dalarna<td>Kaffe<td>", "Malung<td>Malung-Sälen<td>Dalarna<td>Kaffe<td>Bulle",
			"Malung<td><td>Malung-Sälen<td>Mycket<td>Kaffe",
		} {
			_, _, errs := readAll(t, "<table>"+realHeader+month+"<tr><td>Lör<td>5<td>21-01<td>Tollez<td>Parken<td>"+cells+"</table>", listing.Options{})
			require.Len(t, errs, 1, cells)
		}
	})
}

func TestReadDatesThatAreGivenOnce(t *testing.T) {
	t.Parallel()
	band := func(date, band string) string {
		return date + ";21-01;" + band + ";Parken;Malung;Malung-Sälen;Dalarna;\n"
	}
	read := func(t *testing.T, text string) (got []string, errs []error) {
		t.Helper()
		rows, _, errs := readAll(t, text, listing.Options{})
		for _, row := range rows {
			got = append(got, row.Date[8:]+row.Band)
		}
		return got, errs
	}
	for name, text := range map[string]string{
		"in the first row of a day":   header + band("2026-12-05", "A") + band("", "B") + band(" ", "C") + band("2026-12-06", "D") + band("", "E"),
		"with ditto marks":            header + band("2026-12-05", "A") + band(`"-""-"`, "B") + band("”", "C") + band("2026-12-06", "D") + band(`''`, "E"),
		"in a row of its own":         header + "Lördag 5 december 2026;;;;;;;\n" + band("", "A") + band("", "B") + band("", "C") + "Söndag 6 december;;;;;;;\n" + band("", "D") + band("", "E"),
		"over empty rows":             header + band("2026-12-05", "A") + ";;;;;;;\n" + band("", "B") + band("", "C") + "\n" + band("Sön 6", "D") + band("", "E"),
		"in a cell of several rows":   "<table>" + htmlHeader + "<tr><td rowspan=3>2026-12-05" + cellsOf("A") + "<tr>" + cellsOf("B") + "<tr>" + cellsOf("C") + "<tr><td rowspan=0>2026-12-06" + cellsOf("D") + "<tr>" + cellsOf("E") + "</table>",
		"in two cells of several":     "<table>" + realHeader + "<tr><td colspan=9>December 2026<tr><td rowspan=3>Lör<td rowspan=3>5" + cellsOf("A") + "<tr>" + cellsOf("B") + "<tr>" + cellsOf("C") + "<tr><td>Sön<td>6" + cellsOf("D") + "<tr><td><td>" + cellsOf("E") + "</table>",
		"in a cell that ends a group": "<table>" + htmlHeader + "<tbody><tr><td rowspan=99>2026-12-05" + cellsOf("A") + "<tr>" + cellsOf("B") + "<tr>" + cellsOf("C") + "<tbody><tr><td>2026-12-06" + cellsOf("D") + "<tr><td>" + cellsOf("E") + "</table>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, errs := read(t, text)
			require.Empty(t, errs)
			require.Equal(t, "05A 05B 05C 06D 06E", strings.Join(got, " "))
		})
	}
	for name, test := range map[string]struct{ text, got, err string }{
		"that can't be read are of no use below":   {header + band("2026-12-05", "A") + band("2026-12-99", "B") + band("", "C") + band("", "D") + band("2026-12-06", "E"), "05A 06E", `line 4: Datum "": expected a date: the row above it`},
		"are good although their row is not":       {header + band("2026-12-05", "A") + "2026-12-06;99;B;Parken;Malung;Malung-Sälen;Dalarna;\n" + band("", "C") + "2026-12-07;21;\x01;Parken;;;;\n" + band("", "D"), "05A 06C 07D", `line 3: Tid "99"`},
		"end with the month":                       {header + band("2026-12-05", "A") + "Januari 2027\n" + band("", "B"), "05A", `line 4: Datum "": expected a date such`},
		"end with the table":                       {oneTable + "<table>" + htmlHeader + "<tr><td>" + cellsOf("B") + "</table>", "05Tollez", `line 1: Datum "": expected a date such`},
		"are none without dances":                  {header + band("2026-12-05", "A") + "2026-12-06;;;;;;;\n" + band("2026-12-07", "C"), "05A 07C", `line 3: Dansband "": expected a name`},
		"are none at the end":                      {header + band("2026-12-05", "A") + "2026-12-06;;;;;;;\n", "05A", `line 3: Dansband "": expected a name`},
		"are no ranges":                            {header + "Fre-lör 4-5 december 2026;;;;;;;\n" + band("", "A") + band("2026-12-05", "B"), "05B", "line 2: Datum"},
		"are not known when CSV breaks their cell": {header + "\"2026-12-05\"x;21;A;Parken;Malung;Malung-Sälen;Dalarna;\n" + band("", "B") + band("2026-12-06", "C"), "06C", "line 2: bad CSV"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, errs := read(t, test.text)
			require.Equal(t, test.got, strings.Join(got, " "))
			require.NotEmpty(t, errs)
			require.ErrorContains(t, errors.Join(errs...), test.err)
		})
	}
}

func cellsOf(band string) string {
	return "<td>21-01<td>" + band + "<td>Parken<td>Malung<td>Malung-Sälen<td>Dalarna<td>\n"
}

func TestReadHeaders(t *testing.T) {
	t.Parallel()
	row := "2026-12-05;21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;\n"
	for _, names := range []string{
		"Datum;Tid;Band;Dansbana;Ort;Kommun;Län;Övrigt", "DATUM;TID;BAND;LOKAL;ORT;KOMMUN;LÄN;ÖVRIGT", "Datum;Tid;Dansband;Plats;Ort;Kommun;Län;Övrigt",
		"Datum;Tid;Band;Lokal;Plats;Kommun;Län;Övrigt", "Datum;Klockslag;Orkester;Danslokal;Stad;Kommun;Län;Övrigt", "Datum:;Tid:;Band:;Lokal:;Ort:;Kommun:;Län:;Övrigt:",
		"Datum;Tid;Band;Dansställe;Plats;Kommun;Län;Övrigt",
	} {
		t.Run("such as "+names, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "2026-12-05", dates(t, names+"\n"+row, listing.Options{}))
		})
	}
	t.Run("prefer the column's own name", func(t *testing.T) {
		t.Parallel()
		rows, _, errs := readAll(t, "Datum;Tid;Dansband;Dansställe;Ort;Kommun;Län;Övrigt;Lokal;Band;Plats\n"+strings.TrimSpace(row)+";Stora salen;3;Hörnet\n", listing.Options{})
		require.Empty(t, errs)
		require.Equal(t, []listing.Row{plain(nil)}, rows)
	})
	t.Run("of two columns that may be the hall are refused", func(t *testing.T) {
		t.Parallel()
		_, _, errs := readAll(t, "Datum;Tid;Dansband;Dansbana;Lokal;Ort;Kommun;Län;Övrigt\n"+row, listing.Options{})
		require.Len(t, errs, 1)
		require.ErrorAs(t, errs[0], new(*listing.HeaderError))
	})
	t.Run("may take two rows", func(t *testing.T) {
		t.Parallel()
		page := "<table><tr><th colspan=2>Datum"
		for _, name := range listing.Columns()[1:] {
			page += "<th rowspan=2>" + name
		}
		page += "<tr><th>Veckodag<th>Dag<tr><td colspan=9>December 2026" + realRow("Lör", "5", "") + "</table>"
		require.Equal(t, "2026-12-05", dates(t, page, listing.Options{}))
	})
}

func TestReadSpelling(t *testing.T) {
	t.Parallel()
	for _, date := range []string{
		"20261205", "05.12.2026", "2026/12/05", "2026-12-05 00:00:00", "lö 5/12", "Lördagen den 5:e december", "2026.12.05", "2026-12-05T00:00:00", "20261205 00:00", "2026/12/05 00:00:00.000",
		"5.12.2026", "5. 12. 2026", "5.12 2026", "5.12", "5.12.", "05.12.2026 00:00:00", "5/12, 2026", "5/12 - 2026", "5/12–2026", "LÖRDAG 5/12", "Lö. 5/12", "lör, 5/12", "lör5/12", "5/12 lör", "5/12 (lördag)",
		"2026\u201112\u201105", "2026–12–05", "2026\u221212\u221205", "5⁄12", "den 5 december", "5e december", "5:te december", "5december", "5 dec.", "5. december 2026", "lördag den 5:e", "lör 5:e", "lördag 5.",
		"lör 05/12/2026", "05/12/2026 lördag", "lör 12/05/2026", "lör\u202f5\u2009december\u00a02026", "Lördagen 5 december, 2026",
	} {
		t.Run("of the date "+date, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "2026-12-05", dates(t, "December 2026\n"+header+"\""+date+"\";21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;\n", listing.Options{}))
		})
	}
	for _, date := range []string{"25/12/2026", "25-12-2026", "12/25/2026", "12-25-2026"} {
		got, err := listing.ParseDate("", date)
		require.NoError(t, err, date)
		require.Equal(t, "2026-12-25", got)
	}
	for time, want := range map[string]string{
		"kl. 19-23.30": "19:00 23:30", "19.00 till 23.30": "19:00 23:30", "19:00:00": "19:00 ", "klockan 19": "19:00 ", "Kl 19.00-23.00.": "19:00 23:00", "12 : 00-20 :00": "12:00 20:00",
		"19:00:00-23:30:00": "19:00 23:30", "kl.19": "19:00 ", "Klockan 19.00 - 23.30": "19:00 23:30", "kl 19 - kl 23": "19:00 23:00", "19–23": "19:00 23:00", "19—23": "19:00 23:00", "19−23": "19:00 23:00",
		"19\u201123": "19:00 23:00", "19\u201023": "19:00 23:00", "19\u2009–\u200923": "19:00 23:00", "19\u00a0-\u00a023": "19:00 23:00", "19\u202f-\u202f23": "19:00 23:00", "19.00--23.00": "19:00 23:00",
		"19 till 23": "19:00 23:00", "KL. 19.00 TILL 01.00": "19:00 01:00", "från kl 19": "19:00 ", "1900-2330": "19:00 23:30", "19. 00-23. 30": "19:00 23:30", "20.00-24.00": "20:00 00:00", "19,30-23,30": "19:30 23:30", "19-": "19:00 ",
	} {
		start, end, err := listing.ParseTime(clean(time))
		require.NoError(t, err, time)
		require.Equal(t, want, start+" "+end, time)
	}
}

func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestReadRefusesWhatMayMeanTwoThings(t *testing.T) {
	t.Parallel()
	for _, date := range []string{
		// ranges of days, however they are written
		"4-5/12", "4–5 december", "5/12-6/12", "5/12 - 6/12", "fre-lör 4-5/12", "Fre 4 - Lör 5", "fre 4 och lör 5", "4-5", "4 - 5", "4,5", "4, 5 december", "4/5 december", "4+5/12", "4 & 5 december", "4 till 5 december", "4 o 5/12",
		"2026-12-04--05", "2026-12-04/05", "2026-12-04 - 2026-12-05", "2026-12-04/2026-12-05", "20261204-20261205", "20261204-05", "04-05.12.2026", "4.-5.12.2026", "4.12-5.12", "04.12.2026-05.12.2026", "4 dec-5 dec", "lördagar", "lördagarna",
		"lör/sön 5/12", "lö-sö", "lördag, söndag 5", "5/12-26", "5/12 t.o.m. 7/12", "5–", "-5", "4:e-5:e december", "4:e och 5:e december", "1-12 2026", "v. 49", "4 december-5", "4 5", "4 5 december", "1-2/3 2026",
		// days that may be two
		"05/12/2026", "5/12/2026", "12-05-2026", "05/06/2026 00:00:00", "05/12/26", "5.12.26", "261205", "2026-12", "12/2026", "05122026",
		// what is more than a date, or less
		"2026-12-05 21:00", "2026-12-05 00:00:01", "2026-12-05 kl 21", "5 december?", "ca 5/12", "lördag", "december 5", "2026-13-05", "2026-02-30", "20261305", "32.12.2026", "31/11", "2026-12-05 00:00 x", "5 00:00:00", "46361", "19.30", "5/12-2026-2027",
	} {
		t.Run("as a date: "+date, func(t *testing.T) {
			t.Parallel()
			got, err := listing.ParseDate("December 2026", date)
			require.Error(t, err, got)
		})
	}
	for _, time := range []string{
		"19, 21", "19 23", "19.00 23.00", "19 / 23", "19 och 21", "19.00, 21.00", "-23.00", "till 23", "19:00:30", "19.5", "19.60", "24.00", "24.30-01", "19-24.30", "ca 19", "19-23 ca", "19 em", "7pm", "kl", "klockan", "19-21-23", "19.00-23.00 (insläpp 18)", "1907", "19:00:00:00", "25-26", "19–23–", "..", "19-2x",
	} {
		t.Run("as a time: "+time, func(t *testing.T) {
			t.Parallel()
			start, end, err := listing.ParseTime(time)
			require.Error(t, err, start+end)
		})
	}
}

// A slip of the keyboard in one date does not move the dates below it to other years.
func TestReadKeepsYearsApartFromSlips(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ dates, want string }{
		"of a month":                {"5/12 2026; 5/6; 6/12; 7/12", "2026-12-05 2027-06-05 2026-12-06 2026-12-07"},
		"of a year ahead":           {"2026-12-05; 2062-12-06; 7/12; Tis 8", "2026-12-05 2062-12-06 2026-12-07 2026-12-08"},
		"of a year gone":            {"2026-12-05; 2016-12-06; 7/12", "2026-12-05 2016-12-06 2026-12-07"},
		"that is a gap":             {"5/12 2026; 5/6; 6/6; 6/12", "2026-12-05 2027-06-05 2027-06-06 2027-12-06"},
		"that a weekday rules out":  {"5/12 2026; lör 5/6; 6/6; 5/1", "2026-12-05 2027-06-05 2027-06-06 2028-01-05"},
		"that days alone can shows": {"2026-12-05; 2027-06-05; Sön 6; Mån 7", "2026-12-05 2027-06-05 error error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := header
			for date := range strings.SplitSeq(test.dates, "; ") {
				text += date + ";21-01;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n"
			}
			var got []string
			for row, err := range listing.Read(strings.NewReader(text), listing.Options{}) {
				if err != nil {
					row.Date = "error"
				}
				got = append(got, row.Date)
			}
			require.Equal(t, test.want, strings.Join(got, " "))
		})
	}
}
