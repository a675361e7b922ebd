package web

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// values returns the search as parameters.
func (s search) values() url.Values {
	v := url.Values{}
	set := func(field, value string, when bool) {
		if when {
			v.Set(field, value)
		}
	}
	set("period", s.Period, s.Period != periodWeek)
	set("fran", string(s.From), s.Period == periodOwn)
	set("till", string(s.To), s.Period == periodOwn)
	set("dag", string(s.Day), s.Day != "")
	for _, home := range s.Homes {
		v.Add("hem", home.Label())
	}
	set("inom", strconv.Itoa(s.Km), s.Km != defaultKm)
	set("sortera", "avstand", s.Distance)
	for _, area := range s.Areas {
		v.Add(areaField(area))
	}
	set("dolda", "1", s.Hidden)
	set("efter", s.After, s.After != "")
	set("karta", "sverige", s.Whole)
	if s.Place != nil {
		v.Set("plats", s.Place.State+"|"+s.Place.Municipality+"|"+s.Place.City)
	}
	set("lang", s.Lang.Tag, s.Lang != swedish)
	return v
}

// Query returns the search as it stands in a URL, without the question mark.
func (s search) Query() string { return s.values().Encode() }

// on returns the URL of the search on a page.
func (s search) on(path string) string {
	if q := s.Query(); q != "" {
		return path + "?" + q
	}
	return path
}

// The methods below return another search: s with one thing changed.

func (s search) withPeriod(period string) search {
	if period == periodOwn && s.Period != periodOwn {
		s.Period, s.Day, s.After = period, "", ""
		return s
	}
	s.Period, s.Day, s.After = period, "", ""
	return s
}

func (s search) withDay(day domain.Date) search {
	s.Day, s.After = day, ""
	return s
}

func (s search) withLang(l *language) search {
	s.Lang = l
	return s
}

func (s search) withoutHome(home gazetteer.Place) search {
	s.Homes = slices.DeleteFunc(slices.Clone(s.Homes), func(p gazetteer.Place) bool { return p == home })
	s.After = ""
	return s
}

func (s search) withoutAreas() search {
	s.Areas, s.After = nil, ""
	return s
}

func (s search) withKm(km int) search {
	s.Km, s.After = km, ""
	return s
}

func (s search) withHidden() search {
	s.Hidden, s.After = true, ""
	return s
}

func (s search) withAfter(cursor string) search {
	s.After = cursor
	return s
}

func (s search) withPlace(place *query.Area) search {
	s.Place, s.After = place, ""
	return s
}

func (s search) withWhole(whole bool) search {
	s.Whole, s.Place = whole, nil
	return s
}

// onList is the search without what the map alone means.
func (s search) onList() search {
	s.Whole, s.Place, s.New = false, nil, ""
	return s
}
