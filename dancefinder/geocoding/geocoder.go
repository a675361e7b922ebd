package geocoding

import (
	"context"
	"strings"
	"unicode"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// Geocoder finds dance halls on the map.
type Geocoder interface {
	// Geocode returns where the hall lies, as precisely as it is known. A
	// [Worker] calls it outside any transaction, from several goroutines, and
	// perhaps again for a hall that it was called for before. It may take its
	// time, until ctx ends.
	//
	// Errors: [ErrNotFound]; a [*RateLimitedError] when nobody should call for a
	// while. Any other is taken as one that may pass, such as [ErrTemporary].
	Geocode(ctx context.Context, query Query) (Result, error)
}

// Query is what a dance hall is looked up by. [NewQuery] makes it.
type Query struct {
	Name                      string // of the hall
	City, Municipality, State string // see [domain.Place]
	Country                   string // ISO 3166-1 alpha-2 in lower case; empty when not known, or at sea
}

// Result is where a dance hall lies.
type Result struct {
	Coordinate domain.Coordinate // as [domain.NewCoordinate] makes it
	Precision  domain.Precision
	Source     domain.GeocodeSource
	Matched    string // what the provider calls the place that it found
}

// NewQuery returns the query for a hall, with the country that its state tells.
func NewQuery(name string, place domain.Place) Query {
	q := Query{Name: name, City: place.City, Municipality: place.Municipality, State: place.State}
	if !q.onFerry() {
		q.Country = domain.CountryOf(q.State)
	}
	return q
}

// String returns the query as text, such as "Folkets Park, Malung, Malung-Sälen,
// Dalarna", in at most 500 characters.
func (q Query) String() string { return q.text(q.Name, q.City, q.Municipality, q.State) }

// text joins what is there of parts, each once.
func (q Query) text(parts ...string) string {
	var b strings.Builder
	seen := map[string]bool{"": true}
	for _, part := range parts {
		key := domain.Key(part)
		if seen[key] {
			continue
		}
		seen[key] = true
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strings.TrimSpace(part))
	}
	return line(b.String())
}

// county returns the state as [domain.Counties] has it, if it is a Swedish county.
func (q Query) county() (string, bool) {
	state, err := domain.ParseState(q.State)
	return state, err == nil && domain.CountryOf(state) == domain.Sweden
}

func (q Query) onFerry() bool {
	return domain.Place{City: q.City, Municipality: q.Municipality, State: q.State}.OnFerry()
}

// maxText is the limit of texts that are stored, in characters, and that of
// [domain.GeocodeDanceHall] for its query.
const maxText = 500

// line returns text that PostgreSQL and the domain take: valid, on one line and
// not too long.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = domain.Clean(text)
	if runes := []rune(text); len(runes) > maxText {
		return strings.TrimSpace(string(runes[:maxText]))
	}
	return text
}
