package gazetteer

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// Label returns what tells the place from all others: its name, with the municipality
// behind it unless it is the largest place of the name. [Resolve] finds it again.
func (p Place) Label() string {
	if largest, _ := Resolve(p.Name); largest.Name == p.Name && largest.Municipality == p.Municipality {
		return p.Name
	}
	return p.Name + ", " + p.Municipality
}

// Search returns at most limit places that a person may mean who has begun to write
// text: those whose name begins with it, or a word of it does; the former first, larger
// ones before smaller ones. Of an empty text it returns none.
func Search(text string, limit int) []Place {
	name, area, _ := strings.Cut(text, ",")
	name, area = domain.Key(name), domain.Key(area)
	if name == "" {
		return nil
	}
	var begins, within []Place
	for _, p := range byPopulation() {
		switch {
		case !strings.HasPrefix(p.municipality, area):
		case strings.HasPrefix(p.name, name):
			begins = append(begins, p.Place)
		case strings.Contains(p.name, " "+name) || strings.Contains(p.name, "-"+name):
			within = append(within, p.Place)
		}
	}
	found := append(begins, within...)
	return found[:min(limit, len(found))]
}

// Resolve returns the place that text names: "Mora", or "Mora, Mora" with the
// municipality, in any case. Of several with a name it is the largest. Where there is no
// such place but a municipality, it is the place from which that is governed.
func Resolve(text string) (Place, bool) {
	name, municipality, exact := strings.Cut(text, ",")
	name, municipality = domain.Key(name), domain.Key(municipality)
	if exact {
		p, ok := lookups().places[pair{name, municipality}]
		return p, ok
	}
	for _, p := range byPopulation() {
		if p.name == name {
			return p.Place, true
		}
	}
	return Seat(name)
}

// keyed is a place with what it is compared by.
type keyed struct {
	Place
	name, municipality string
}

var byPopulation = sync.OnceValue(func() []keyed {
	var all []keyed
	for _, p := range Places() {
		all = append(all, keyed{p, domain.Key(p.Name), domain.Key(p.Municipality)})
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return cmp.Compare(b.Population, a.Population) })
	return all
})
