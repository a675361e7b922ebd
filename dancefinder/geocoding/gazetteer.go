package geocoding

import (
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
)

// GazetteerAttribution must stand where coordinates of the [Gazetteer] are shown.
const GazetteerAttribution = "Places: GeoNames (geonames.org), CC BY 4.0, filtered to Sweden and names normalised."

// Gazetteer is a [Geocoder] that knows Sweden by heart and needs no network: it
// answers in microseconds, and its only error is [ErrNotFound], for ships and for
// halls abroad. It is safe for concurrent use.
//
// It returns the hall's city, else the only place of that name in the county,
// else the seat of the municipality, else the middle of the county.
type Gazetteer struct{}

// Geocode implements [Geocoder].
func (Gazetteer) Geocode(ctx context.Context, q Query) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	county, ok := q.county()
	if !ok || q.onFerry() || q.Country != "" && q.Country != domain.Sweden {
		return Result{}, ErrNotFound
	}
	if p, ok := gazetteer.Find(q.City, q.Municipality, county); ok {
		return found(p, domain.PrecisionCity, q.text(p.Name, p.Municipality, p.State))
	}
	if p, ok := gazetteer.FindInState(q.City, county); ok {
		return found(p, domain.PrecisionCity, q.text(p.Name, p.Municipality, p.State))
	}
	// Whatever the county: municipalities have moved, and their names are unique.
	if p, ok := gazetteer.Seat(q.Municipality); ok {
		return found(p, domain.PrecisionMunicipality, q.text(p.Municipality, p.State))
	}
	latitude, longitude, ok := gazetteer.Centre(county)
	if !ok {
		return Result{}, ErrNotFound
	}
	return found(gazetteer.Place{Latitude: latitude, Longitude: longitude}, domain.PrecisionCounty, county)
}

func found(p gazetteer.Place, precision domain.Precision, matched string) (Result, error) {
	at, err := domain.NewCoordinate(p.Latitude, p.Longitude)
	if err != nil {
		return Result{}, err
	}
	return Result{Coordinate: at, Precision: precision, Source: domain.SourceGazetteer, Matched: matched}, nil
}
