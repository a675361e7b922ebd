package listing

import "github.com/dancefinder/eventsourcing/dancefinder/domain"

// place mends what listings write in the columns of a place: a ferry in any of
// the columns, a country in that of the municipality or state only.
func place(city, municipality, state string) (string, string, string) {
	switch {
	case domain.IsFerry(city), domain.IsFerry(municipality), domain.IsFerry(state):
		state = domain.Ferry
		if domain.IsFerry(city) {
			city = ""
		}
		if municipality == "" || domain.IsFerry(municipality) {
			municipality = domain.Ferry
		}
	case state == "" && isAbroad(municipality):
		state = municipality
	case municipality == "" && isAbroad(state):
		municipality = state
	}
	return city, municipality, state
}

// isAbroad tells whether it is a country whose halls listings name without a municipality.
func isAbroad(name string) bool {
	country := domain.CountryOf(name)
	return country != "" && country != domain.Sweden
}

// isState tells whether a state is one of Sweden's, a country or that of a ferry.
func isState(state string) bool { return domain.CountryOf(state) != "" || domain.IsFerry(state) }
