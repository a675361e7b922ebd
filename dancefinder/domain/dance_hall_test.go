package domain_test

import (
	"math"
	"strings"
	"testing"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

func hallCreated() *domain.DanceHallCreated {
	return &domain.DanceHallCreated{Name: "Folkets Park", City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"}
}

func hallGeocoded(source domain.GeocodeSource) *domain.DanceHallGeocoded {
	return &domain.DanceHallGeocoded{Latitude: 60.68333, Longitude: 13.71667, Source: string(source), Precision: "city", Query: "Malung"}
}

func TestCreateDanceHall(t *testing.T) {
	t.Parallel()
	create := func(name, city, municipality, state string) func(*domain.DanceHall) error {
		return func(h *domain.DanceHall) error {
			return h.Create(domain.CreateDanceHall{Name: name, City: city, Municipality: municipality, State: state})
		}
	}

	t.Run("a new hall is created under its tidied name and place", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.DanceHall](t).
			When(create(" Folkets  Park", "Malung ", "Malung-Sälen", "Dalarnas län")).
			Then(hallCreated())
	})
	t.Run("a ship has no city", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.DanceHall](t).
			When(create("M/S Vågen", "", "(Båt)", "(Båt)")).
			Then(&domain.DanceHallCreated{Name: "M/S Vågen", Municipality: "(Båt)", State: "(Båt)"})
	})
	t.Run("creating a hall that exists changes nothing", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.DanceHall](t, hallCreated()).
			When(create("FOLKETS PARK", "malung", "Malung-Sälen", "Dalarna")).
			Then()
	})
	t.Run("a hall without a name, a municipality or a state is refused", func(t *testing.T) {
		t.Parallel()
		for _, act := range []func(*domain.DanceHall) error{
			create("", "Malung", "Malung-Sälen", "Dalarna"),
			create("Ej fastställt", "Malung", "Malung-Sälen", "Dalarna"),
			create("Folkets Park", "Malung", "", "Dalarna"),
			create("Folkets Park", "Malung", "Malung-Sälen", ""),
			create("Folkets Park", "Malung", "Malung-Sälen", "Sveriges län"),
		} {
			eventsourcedtest.Given[domain.DanceHall](t).When(act).ThenError(domain.ErrInvalid)
		}
	})
}

func TestGeocodeDanceHall(t *testing.T) {
	t.Parallel()
	geocode := func(c domain.GeocodeDanceHall) func(*domain.DanceHall) error {
		return func(h *domain.DanceHall) error { return h.Geocode(c) }
	}
	command := func(source domain.GeocodeSource, latitude float64) domain.GeocodeDanceHall {
		return domain.GeocodeDanceHall{
			Coordinate: domain.Coordinate{Latitude: latitude, Longitude: 13.716671},
			Source:     source,
			Precision:  domain.PrecisionCity,
			Query:      "Malung",
		}
	}

	t.Run("a hall gets a coordinate with five decimals", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.DanceHall](t, hallCreated()).
			When(geocode(command(domain.SourceGazetteer, 60.683333))).
			Then(hallGeocoded(domain.SourceGazetteer))
	})
	t.Run("the same coordinate changes nothing, whatever its source", func(t *testing.T) {
		t.Parallel()
		for _, source := range []domain.GeocodeSource{domain.SourceGazetteer, domain.SourceNominatim, domain.SourceManual} {
			eventsourcedtest.Given[domain.DanceHall](t, hallCreated(), hallGeocoded(domain.SourceNominatim)).
				When(geocode(command(source, 60.683331))).
				Then()
		}
	})
	t.Run("a source replaces its own coordinate and those of lower ones only", func(t *testing.T) {
		t.Parallel()
		ranked := []domain.GeocodeSource{domain.SourceGazetteer, domain.SourceNominatim, domain.SourceManual}
		for oldRank, old := range ranked {
			for newRank, source := range ranked {
				scenario := eventsourcedtest.Given[domain.DanceHall](t, hallCreated(), hallGeocoded(old)).
					When(geocode(command(source, 61)))
				if newRank < oldRank {
					scenario.ThenError(domain.ErrGeocodeOutranked)
					continue
				}
				want := hallGeocoded(source)
				want.Latitude = 61
				scenario.Then(want)
			}
		}
	})
	t.Run("a hall that was never created has no coordinate", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.DanceHall](t).
			When(geocode(command(domain.SourceManual, 61))).
			ThenError(domain.ErrDanceHallNotFound)
	})
	t.Run("what is not a geocoding is refused", func(t *testing.T) {
		t.Parallel()
		for _, spoil := range []func(*domain.GeocodeDanceHall){
			func(c *domain.GeocodeDanceHall) { c.Coordinate.Latitude = 90.1 },
			func(c *domain.GeocodeDanceHall) { c.Coordinate.Longitude = math.NaN() },
			func(c *domain.GeocodeDanceHall) { c.Coordinate = domain.Coordinate{} },
			func(c *domain.GeocodeDanceHall) { c.Source = "guess" },
			func(c *domain.GeocodeDanceHall) { c.Source = "" },
			func(c *domain.GeocodeDanceHall) { c.Precision = "planet" },
			func(c *domain.GeocodeDanceHall) { c.Query = strings.Repeat("x", 501) },
		} {
			c := command(domain.SourceManual, 61)
			spoil(&c)
			history := []eventsourced.Event{hallCreated()}
			eventsourcedtest.Given[domain.DanceHall](t, history...).When(geocode(c)).ThenError(domain.ErrInvalid)
		}
	})
}
