package domain

import "math"

// Coordinate is a point on the Earth (WGS 84), in degrees with five decimals,
// which is about a metre. [NewCoordinate] makes it.
type Coordinate struct {
	Latitude, Longitude float64
}

// NewCoordinate returns the coordinate, rounded to five decimals. It refuses what
// is not on the Earth, and 0,0, which is what a failed look-up often yields.
func NewCoordinate(latitude, longitude float64) (Coordinate, error) {
	// Written so that NaN is refused too.
	if !(math.Abs(latitude) <= 90) {
		return Coordinate{}, invalid("latitude", "%v is not between -90 and 90", latitude)
	}
	if !(math.Abs(longitude) <= 180) {
		return Coordinate{}, invalid("longitude", "%v is not between -180 and 180", longitude)
	}
	c := Coordinate{round5(latitude), round5(longitude)}
	if c == (Coordinate{}) {
		return Coordinate{}, invalid("coordinate", "0,0 is no place to dance")
	}
	return c, nil
}

// round5 rounds to five decimals, never to -0.
func round5(degrees float64) float64 { return math.Round(degrees*1e5)/1e5 + 0 }

// GeocodeSource says who found a coordinate. A source never replaces what a
// higher one found: manual before legacy before nominatim before gazetteer.
type GeocodeSource string

// The sources of coordinates.
const (
	SourceManual    GeocodeSource = "manual"    // a person set it
	SourceLegacy    GeocodeSource = "legacy"    // it was there before there were events, by whomever: no machine's guess replaces it
	SourceNominatim GeocodeSource = "nominatim" // a search in OpenStreetMap's data
	SourceGazetteer GeocodeSource = "gazetteer" // a list of populated places
)

// rank orders sources; 0 is not a source.
func (s GeocodeSource) rank() int {
	switch s {
	case SourceGazetteer:
		return 1
	case SourceNominatim:
		return 2
	case SourceLegacy:
		return 3
	case SourceManual:
		return 4
	}
	return 0
}

func (s GeocodeSource) validate() error {
	if s.rank() == 0 {
		return invalid("source", "%.40q is not a source of coordinates", string(s))
	}
	return nil
}

// Precision says what a coordinate is the middle of.
type Precision string

// The precisions, best first.
const (
	PrecisionVenue        Precision = "venue"
	PrecisionCity         Precision = "city"
	PrecisionMunicipality Precision = "municipality"
	PrecisionCounty       Precision = "county"
)

func (p Precision) validate() error {
	switch p {
	case PrecisionVenue, PrecisionCity, PrecisionMunicipality, PrecisionCounty:
		return nil
	}
	return invalid("precision", "%.40q is not a precision", string(p))
}
