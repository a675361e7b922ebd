package web

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
)

// homeName returns what a home place is called: with its municipality when there is
// another place of the name.
func homeName(p gazetteer.Place) string {
	if named := byName()[domain.Key(p.Name)]; len(named) > 1 && named[0] != p {
		return p.Name + ", " + p.Municipality
	}
	return p.Name
}

// byName returns all places by the key of their name, the one that is most likely
// meant first.
var byName = sync.OnceValue(func() map[string][]gazetteer.Place {
	named := map[string][]gazetteer.Place{}
	for _, p := range gazetteer.Places() {
		named[domain.Key(p.Name)] = append(named[domain.Key(p.Name)], p)
	}
	for _, places := range named {
		slices.SortStableFunc(places, func(a, b gazetteer.Place) int { return cmp.Compare(weight(b), weight(a)) })
	}
	return named
})

func weight(p gazetteer.Place) int {
	if p.Seat {
		return p.Population + 100_000
	}
	return p.Population
}

// findHome returns the place that is meant by "Mora" or "Mora, Mora". A name that
// several places have means the largest.
func findHome(text string) (gazetteer.Place, bool) {
	name, municipality, qualified := strings.Cut(text, ",")
	for _, p := range byName()[domain.Key(name)] {
		if !qualified || domain.Key(p.Municipality) == domain.Key(municipality) {
			return p, true
		}
	}
	return gazetteer.Place{}, false
}

const maxSuggestions = 8

// suggest returns names of places that begin with text, the largest first, and after
// them those with text further on.
func suggest(text string) (names []string) {
	key := domain.Key(text)
	if key == "" {
		return nil
	}
	rank := func(p gazetteer.Place) int {
		switch name := domain.Key(p.Name); {
		case name == key:
			return 3
		case strings.HasPrefix(name, key):
			return 2
		case strings.Contains(name, key):
			return 1
		}
		return 0
	}
	var found []gazetteer.Place
	for _, p := range gazetteer.Places() {
		if rank(p) > 0 {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b gazetteer.Place) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(weight(b), weight(a)))
	})
	for _, p := range found[:min(maxSuggestions, len(found))] {
		names = append(names, homeName(p))
	}
	return names
}

// guess returns the name of the place that somebody who wrote text may have meant.
func guess(text string) (string, bool) {
	key := []rune(domain.Key(text))
	if len(key) < 2 || len(key) > 60 {
		return "", false
	}
	nearest, best := min(2, len(key)/2)+1, gazetteer.Place{}
	for name, places := range byName() {
		d := edits(key, []rune(name), nearest)
		if d < nearest || d == nearest && best.Name != "" && weight(places[0]) > weight(best) {
			nearest, best = d, places[0]
		}
	}
	return homeName(best), best.Name != ""
}

// edits returns in how many places two words differ, or more than limit.
func edits(a, b []rune, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		before := row[0]
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}
