package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/operate"
)

const header = "Datum,Tid,Dansband,Dansställe,Ort,Kommun,Län,Övrigt\n"

// july is a listing of three dances.
const july = header +
	"2026-07-04,21.00-01.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n" +
	"2026-07-04,19.00-23.00,Zetas,Parken,Malung,Malung-Sälen,Dalarna,\n" +
	"2026-07-11,21.00-01.00,Zetas,Logen,Mora,Mora,Dalarna,Logdans\n"

// julyPage is the same as HTML.
const julyPage = `<!DOCTYPE html>
<html><body><h2>Juli 2026</h2>
<table><tr><th>Datum<th>Tid<th>Dansband<th>Dansst&auml;lle<th>Ort<th>Kommun<th>L&auml;n<th>&Ouml;vrigt
<tr><td>L&ouml;r 4<td>21.00-01.00<td>&Auml;ngs<td>Parken<td>Malung<td>Malung-S&auml;len<td>Dalarna<td>
<tr><td>L&ouml;r 4<td>19.00-23.00<td>Zetas<td>Parken<td>Malung<td>Malung-S&auml;len<td>Dalarna<td>
<tr><td>L&ouml;r 11<td>21.00-01.00<td>Zetas<td>Logen<td>Mora<td>Mora<td>Dalarna<td>Logdans
</table></body></html>
`

// The reports on july, as numbers.
var (
	allCreated   = report{Rows: 3, Created: 3, Bands: 2, Halls: 2}
	allUnchanged = report{Rows: 3, Unchanged: 3}
)

func write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

// folder has the listing in both forms.
func folder(t *testing.T) (csvFile, htmlFile string) {
	t.Helper()
	dir := t.TempDir()
	csvFile, htmlFile = filepath.Join(dir, "july.csv"), filepath.Join(dir, "july.html")
	write(t, csvFile, july)
	write(t, htmlFile, julyPage)
	return csvFile, htmlFile
}

// imported runs an import and returns its only report, without the file's name.
func (d *database) imported(code int, args ...string) report {
	d.t.Helper()
	return d.importedFrom("", code, args...)
}

func (d *database) importedFrom(stdin string, code int, args ...string) report {
	d.t.Helper()
	got := dancefinderReads(d.t, stdin, d.args(append([]string{"import", "--json"}, args...))...)
	require.Equal(d.t, code, got.code, got.err)
	var reports struct{ Files []report }
	require.NoError(d.t, json.Unmarshal([]byte(got.out), &reports), got.out)
	require.Len(d.t, reports.Files, 1)
	r := reports.Files[0]
	if len(r.Refused) == 0 {
		r.Refused = nil
	}
	r.File = ""
	return r
}

func TestImport(t *testing.T) {
	t.Parallel()
	csvFile, htmlFile := folder(t)
	for name, files := range map[string][2]string{
		"of a CSV file creates what the HTML file has too": {csvFile, htmlFile},
		"of an HTML file creates what the CSV file has":    {htmlFile, csvFile},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newTables(t)
			require.Equal(t, allCreated, d.imported(operate.ExitDone, files[0]))
			require.EqualValues(t, 7, d.number("SELECT count(*) FROM events"))
			require.Equal(t, allUnchanged, d.imported(operate.ExitDone, files[0]), "again changes nothing")
			require.Equal(t, allUnchanged, d.imported(operate.ExitDone, files[1]), "the other form is the same listing")
			require.EqualValues(t, 7, d.number("SELECT count(*) FROM events"))
		})
	}
	t.Run("reads standard input", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		got := dancefinderReads(t, july, d.args([]string{"import", "-"})...)
		require.Equal(t, operate.ExitDone, got.code, got.err)
		require.Equal(t, "FILE  ROWS  CREATED  CHANGED  UNCHANGED  WITHDRAWN  SKIPPED  REFUSED  BANDS  HALLS\n"+
			"-     3     3        0        0          0          0        0        2      2\n", got.out)
		require.Regexp(t, `^import: \d+ bytes in .*, \d+ a second\n$`, got.err)
		require.Equal(t, allUnchanged, d.importedFrom(julyPage, operate.ExitDone, "-"))
	})
	t.Run("says how far it is, with the size of a file", func(t *testing.T) {
		t.Parallel()
		got := newTables(t).run("import", csvFile)
		require.Regexp(t, `^import: (\d+) of \d+ bytes in .*, \d+ a second\n$`, got.err)
	})
	t.Run("of bad rows names file and line and does the others", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		bad := filepath.Join(t.TempDir(), "bad.csv")
		write(t, bad, strings.Replace(july, "2026-07-04,19.00", "2026-07-99,19.00", 1)+
			"2026-07-12,21.00,"+strings.Repeat("Ä", 201)+",Parken,Malung,Malung-Sälen,Dalarna,\n")
		refused := []refusal{
			{Line: 3, Column: "Datum", Value: "2026-07-99", Reason: "there is no such day"},
			{Line: 5, Column: "Dansband", Value: strings.Repeat("Ä", 100), Reason: "expected at most 200 characters, found 201"},
		}
		require.Equal(t, report{Rows: 4, Created: 2, Bands: 2, Halls: 2, RefusedCount: 2, Refused: refused}, d.imported(operate.ExitFailed, bad))
		require.Equal(t, report{Rows: 4, Unchanged: 2, RefusedCount: 2, Refused: refused}, d.imported(operate.ExitFailed, bad))
		got := d.run("import", bad)
		require.Equal(t, operate.ExitFailed, got.code)
		require.Regexp(t, `(?m)^REFUSED IN +LINE +COLUMN +FOUND +REASON$`, got.out)
		require.Regexp(t, `(?m)^`+bad+` +3 +Datum +"2026-07-99" +there is no such day$`, got.out)
		require.Regexp(t, `(?m)^`+bad+` +5 +Dansband +"Ä{40}" +expected at most 200 characters, found 201$`, got.out)
		require.Contains(t, got.err, "dancefinder: "+bad+": 2 of 4 rows were not imported; correct them and import again\n")
	})
	t.Run("tells of the first thousand refused rows", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		text := header + strings.Repeat("x,,,,,,,\n", maxRefused+5)
		r := d.importedFrom(text, operate.ExitFailed, "-")
		require.Equal(t, maxRefused+5, r.RefusedCount)
		require.Len(t, r.Refused, maxRefused)
		got := dancefinderReads(t, text, d.args([]string{"import", "-"})...)
		require.Regexp(t, `(?m)^- +and 5 more$`, got.out)
	})
	t.Run("of several files reports each, and goes on after a bad one", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		dir := t.TempDir()
		other, august, missing := filepath.Join(dir, "other.csv"), filepath.Join(dir, "august.csv"), filepath.Join(dir, "missing.csv")
		write(t, other, "a,b\n1,2\n")
		write(t, august, strings.ReplaceAll(july, "2026-07", "2026-08"))
		got := d.run("import", "--json", csvFile, missing)
		require.Equal(t, operate.ExitFailed, got.code)
		require.Zero(t, d.number("SELECT count(*) FROM events"), "a name is wrong: nothing is done")
		got = d.run("import", "--json", csvFile, other, august)
		require.Equal(t, operate.ExitFailed, got.code)
		var reports struct{ Files []report }
		require.NoError(t, json.Unmarshal([]byte(got.out), &reports))
		require.Len(t, reports.Files, 3)
		require.Equal(t, []string{csvFile, other, august}, []string{reports.Files[0].File, reports.Files[1].File, reports.Files[2].File})
		require.Equal(t, []int{3, 0, 3}, []int{reports.Files[0].Created, reports.Files[1].Created, reports.Files[2].Created})
		require.Contains(t, reports.Files[1].Error, "not a listing")
		require.Contains(t, got.err, "dancefinder: "+other+": import: not a listing")
	})
	t.Run("deletes what the listing lacks, unless it is partial", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		d.done("import", csvFile)
		shorter := filepath.Join(t.TempDir(), "shorter.csv")
		earlier, _, _ := strings.Cut(july, "2026-07-11")
		write(t, shorter, earlier)
		require.Equal(t, report{Rows: 2, Unchanged: 2}, d.imported(operate.ExitDone, "--partial", shorter))
		require.Equal(t, report{Rows: 2, Unchanged: 2, Withdrawn: 1}, d.imported(operate.ExitDone, shorter))
	})
	t.Run("takes the year of dates without one from the command line", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		undated := filepath.Join(t.TempDir(), "undated.csv")
		write(t, undated, strings.ReplaceAll(july, "2026-07-", "07-"))
		require.Equal(t, operate.ExitFailed, d.run("import", undated).code)
		write(t, undated, strings.NewReplacer("2026-07-04", "Lör 4/7", "2026-07-11", "Lör 11/7").Replace(july))
		require.Equal(t, 3, d.imported(operate.ExitFailed, undated).RefusedCount)
		require.Equal(t, allCreated, d.imported(operate.ExitDone, "--year", "2026", undated))
		require.Equal(t, allUnchanged, d.imported(operate.ExitDone, csvFile))
	})
	t.Run("of what is no listing fails", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		other := filepath.Join(t.TempDir(), "other.csv")
		write(t, other, "a,b\n1,2\n")
		for name, says := range map[string]string{
			other:                                 "not a listing: line 1: expected a row with the columns Datum, ",
			filepath.Dir(other):                   "is a folder, not a listing",
			filepath.Join(other, "..", "missing"): "no such file or directory",
		} {
			got := d.run("import", name)
			require.Equal(t, operate.ExitFailed, got.code)
			require.Contains(t, got.err, says)
		}
		require.Zero(t, d.number("SELECT count(*) FROM events"))
	})
	t.Run("ends with its context", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		got := start(t, d.args([]string{"import", csvFile})...)
		got.cancel()
		if got.wait(patience) == operate.ExitFailed {
			require.Contains(t, got.err.String(), "context canceled")
		}
		require.Equal(t, 3, d.imported(operate.ExitDone, csvFile).Rows, "the rest can be done later")
		require.EqualValues(t, 7, d.number("SELECT count(*) FROM events"))
	})
}
