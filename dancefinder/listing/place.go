package listing

import "strings"

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
