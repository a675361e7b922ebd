package web

import (
	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
)

const maxSuggestions = 8

// suggest returns names of places that somebody may mean who has begun to write text.
func suggest(text string) (names []string) {
	for _, p := range gazetteer.Search(text, maxSuggestions) {
		names = append(names, p.Label())
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
	for _, p := range gazetteer.Places() {
		d := edits(key, []rune(domain.Key(p.Name)), nearest)
		if d < nearest || d == nearest && best.Name != "" && p.Population > best.Population {
			nearest, best = d, p
		}
	}
	return best.Label(), best.Name != ""
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
