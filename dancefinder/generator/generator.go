// Package generator makes listings of dances that look like real ones: real
// Swedish places, halls and bands that are made up, crowded Saturdays, bands
// that tour from one town to the next. Demos, tests and benchmarks read them
// instead of the real listings, which belong to others.
//
// A listing depends on its Config only. The same Config gives the same rows,
// on every run and machine.
package generator

import (
	"iter"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

// What a year has. Bands and halls stay the same from year to year.
const (
	Bands         = 300
	Halls         = 1000
	Ferries       = 15     // of the halls
	DancesPerYear = 20_000 // in both editions together
)

// What happens to a hundred dances after the first edition; nothing to the rest.
const (
	updated   = 12 // get another end or extra
	cancelled = 2  // are marked as cancelled
	vanished  = 2  // are no longer listed
	late      = 3  // are listed only now
)

// Config says which listing to make. The zero value makes one year from
// 2026-01-01.
type Config struct {
	// Seed chooses among listings that are equally realistic. Any value will do.
	Seed uint64

	// Years is how many years the listing has. Defaults to 1.
	Years int

	// Days is how many days the listing has instead of whole years, with as many dances as fall
	// to them. 0 is whole years.
	Days int

	// Start is the first day, of which the time of day and zone are ignored.
	// Defaults to 2026-01-01.
	Start time.Time
}

func (c Config) withDefaults() Config {
	if c.Years <= 0 || c.Days > 0 {
		c.Years = 1
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	year, month, day := c.Start.Date()
	c.Start = time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	return c
}

// Edition is the whole listing as it was published at one time.
type Edition struct {
	// Number counts editions from 1.
	Number int

	// Rows are in the order of their dates. The sequence can be ranged over many
	// times, and by many at once; it makes the rows anew each time, and so takes
	// no memory for them.
	Rows iter.Seq[listing.Row]
}

// Editions returns the listing as it was first published and as it is after
// the changes that happened since. Each has every day from Start, so a dance
// that the second lacks has been removed.
//
// Of the dances of both editions together, DancesPerYear a year,
//   - 3% are in the second edition only: they were announced late;
//   - 12% have another End or Extra in the second edition, and keep their date,
//     start, band and hall, which is what tells dances apart;
//   - 2% are Cancelled in the second edition;
//   - 2% are in the first edition only.
func Editions(cfg Config) []Edition {
	cfg = cfg.withDefaults()
	edition := func(number int, row func(dance) (listing.Row, bool)) Edition {
		return Edition{Number: number, Rows: func(yield func(listing.Row) bool) {
			for d := range dances(cfg) {
				if r, listed := row(d); listed && !yield(r) {
					return
				}
			}
		}}
	}
	return []Edition{
		edition(1, func(d dance) (listing.Row, bool) { return d.first, d.fate != isLate }),
		edition(2, func(d dance) (listing.Row, bool) { return d.second, d.fate != vanishes }),
	}
}

// Generate returns the rows of the first edition.
func Generate(cfg Config) iter.Seq[listing.Row] { return Editions(cfg)[0].Rows }
