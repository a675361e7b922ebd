package model

import (
	"cmp"
	"slices"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

func facets(spread query.Summary) *EventFacets {
	f := &EventFacets{States: []*StateFacet{}, Bands: []*BandFacet{}, DanceHalls: []*DanceHallFacet{}}
	for _, band := range spread.Bands {
		f.Bands = append(f.Bands, &BandFacet{ID: band.ID, Name: known(band.Name), Count: band.AnyBand})
	}
	for _, hall := range spread.Halls {
		f.count(hall)
	}
	byName := collate.New(language.Swedish)
	mostFirst := func(countA, countB int, a, b string) int {
		return cmp.Or(cmp.Compare(countB, countA), byName.CompareString(a, b))
	}
	slices.SortFunc(f.Bands, func(a, b *BandFacet) int {
		return cmp.Or(mostFirst(a.Count, b.Count, text(a.Name), text(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(f.States, func(a, b *StateFacet) int { return mostFirst(a.Count, b.Count, a.Name, b.Name) })
	for _, s := range f.States {
		slices.SortFunc(s.Municipalities, func(a, b *MunicipalityFacet) int { return mostFirst(a.Count, b.Count, a.Name, b.Name) })
		for _, m := range s.Municipalities {
			slices.SortFunc(m.Cities, func(a, b *CityFacet) int { return mostFirst(a.Count, b.Count, a.Name, b.Name) })
		}
	}
	return f
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// count adds a hall to its state, municipality and city.
func (f *EventFacets) count(hall query.HallCount) {
	if hall.Count > 0 {
		f.DanceHalls = append(f.DanceHalls, &DanceHallFacet{ID: hall.ID, Name: known(hall.Name), Coordinate: hall.Coordinate, Count: hall.Count})
	}
	if hall.Place.State == "" {
		f.UnknownAreaCount += hall.AnyArea
		return
	}
	state := named(&f.States, func(s *StateFacet) string { return s.Name }, hall.Place.State,
		&StateFacet{Name: hall.Place.State, Municipalities: []*MunicipalityFacet{}})
	state.Count += hall.AnyArea
	municipality := named(&state.Municipalities, func(m *MunicipalityFacet) string { return m.Name }, hall.Place.Municipality,
		&MunicipalityFacet{Name: hall.Place.Municipality, Cities: []*CityFacet{}})
	municipality.Count += hall.AnyArea
	if hall.Place.City == "" {
		return
	}
	city := named(&municipality.Cities, func(c *CityFacet) string { return c.Name }, hall.Place.City, &CityFacet{Name: hall.Place.City})
	city.Count += hall.AnyArea
}

// named returns the one of the name, which is fresh when there was none.
func named[T any](all *[]T, nameFunc func(T) string, name string, fresh T) T {
	for _, one := range *all {
		if nameFunc(one) == name {
			return one
		}
	}
	*all = append(*all, fresh)
	return fresh
}
