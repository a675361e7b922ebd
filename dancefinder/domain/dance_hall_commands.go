package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// CreateDanceHall makes a dance hall known.
type CreateDanceHall struct {
	Name                      string // see ParseHallName
	City, Municipality, State string // see NewPlace
}

func (c CreateDanceHall) parse() (HallName, Place, error) {
	name, err := ParseHallName(c.Name)
	if err != nil {
		return "", Place{}, err
	}
	place, err := NewPlace(c.City, c.Municipality, c.State)
	return name, place, err
}

// Create records [DanceHallCreated]. Creating a hall that exists changes nothing,
// also when name or place are spelled another way: the first spelling stays.
func (h *DanceHall) Create(c CreateDanceHall) error {
	name, place, err := c.parse()
	if err != nil {
		return err
	}
	if h.name != "" {
		return nil
	}
	return eventsourced.Record(h, &DanceHallCreated{
		Name:         string(name),
		City:         place.City,
		Municipality: place.Municipality,
		State:        place.State,
	})
}

// GeocodeDanceHall says where on the map a dance hall lies.
type GeocodeDanceHall struct {
	DanceHallID DanceHallID
	Coordinate  Coordinate // is checked and rounded as by NewCoordinate
	Source      GeocodeSource
	Precision   Precision
	Query       string // what was looked up; may be empty
}

// maxQuery is the limit of a geocoder's query, in characters.
const maxQuery = 500

// Geocode records [DanceHallGeocoded]. The coordinate that the hall has already
// changes nothing, whatever its source. Otherwise the new one replaces it, unless
// its source ranks lower: [ErrGeocodeOutranked].
func (h *DanceHall) Geocode(c GeocodeDanceHall) error {
	at, err := NewCoordinate(c.Coordinate.Latitude, c.Coordinate.Longitude)
	if err != nil {
		return err
	}
	if err := c.Source.validate(); err != nil {
		return err
	}
	if err := c.Precision.validate(); err != nil {
		return err
	}
	query, err := parseText("query", c.Query, maxQuery)
	if err != nil {
		return err
	}
	switch {
	case h.name == "":
		return ErrDanceHallNotFound
	case h.coordinate == at:
		return nil
	case c.Source.rank() < h.source.rank():
		return ErrGeocodeOutranked
	}
	return eventsourced.Record(h, &DanceHallGeocoded{
		Latitude:  at.Latitude,
		Longitude: at.Longitude,
		Source:    string(c.Source),
		Precision: string(c.Precision),
		Query:     query,
	})
}
