package generator

import (
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

// times picks when a dance begins and ends. A few rows lack the end, or both.
func (t *tour) times(weekday time.Weekday) (start, end string) {
	hours := evenings
	switch weekday {
	case time.Sunday, time.Wednesday:
		hours = afternoons
	case time.Friday, time.Saturday:
		hours = nights
	}
	pair := hours[t.rng.IntN(len(hours))]
	switch n := t.rng.IntN(100); {
	case n < 3:
		return "", ""
	case n < 8:
		return pair[0], ""
	}
	return pair[0], pair[1]
}

// When dances are, the more often the more lines have it.
var (
	evenings = [][2]string{
		{"19:00", "23:00"},
		{"19:00", "23:00"},
		{"19:00", "22:30"},
		{"18:30", "22:00"},
	}
	afternoons = [][2]string{
		{"13:30", "17:00"},
		{"13:30", "17:00"},
		{"15:00", "19:00"},
		{"18:00", "22:00"},
		{"19:00", "23:00"},
	}
	nights = [][2]string{
		{"21:00", "01:00"},
		{"21:00", "01:00"},
		{"21:00", "01:00"},
		{"20:00", "00:00"},
		{"20:30", "00:30"},
		{"19:00", "23:00"},
		{"22:00", "02:00"},
	}
)

// extra picks what else a row says. Most say nothing.
func (t *tour) extra() string {
	if t.rng.IntN(100) < 70 {
		return ""
	}
	return extras[t.rng.IntN(len(extras))]
}

var extras = []string{
	"Buggkurs 18.00", "Entré 120 kr", "Entré 150 kr", "Entré 180 kr", "Foxkväll", "Fri entré till 20.00",
	"Föranmälan", "Förköp", "Grillen öppen", "Husvagnsplatser", "Korv och bröd", "Kaffe och smörgås ingår",
	"Logdans", "Matinédans", "Mogendans", "Nybörjarkurs 17.30", "Parkering vid kyrkan", "Servering",
	"Två dansgolv", "Vuxendans", "Önskedans",
}

// update changes what doesn't tell a dance from others: its end or its extra.
func (t *tour) update(row *listing.Row) {
	if row.End != "" && t.rng.IntN(2) == 0 {
		end, _ := time.Parse("15:04", row.End) // it is one of those above
		row.End = end.Add(30 * time.Minute).Format("15:04")
		return
	}
	i := t.rng.IntN(len(extras))
	if extras[i] == row.Extra {
		i = (i + 1) % len(extras)
	}
	row.Extra = extras[i]
}
