package web

import (
	"math"
	"strings"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// row is one dance of the list.
type row struct {
	ID                 string
	Date               domain.Date
	Start, End         string // as they are written; Start may be empty
	Day                string // "fre 27", where the list is not by days
	Band, Hall, Place  string
	NoBand, NoHall     bool // not known at the moment
	Cancelled          bool
	Tag                string // what else there is to know
	Km, Near           string
	NoKm               bool // there is a home, and the distance is not known
	Hidden, HiddenWord string
	Unhide             string // the value of the form that shows it again
	UnhideLabel        string
	Label              string // of the menu
	Menu               []menuItem
}

// menuItem is something that can be hidden.
type menuItem struct {
	Word, Name, Value string
	Count             int
}

func rowsOf(p *page, d data, withDay bool) (rows []row) {
	takes := takesAway(d.summary)
	for _, e := range d.events.Items {
		r := row{ID: e.ID, Date: e.Date, Start: p.Clock(e.Times.Start), End: p.Clock(e.Times.End), Cancelled: e.Cancelled(), Tag: tag(e)}
		if withDay {
			r.Day = p.ShortDay(e.Date)
		}
		r.names(p, d, e)
		if e.Km != nil {
			r.Km, r.Near = km(*e.Km)+" km", e.Near
		} else {
			r.NoKm = len(p.Homes.At) > 0
		}
		r.Label = p.T("more", r.Band, p.Day(e.Date), r.Hall)
		hall, known := d.halls[e.DanceHallID]
		if e.Hidden != "" {
			r.Hidden, r.HiddenWord = string(e.Hidden), p.T("hid "+string(e.Hidden))
			r.Unhide = string(e.Hidden) + ":" + hiddenValue(e, hall)
			r.UnhideLabel = p.T("show again of", map[query.Kind]string{
				query.KindBand: r.Band, query.KindDanceHall: r.Hall, query.KindCity: hall.Place.City,
				query.KindMunicipality: hall.Place.Municipality, query.KindState: hall.Place.State,
			}[e.Hidden])
		} else if p.LoggedIn {
			r.Menu = menu(p, r, e, hall, known, takes)
		}
		rows = append(rows, r)
	}
	return rows
}

func (r *row) names(p *page, d data, e query.Event) {
	band, known := d.bands[e.BandID]
	r.Band, r.NoBand = band.Name, !known
	if !known {
		r.Band = p.T("unknown band")
	}
	hall, known := d.halls[e.DanceHallID]
	r.Hall, r.NoHall, r.Place = hall.Name, !known, placeName(p, hall.Place)
	if !known {
		r.Hall = p.T("unknown hall")
	}
}

// placeName is "Ort, Kommun, Län", with the municipality only if it has another name.
func placeName(p *page, place domain.Place) string {
	if place.OnFerry() {
		return p.T("ferry")
	}
	var parts []string
	for i, part := range []string{place.City, place.Municipality, place.State} {
		if part != "" && !(i == 1 && domain.Key(part) == domain.Key(place.City)) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// tag is what a dance's listing says besides, without what is said anyway.
func tag(e query.Event) string {
	extra := strings.TrimSpace(e.Extra)
	if key := strings.Trim(domain.Key(extra), " .!"); e.Cancelled() && (key == "inställt" || key == "inställd") {
		return ""
	}
	return extra
}

func km(x float64) string {
	if x < 1 {
		return "<1"
	}
	return number(math.Round(x))
}

func hiddenValue(e query.Event, hall query.DanceHall) string {
	switch e.Hidden {
	case query.KindBand:
		return e.BandID
	case query.KindDanceHall:
		return e.DanceHallID
	case query.KindCity:
		return hall.Place.City
	case query.KindMunicipality:
		return hall.Place.Municipality
	}
	return hall.Place.State
}

func menu(p *page, r row, e query.Event, hall query.DanceHall, known bool, takes counts) (items []menuItem) {
	add := func(kind query.Kind, name, value string) {
		items = append(items, menuItem{Word: p.T(string(kind)), Name: name, Value: string(kind) + ":" + value, Count: takes.of(kind, value)})
	}
	if !r.NoBand {
		add(query.KindBand, r.Band, e.BandID)
	}
	if !known {
		return items
	}
	add(query.KindDanceHall, r.Hall, e.DanceHallID)
	if hall.Place.City != "" {
		add(query.KindCity, hall.Place.City, hall.Place.City)
	}
	add(query.KindMunicipality, hall.Place.Municipality, hall.Place.Municipality)
	add(query.KindState, hall.Place.State, hall.Place.State)
	return items
}

// counts says how many of the dances that are shown each thing would take away.
type counts map[string]int

func (c counts) of(kind query.Kind, value string) int { return c[countKey(kind, value)] }

func countKey(kind query.Kind, value string) string { return string(kind) + ":" + domain.Key(value) }

func takesAway(s query.Summary) counts {
	c := counts{}
	for _, band := range s.Bands {
		c[countKey(query.KindBand, band.ID)] += band.Count
	}
	for _, hall := range s.Halls {
		c[countKey(query.KindDanceHall, hall.ID)] += hall.Count
		c[countKey(query.KindCity, hall.Place.City)] += hall.Count
		c[countKey(query.KindMunicipality, hall.Place.Municipality)] += hall.Count
		c[countKey(query.KindState, hall.Place.State)] += hall.Count
	}
	return c
}
