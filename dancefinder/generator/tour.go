package generator

import (
	"cmp"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

// dance is a row of both editions and what becomes of it between them.
type dance struct {
	first, second listing.Row
	fate          fate
}

type fate int

const (
	stays fate = iota // perhaps changed
	isLate
	vanishes
)

// doubles of a hundred gigs have two sets, each a dance.
const doubles = 3

// reach is how far from its last gig a band plays, in km.
const reach = 300

// tour is what a listing is made from, night by night.
type tour struct {
	rng            *rand.Rand
	bands          []band
	halls          []hall
	summer, winter weights // of the halls
	night          int     // counted from 1
}

// dances makes all dances of a listing in the order of their dates. Each night
// it picks halls by their popularity and the season, and for each hall a band
// that is free and near, rather one that has played less than its share.
func dances(cfg Config) iter.Seq[dance] {
	return func(yield func(dance) bool) {
		t := newTour(cfg.Seed)
		for year := range cfg.Years {
			for i := range t.bands {
				t.bands[i].remaining = t.bands[i].quota
			}
			start, end, n := cfg.Start.AddDate(year, 0, 0), cfg.Start.AddDate(year+1, 0, 0), DancesPerYear
			if cfg.Days > 0 {
				end, n = start.AddDate(0, 0, cfg.Days), DancesPerYear*cfg.Days/365
			}
			for day, n := range t.nights(start, end, n) {
				for _, d := range t.play(day, n) {
					if !yield(d) {
						return
					}
				}
			}
		}
	}
}

func newTour(seed uint64) *tour {
	rng := rand.New(rand.NewPCG(seed, 0))
	t := &tour{rng: rng, bands: newBands(rng), halls: newHalls(rng)}
	t.summer, t.winter = make(weights, Halls), make(weights, Halls)
	for i, h := range t.halls {
		t.winter.set(i, h.weight*10)
		if h.outdoor {
			t.summer.set(i, h.weight*16)
		} else {
			t.summer.set(i, h.weight*10)
		}
	}
	return t
}

// hallWeights returns how much the halls have to offer on a day: outdoors they
// have 1.6 times as much in summer.
func (t *tour) hallWeights(day time.Time) weights {
	if day.Month() >= time.May && day.Month() <= time.August {
		return t.summer
	}
	return t.winter
}

// weekdayShares are how many of a hundred dances fall on each weekday, from
// Sunday.
var weekdayShares = [7]int{14, 2, 5, 13, 8, 22, 36}

// nights returns the days before end and how many dances each has, n in all.
func (t *tour) nights(start, end time.Time, n int) iter.Seq2[time.Time, int] {
	days := int(end.Sub(start).Hours()) / 24
	shares := make(weights, days)
	for i := range days {
		day := start.AddDate(0, 0, i)
		some := 80 + t.rng.IntN(41) // per cent of what is usual
		shares.set(i, weekdayShares[day.Weekday()]*some*(t.hallWeights(day).total()/1000))
	}
	return func(yield func(time.Time, int) bool) {
		before := 0
		for i := range days {
			upTo := n * shares[i] / shares.total()
			if !yield(start.AddDate(0, 0, i), upTo-before) {
				return
			}
			before = upTo
		}
	}
}

// play makes the dances of one night, ordered by start and hall.
func (t *tour) play(day time.Time, n int) []dance {
	t.night++
	night := make([]dance, 0, n)
	for len(night) < n {
		h := t.freeHall(day)
		b := t.freeBand(h.at)
		h.night, b.night, b.at = t.night, t.night, h.at
		b.remaining--

		row := listing.Row{
			Date: day.Format(time.DateOnly), Band: b.name, Hall: h.name,
			City: h.city, Municipality: h.municipality, State: h.state,
			Extra: t.extra(),
		}
		if t.rng.IntN(100) < doubles && len(night) < n-1 {
			row.Start, row.End = "13:30", "17:00"
			night = append(night, t.later(row))
			row.Start, row.End = "19:00", "23:00"
		} else {
			row.Start, row.End = t.times(day.Weekday())
		}
		night = append(night, t.later(row))
	}
	slices.SortStableFunc(night, func(a, b dance) int {
		return cmp.Or(cmp.Compare(a.first.Start, b.first.Start), cmp.Compare(a.first.Hall, b.first.Hall))
	})
	return night
}

// freeHall picks a hall without a dance tonight.
func (t *tour) freeHall(day time.Time) *hall {
	w := t.hallWeights(day)
	for {
		if h := &t.halls[w.pick(t.rng)]; h.night != t.night {
			return h
		}
	}
}

// freeBand picks a band without a gig tonight that is within reach, or else
// the nearest. There are more bands than gigs in any night.
func (t *tour) freeBand(at point) *band {
	var candidates [Bands]int
	w := weights(candidates[:])
	var nearest *band
	least := math.MaxInt
	for i := range t.bands {
		b, weight := &t.bands[i], 0
		if b.night != t.night {
			distance := b.at.squaredKm(at)
			if b.night == 0 {
				distance = 0 // a tour may begin anywhere
			}
			if distance < least {
				nearest, least = b, distance
			}
			if distance <= reach*reach {
				weight = 8*max(b.remaining, 0) + 1 // beyond its share only where no other is near
			}
		}
		w.set(i, weight)
	}
	if w.total() == 0 {
		return nearest
	}
	return &t.bands[w.pick(t.rng)]
}

// later makes a dance of a row: what becomes of it after the first edition.
func (t *tour) later(row listing.Row) dance {
	d := dance{first: row, second: row}
	switch n := t.rng.IntN(100); {
	case n < updated:
		t.update(&d.second)
	case n < updated+cancelled:
		d.second.Cancelled, d.second.Extra = true, "Inställt"
	case n < updated+cancelled+vanished:
		d.fate = vanishes
	case n < updated+cancelled+vanished+late:
		d.fate = isLate
	}
	return d
}
