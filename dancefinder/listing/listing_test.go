package listing_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

const header = "Datum;Tid;Dansband;Dansställe;Ort;Kommun;Län;Övrigt\n"

// plain is the row that most tests change a little.
func plain(change func(*listing.Row)) listing.Row {
	row := listing.Row{
		Line: 2, Date: "2026-12-05", Start: "21:00", End: "01:00",
		Band: "Tollez", Hall: "Malungs Folkets Park",
		City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna",
	}
	if change != nil {
		change(&row)
	}
	return row
}

// readAll returns the rows without their warnings, the warnings, and the errors.
func readAll(t *testing.T, text string, opts listing.Options) (rows []listing.Row, warnings, errs []error) {
	t.Helper()
	for row, err := range listing.Read(strings.NewReader(text), opts) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, w := range row.Warnings {
			warnings = append(warnings, w)
		}
		row.Warnings = nil
		rows = append(rows, row)
	}
	return rows, warnings, errs
}

func TestReadForgives(t *testing.T) {
	t.Parallel()
	place := ";Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;"
	tests := []struct {
		name, row string
		want      listing.Row
		warning   error
	}{
		{"times with full stops", "lör 2026-12-05;21.00-01.00" + place, plain(nil), nil},
		{"a time with a colon is a start", "lör 2026-12-05;21:00" + place, plain(func(r *listing.Row) { r.End = "" }), nil},
		{"a time with a comma is a start", "lör 2026-12-05;21,00" + place, plain(func(r *listing.Row) { r.End = "" }), nil},
		{"an afternoon dance", "lör 2026-12-05;13.30-17.00" + place, plain(func(r *listing.Row) { r.Start, r.End = "13:30", "17:00" }), nil},
		{"a missing time", "lör 2026-12-05;" + place, plain(func(r *listing.Row) { r.Start, r.End = "", "" }), nil},
		{"a start and a dash", "lör 2026-12-05;21.00–" + place, plain(func(r *listing.Row) { r.End = "" }), nil},
		{"midnight written as 24", "lör 2026-12-05;kl. 20 – 24" + place, plain(func(r *listing.Row) { r.Start, r.End = "20:00", "00:00" }), nil},
		{"an empty extra that is not even there", strings.TrimSuffix("lör 2026-12-05;21.00-01.00"+place, ";"), plain(nil), nil},
		{"superfluous white space and invisible characters",
			"Lör\u00a02026-12-05 ; 21.00 - 01.00 ;  Tol\u00adlez ;Malungs   Folkets\tPark;Malung;Malung-Sälen;Dalarna;", plain(nil), nil},
		{"line breaks, a line separator and zero-width characters within cells",
			"2026-12-05;21.00-01.00;\u200bTol\u200dlez\ufeff;\"Malungs\r\nFolkets\u2028Park\v\";\u0085Malung\f;Malung-Sälen;Dalarna;", plain(nil), nil},
		{"letters composed of two characters",
			"2026-12-05;21.00-01.00;Tollez;Malungs Folkets Park;Malung;Malung-Sa\u0308len;Dalarna;", plain(nil), nil},
		{"a time in the band's column instead of its own", "2026-12-05;;21.00-01.00 Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;",
			plain(nil), listing.ErrBandTime},
		{"a time in the band's column besides its own", "2026-12-05;21-01;Tollez kl 20.00;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;",
			plain(nil), listing.ErrBandTime},
		{"a band with a number in its name", "2026-12-05;21-01;Tollez 54;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;",
			plain(func(r *listing.Row) { r.Band = "Tollez 54" }), nil},
		{"a cancelled dance", "2026-12-05;21.00-01.00" + place + "INSTÄLLT! Välkomna åter",
			plain(func(r *listing.Row) { r.Cancelled, r.Extra = true, "INSTÄLLT! Välkomna åter" }), nil},
		{"an extra that only resembles a cancelled dance", "2026-12-05;21.00-01.00" + place + "Inställningen är god",
			plain(func(r *listing.Row) { r.Extra = "Inställningen är god" }), nil},
		{"a band not decided is a row to skip", "2026-12-05;21.00-01.00;Ej fastställt;Malungs Folkets Park;;;;",
			listing.Row{Line: 2, Date: "2026-12-05", Band: "Ej fastställt", Hall: "Malungs Folkets Park", Skip: listing.SkipUndecided}, nil},
		{"a ferry without a place", "2026-12-05;21.00-01.00;Tollez;M/S Vågdans;Båt;;;",
			plain(func(r *listing.Row) {
				r.Hall, r.City, r.Municipality, r.State = "M/S Vågdans", "", domain.Ferry, domain.Ferry
			}), nil},
		{"a ferry with a home port", "2026-12-05;21.00-01.00;Tollez;M/S Vågdans;Kapellskär;Norrtälje;(Båt);",
			plain(func(r *listing.Row) {
				r.Hall, r.City, r.Municipality, r.State = "M/S Vågdans", "Kapellskär", "Norrtälje", domain.Ferry
			}), nil},
		{"a Norwegian hall without a municipality", "2026-12-05;21.00-01.00;Tollez;Samfunnshuset;Trysil;;Norge;",
			plain(func(r *listing.Row) {
				r.Hall, r.City, r.Municipality, r.State = "Samfunnshuset", "Trysil", "Norge", "Norge"
			}), nil},
		{"a Finnish hall without a state", "2026-12-05;21.00-01.00;Tollez;Lava;Närpes;Finland;;",
			plain(func(r *listing.Row) {
				r.Hall, r.City, r.Municipality, r.State = "Lava", "Närpes", "Finland", "Finland"
			}), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rows, warnings, errs := readAll(t, header+test.row+"\n", listing.Options{})
			require.Empty(t, errs)
			require.Equal(t, []listing.Row{test.want}, rows)
			if test.warning == nil {
				require.Empty(t, warnings)
			} else {
				require.Len(t, warnings, 1)
				require.ErrorIs(t, warnings[0], test.warning)
			}
		})
	}
}

func TestReadReportsBadRowsAndGoesOn(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, row, want string }{
		{"no date", ";21.00;Tollez;Parken;Malung;Malung-Sälen;Dalarna;", `line 2: Datum "": expected a date such as Lör 5, lör 5/12 or 2026-12-05`},
		{"a day that does not exist", "2026-02-30;;Tollez;Parken;Malung;Malung-Sälen;Dalarna;", `line 2: Datum "2026-02-30": there is no such day`},
		{"a weekday that contradicts its date", "Fre 5/12-2026;;Tollez;Parken;Malung;Malung-Sälen;Dalarna;", `line 2: Datum "Fre 5/12-2026": weekday contradicts the date: 2026-12-05 is a lördag`},
		{"a date without a year", "5/12;;Tollez;Parken;Malung;Malung-Sälen;Dalarna;", `line 2: Datum "5/12": expected a year: in the date, in a month header such as December 2026, or as an option`},
		{"a day without a month", "Lör 5;;Tollez;Parken;Malung;Malung-Sälen;Dalarna;", `line 2: Datum "Lör 5": expected a month: in the date, or in a month header such as December 2026`},
		{"a time that is none", "2026-12-05;sent;Tollez;Parken;Malung;Malung-Sälen;Dalarna;", `line 2: Tid "sent": expected a time such as 21.00-01.00 or 21.00`},
		{"a time that no clock shows", "2026-12-05;25.00;Tollez;Parken;Malung;Malung-Sälen;Dalarna;", `line 2: Tid "25.00": expected a time such as 21.00-01.00 or 21.00`},
		{"a band that is a time", "2026-12-05;;21.00-01.00;Parken;Malung;Malung-Sälen;Dalarna;", `line 2: Dansband "21.00-01.00": expected a name`},
		{"no hall", "2026-12-05;;Tollez;;Malung;Malung-Sälen;Dalarna;", `line 2: Dansställe "": expected a name`},
		{"no municipality", "2026-12-05;;Tollez;Parken;Malung;;Dalarna;", `line 2: Kommun "": expected a name`},
		{"no state", "2026-12-05;;Tollez;Parken;Malung;Malung-Sälen", `line 2: Län "": expected a name`},
		{"too many cells", "2026-12-05;;Tollez;Parken;Malung;Malung-Sälen;Dalarna;Kaffe;Bulle", `line 2: expected 8 cells, found 9`},
		{"far too many cells", "2026-12-05" + strings.Repeat(";", listing.MaxColumns), `line 2: expected at most 64 columns`},
		{"a cell that is too long", "2026-12-05;;" + strings.Repeat("x", listing.MaxCell+1), `line 2: Dansband "` + strings.Repeat("x", 100) + `": expected at most 4096 bytes in a cell`},
		{"another encoding", "2026-12-05;;K\xe5re;Parken;Malung;Malung;Dalarna;", `line 2: Dansband "K\xe5re": expected text in UTF-8`},
		{"a NUL", "2026-12-05;;A\x00B;Parken;Malung;Malung;Dalarna;", `line 2: Dansband "A\x00B": expected text without control characters, found U+0000`},
		{"an escape", "2026-12-05;;Tollez;Parken;Malung;Malung;Dalarna;Kaf\x1bfe", `line 2: Övrigt "Kaf\x1bfe": expected text without control characters, found U+001B`},
		{"a control character of the second set", "2026-12-05;;Tollez;Par\u0081ken;Malung;Malung;Dalarna;", `line 2: Dansställe "Par\u0081ken": expected text without control characters, found U+0081`},
		{"a control character in a date", "2026-12-0\x085;;Tollez;Parken;Malung;Malung;Dalarna;", `line 2: Datum "2026-12-0\b5": expected text without control characters, found U+0008`},
		{"a control character alone in a cell", "2026-12-05;;Tollez;Parken;\x7f;Malung;Dalarna;", `line 2: Ort "\x7f": expected text without control characters, found U+007F`},
		{"a control character in a month's row", "Januari\x002027", `line 2: Datum "Januari\x002027": expected text without control characters, found U+0000`},
		{"a control character beside the columns", "2026-12-05;;Tollez;Parken;Malung;Malung;Dalarna;;\x00", `line 2: cell 9: expected text without control characters, found U+0000`},
		{"a character that was lost", "2026-12-05;;K\ufffdre;Parken;Malung;Malung;Dalarna;", `line 2: Dansband "K�re": expected text without control characters, found U+FFFD`},
		{"a band that is too long", "2026-12-05;;" + strings.Repeat("Ä", 201) + ";Parken;Malung;Malung;Dalarna;", `line 2: Dansband "` + strings.Repeat("Ä", 100) + `": expected at most 200 characters, found 201`},
		{"an extra that is too long", "2026-12-05;;Tollez;Parken;Malung;Malung;Dalarna;" + strings.Repeat("x", 2001), `line 2: Övrigt "` + strings.Repeat("x", 100) + `": expected at most 2000 characters, found 2001`},
		{"a city that is too long", "2026-12-05;;Tollez;Parken;" + strings.Repeat("x", 101) + ";Malung;Dalarna;", `line 2: Ort "` + strings.Repeat("x", 100) + `": expected at most 100 characters, found 101`},
		{"a quote within a cell", `2026-12-05;;Tollez;Loge "Parken";Malung;Malung;Dalarna;`, `line 2: bad CSV in column 25: bare " in non-quoted-field`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rows, _, errs := readAll(t, header+test.row+"\n2026-12-05;21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;\n", listing.Options{})
			require.Len(t, errs, 1)
			require.EqualError(t, errs[0], test.want)
			_, ok := errors.AsType[*listing.RowError](errs[0])
			require.True(t, ok)
			require.Equal(t, []listing.Row{plain(func(r *listing.Row) { r.Line = 3 })}, rows)
		})
	}
}

// A month header that can't be read would leave the dates after it to another month.
func TestReadReportsDamagedMonths(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Januari\x002027\n" + header,
		"Jan\x00uari 2027;;;;;;;\n" + header,
		"Januari\xff 2027\n" + header,
		"<h2>Janu\x00ari 2027</h2><table>" + htmlHeader + "</table>",
		"<table><caption>Januari 2027\x01</caption>" + htmlHeader + "</table>",
		"<table>" + htmlHeader + "<tr><td colspan=8>Januari\x01 2027</table>",
	} {
		rows, _, errs := readAll(t, text, listing.Options{})
		require.Empty(t, rows)
		require.Len(t, errs, 1, "%q", text)
		_, ok := errors.AsType[*listing.RowError](errs[0])
		require.True(t, ok)
		require.ErrorContains(t, errs[0], "line 1: ")
	}
	rows, _, errs := readAll(t, "<h1>Dans\x01program</h1><table><tr><td>Meny\xff<td>S\xf6k</table><table>"+htmlHeader+"</table>", listing.Options{})
	require.Empty(t, rows)
	require.Empty(t, errs, "what is no listing may be damaged")
}

func TestReadSkipsDuplicates(t *testing.T) {
	t.Parallel()
	at := func(date, time, band, hall string) string {
		return date + ";" + time + ";" + band + ";" + hall + ";Malung;Malung-Sälen;Dalarna;\n"
	}
	rows, _, errs := readAll(t, header+
		at("2026-12-05", "13.30-17.00", "Tollez", "Parken")+
		at("2026-12-05", "19.00-23.00", "Tollez", "Parken")+ // a second set is no duplicate
		at("2026-12-05", "19.00-24.00", "TOLLEZ", " Parken ")+
		at("2026-12-05", "19.00-23.00", "Tollez", "Logen")+
		at("2026-12-06", "19.00-23.00", "Tollez", "Parken"), listing.Options{})
	require.Empty(t, errs)
	var skipped []listing.SkipReason
	for _, row := range rows {
		skipped = append(skipped, row.Skip)
	}
	require.Equal(t, []listing.SkipReason{"", "", listing.SkipDuplicate, "", ""}, skipped)
}

func TestReadCSV(t *testing.T) {
	t.Parallel()
	want := []listing.Row{plain(func(r *listing.Row) { r.Extra = "Kaffe, te" })}

	tests := []struct{ name, text string }{
		{"commas and quotes", "Datum,Tid,Dansband,Dansställe,Ort,Kommun,Län,Övrigt\n" +
			`2026-12-05,"21,00-01,00",Tollez,Malungs Folkets Park,Malung,Malung-Sälen,Dalarna,"Kaffe, te"`},
		{"semicolons", header + "2026-12-05;21,00-01,00;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;Kaffe, te"},
		{"tabs", strings.ReplaceAll(header, ";", "\t") +
			"2026-12-05\t21,00-01,00\tTollez\tMalungs Folkets Park\tMalung\tMalung-Sälen\tDalarna\tKaffe, te"},
		{"a byte order mark and lines ending in CR LF", "\ufeff" + strings.ReplaceAll(header, "\n", "\r\n") +
			"2026-12-05;21,00-01,00;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;Kaffe, te\r\n"},
		{"another order of columns, and another column", "Län;Kommun;Ort;Pris;dansställe;DANSBAND;Övrigt;Tid;Datum\n" +
			"Dalarna;Malung-Sälen;Malung;100;Malungs Folkets Park;Tollez;Kaffe, te;21-01;2026-12-05"},
	}
	for _, test := range tests {
		t.Run("with "+test.name, func(t *testing.T) {
			t.Parallel()
			rows, warnings, errs := readAll(t, test.text, listing.Options{})
			require.Empty(t, errs)
			require.Empty(t, warnings)
			require.Equal(t, want, rows)
		})
	}
}

func TestReadRefusesWhatIsNoListing(t *testing.T) {
	t.Parallel()
	expected := "expected a row with the columns Datum, Tid, Dansband, Dansställe, Ort, Kommun, Län, Övrigt"
	tests := []struct{ name, text, want string }{
		{"nothing", "", "not a listing: " + expected + "; found no table"},
		{"prose", "Hej\n", "not a listing: line 1: " + expected +
			`; missing Datum, Tid, Dansband, Dansställe, Ort, Kommun, Län, Övrigt; found "Hej"`},
		{"a page without a table", "<html><h1>Hej</h1></html>", "not a listing: " + expected + "; found no table"},
		{"a header that lacks columns", "Program\nDatum,Tid,Dansband,Dansställe,Ort,Kommun\n2026-12-05,21.00\n",
			"not a listing: line 2: " + expected + `; missing Län, Övrigt; found "Datum, Tid, Dansband, Dansställe, Ort, Kommun"`},
		{"another encoding", "Datum,Tid,Dansband,Dansst\x84lle,Ort,Kommun,L\x84n,\x99vrigt\n",
			"not a listing: line 1: " + expected + "; can't read the file as text: it is not in UTF-8 and was read as Windows-1252; " +
				"if it is in another encoding, convert it, as with iconv -f CP850 -t UTF-8 FILE"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rows, _, errs := readAll(t, test.text, listing.Options{})
			require.Empty(t, rows)
			require.Len(t, errs, 1)
			_, ok := errors.AsType[*listing.HeaderError](errs[0])
			require.True(t, ok)
			require.EqualError(t, errs[0], test.want)
		})
	}
}

func TestReadStops(t *testing.T) {
	t.Parallel()

	t.Run("with the reader's error", func(t *testing.T) {
		t.Parallel()
		broken := io.MultiReader(strings.NewReader(header), iotest.ErrReader(io.ErrUnexpectedEOF))
		var errs []error
		for _, err := range listing.Read(broken, listing.Options{}) {
			errs = append(errs, err)
		}
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], io.ErrUnexpectedEOF)
	})

	t.Run("when the caller does", func(t *testing.T) {
		t.Parallel()
		row := "2026-12-05;21-01;Tollez;Malungs Folkets Park;Malung;Malung-Sälen;Dalarna;\n"
		for _, err := range listing.Read(strings.NewReader(header+row+row), listing.Options{}) {
			require.NoError(t, err)
			break
		}
	})
}
