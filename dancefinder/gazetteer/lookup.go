package gazetteer

import (
	"sync"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// The look-ups compare names by their [domain.Key], so spellings that differ in
// case or white space are the same. Their index is built at the first call. They
// are safe for concurrent use.

// Find returns the place of this name in the municipality and the state.
func Find(name, municipality, state string) (Place, bool) {
	p, ok := lookups().places[nameIn(name, municipality)]
	if !ok || domain.Key(p.State) != domain.Key(state) {
		return Place{}, false
	}
	return p, true
}

// FindInState returns the place of this name in the state if there is just one.
func FindInState(name, state string) (Place, bool) {
	found := lookups().inState[nameIn(name, state)]
	if len(found) != 1 {
		return Place{}, false
	}
	return found[0], true
}

// Seat returns the place from which the municipality is governed.
func Seat(municipality string) (Place, bool) {
	p, ok := lookups().seats[domain.Key(municipality)]
	return p, ok
}

// Centre returns the middle of a state: the mean of the seats of its
// municipalities, which lie better spread than its places do.
func Centre(state string) (latitude, longitude float64, ok bool) {
	c, ok := lookups().centres[domain.Key(state)]
	return c.latitude, c.longitude, ok
}

// pair is the keys of a name and of the area that it is looked for in.
type pair struct{ name, area string }

func nameIn(name, area string) pair { return pair{domain.Key(name), domain.Key(area)} }

type centre struct{ latitude, longitude float64 }

// index finds places by keys.
type index struct {
	places  map[pair]Place   // by name and municipality, which are unique
	inState map[pair][]Place // by name and state
	seats   map[string]Place // by municipality
	centres map[string]centre
}

var lookups = sync.OnceValue(func() index {
	i := index{
		places:  map[pair]Place{},
		inState: map[pair][]Place{},
		seats:   map[string]Place{},
		centres: map[string]centre{},
	}
	seats := map[string]float64{} // how many a state has
	for _, p := range Places() {
		i.places[nameIn(p.Name, p.Municipality)] = p
		i.inState[nameIn(p.Name, p.State)] = append(i.inState[nameIn(p.Name, p.State)], p)
		if p.Seat {
			i.seats[domain.Key(p.Municipality)] = p
			state := domain.Key(p.State)
			c := i.centres[state]
			i.centres[state] = centre{c.latitude + p.Latitude, c.longitude + p.Longitude}
			seats[state]++
		}
	}
	for state, n := range seats {
		c := i.centres[state]
		i.centres[state] = centre{c.latitude / n, c.longitude / n}
	}
	return i
})
