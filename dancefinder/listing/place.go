package listing

import (
	"slices"
	"strings"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// abroad are the countries whose halls listings name without a municipality.
var abroad = map[string]bool{"Norge": true, "Finland": true, "Åland": true, "Danmark": true}

// place mends what listings write in the columns of a place: a ferry in any of
// the columns, a country in that of the municipality or state only.
func place(city, municipality, state string) (string, string, string) {
	switch {
	case isFerry(city), isFerry(municipality), isFerry(state):
		state = Ferry
		if isFerry(city) {
			city = ""
		}
		if municipality == "" || isFerry(municipality) {
			municipality = Ferry
		}
	case state == "" && abroad[municipality]:
		state = municipality
	case municipality == "" && abroad[state]:
		municipality = state
	}
	return city, municipality, state
}

func isFerry(name string) bool {
	return strings.EqualFold(strings.Trim(name, "()"), "båt")
}

// isState tells whether a state is one of Sweden's, a country or that of a ferry.
func isState(state string) bool {
	known, err := domain.ParseState(state)
	return err == nil && (slices.Contains(domain.Counties(), known) || abroad[known] || isFerry(known))
}
