package web

import (
	"net/url"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// For the external tests.

func Words() (swedish, english map[string]string) { return swedishWords, englishWords }

// Canonical returns the parameters of a search as its links have them, and its period.
func Canonical(v url.Values, today domain.Date) (query string, from, to, day domain.Date, err error) {
	s, err := parseSearch(v, today)
	return s.Query(), s.From, s.To, s.Day, err
}

var Guess = guess
