package listing_test

import (
	"fmt"
	"html"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

// sheet is a good listing, cell by cell, and how it is written.
type sheet struct {
	rows  [][]string
	write func([][]string) string
	whole []int // rows whose date is given for those below as well
}

// sheets are the shapes that listings have, with a dance for each of n days.
func sheets(n int) map[string]sheet {
	var full, real, once [][]string
	var shared []int
	day := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	months := []string{"November 2026", "december", "Januari"}
	weekdays := []string{"Sön", "Mån", "Tis", "Ons", "Tor", "Fre", "Lör"}
	for i := range n {
		if i == 0 || day.Day() == 1 {
			real = append(real, []string{months[0]})
			months = months[1:]
		}
		dance := []string{"21-01", fmt.Sprintf("Band %c", 'A'+i%26), fmt.Sprintf("Hall %d", i), "Malung", "Malung-Sälen", "Dalarna", "Kaffe, te; bulle"}
		with := func(cells ...string) []string { return append(cells, dance...) }
		weekday := weekdays[day.Weekday()]
		full = append(full, with(weekday+" "+day.Format(time.DateOnly)))
		real = append(real, with(weekday, fmt.Sprint(day.Day())))
		once = append(once, with(weekday+day.Format(" 2/1 2006")), with(""), with(""))
		once[len(once)-2][1], once[len(once)-1][1] = "13-17", "18-20"
		shared = append(shared, len(once)-3, len(once)-2)
		day = day.AddDate(0, 0, 1)
	}
	csv := func(delimiter, quote string) func([][]string) string {
		return func(rows [][]string) string {
			text := strings.ReplaceAll(header, ";", delimiter)
			for _, row := range rows {
				text += quote + strings.Join(row, quote+delimiter+quote) + quote + "\n"
			}
			return text
		}
	}
	page := func(rows [][]string) string {
		text := "<table>" + realHeader
		for _, row := range rows {
			text += "<tr><td>" + strings.Join(row, "</td><td>") + "</td></tr>\n"
		}
		return text + "</table>"
	}
	return map[string]sheet{
		"CSV of tabs":       {full, csv("\t", ""), nil},
		"CSV of semicolons": {full, csv(";", `"`), nil},
		"CSV of commas":     {full, csv(",", `"`), nil},
		"the real page":     {real, page, nil},
		"a date once":       {once, csv("\t", ""), shared},
	}
}

func (s sheet) read(t *testing.T, rows [][]string) (dances []listing.Row, errs []error) {
	t.Helper()
	dances, _, errs = readAll(t, s.write(rows), listing.Options{})
	for i := range dances {
		dances[i].Line = 0
	}
	return dances, errs
}

// require damages a cell of each of some rows, and requires that all other dances are
// read as before.
func (s sheet) require(t *testing.T, rng *rand.Rand, damage func() string) {
	t.Helper()
	good, errs := s.read(t, s.rows)
	require.Empty(t, errs)
	damaged, lost := make([][]string, len(s.rows)), map[string]bool{}
	for i, row := range s.rows {
		damaged[i] = slices.Clone(row)
		if len(row) == 1 || rng.IntN(8) != 0 {
			continue
		}
		cell := rng.IntN(len(row))
		if cell == 0 && slices.Contains(s.whole, i) {
			cell++
		}
		damaged[i][cell] = damage()
		lost[row[len(row)-5]+row[len(row)-7]] = true // its hall and time tell it from others
	}
	read, _ := s.read(t, damaged)
	found := map[string]bool{}
	for _, dance := range read {
		dance.Warnings = nil
		found[fmt.Sprint(dance)] = true
	}
	for _, dance := range good {
		clock := strings.ReplaceAll(dance.Start+"-"+dance.End, ":00", "")
		if !lost[dance.Hall+clock] && !found[fmt.Sprint(dance)] {
			require.Fail(t, "a good row is lost", "%v of\n%s", dance, s.write(damaged))
		}
	}
}

// What stands in cells that are damaged.
var garbage = []string{
	"", " ", `"`, `""`, `"""`, `"x`, `x"`, "\x00", "\x1b", "\ufffd", "\xe5", "\xff\xfe", "§§", "?", "-", "5", "31", "5/12", "2062-01-01", "Lör 5", "Fre", "99", "sent", "21-01", ";", "\t", ",", ";;;;;;;;;", "\t\t\t\t\t\t\t\t",
	"Datum", "Inställt", "Ej fastställt", "Januari 2030", "sep=,", "Danser i maj", ">", "\u202e", "\u00a0", "=1+1", "<b>", "</b>", "<p hidden>", "<span hidden>", "<b style=display:none>", "</div>", "</td>", "<td>", "<td hidden>", "&#0;", "&lt;", "<br>",
	"<td rowspan=2>", "<td colspan=99>", "<td style='visibility:hidden'>", strings.Repeat("x", 201), strings.Repeat("x", listing.MaxCell+1), strings.Repeat("\"x", 300), strings.Repeat("<td>", 70),
}

func TestReadLosesBadRowsAlone(t *testing.T) {
	t.Parallel()
	for name, sheet := range sheets(24) {
		t.Run("of "+name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 1))
				sheet.require(t, rng, func() string {
					for {
						if text := garbage[rng.IntN(len(garbage))]; !strings.Contains(text, "<td rowspan") { // which takes a cell of the row below
							return text
						}
					}
				})
			}
		})
	}
}

func FuzzDamage(f *testing.F) {
	for i, text := range garbage {
		f.Add(uint64(i), text)
	}
	all := sheets(12)
	names := []string{"CSV of tabs", "CSV of semicolons", "CSV of commas", "the real page", "a date once"}
	f.Fuzz(func(t *testing.T, seed uint64, text string) {
		if strings.ContainsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' || unicode.Is(unicode.Zl, r) }) {
			return // more than a cell
		}
		sheet := all[names[seed%uint64(len(names))]]
		if names[seed%uint64(len(names))] == "the real page" {
			text = html.EscapeString(text) // as it is, it may be the end of the page
		}
		sheet.require(t, rand.New(rand.NewPCG(seed, 2)), func() string { return text })
	})
}
