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

// UpdateDanceHall gives a dance hall another name or place, or both. Those that it
// has had stay its own: whoever creates a hall by them meets this one.
type UpdateDanceHall struct {
	DanceHallID               DanceHallID
	Name                      string // see ParseHallName
	City, Municipality, State string // see NewPlace
}

func (c UpdateDanceHall) parse() (HallName, Place, error) {
	return CreateDanceHall{c.Name, c.City, c.Municipality, c.State}.parse()
}

// DeleteDanceHall deletes a dance hall. Its dances stay, and their hall is unknown.
type DeleteDanceHall struct {
	DanceHallID DanceHallID
	Reason      string // for people, at most 200 characters; may be empty
}

// Create records [DanceHallCreated]. Creating a hall that exists changes nothing,
// also when name or place are spelled another way: the first spelling stays.
func (h *DanceHall) Create(c CreateDanceHall) error {
	name, place, err := c.parse()
	switch {
	case err != nil:
		return err
	case h.owner != "":
		return taken[DanceHallID]{h.owner}
	case h.Name() != "":
		return nil
	}
	return eventsourced.Record(h, &DanceHallCreated{
		Name:         string(name),
		City:         place.City,
		Municipality: place.Municipality,
		State:        place.State,
	})
}

// Update records [DanceHallUpdated], or nothing when the hall is just that. That name
// and place are no other hall's is for the caller to see to.
func (h *DanceHall) Update(c UpdateDanceHall) error {
	name, place, err := c.parse()
	switch {
	case err != nil:
		return err
	case h.Name() == "":
		return ErrDanceHallNotFound
	case h.name == string(name) && h.place == place:
		return nil
	}
	return eventsourced.Record(h, &DanceHallUpdated{
		Name: string(name), City: place.City, Municipality: place.Municipality, State: place.State,
	})
}

// Delete records [DanceHallDeleted]. Deleting again changes nothing.
func (h *DanceHall) Delete(c DeleteDanceHall) error {
	reason, err := parseText("reason", c.Reason, maxReason)
	switch {
	case err != nil:
		return err
	case h.name == "":
		return ErrDanceHallNotFound
	case h.deleted:
		return nil
	}
	return eventsourced.Record(h, &DanceHallDeleted{Reason: reason})
}

// takeName records [DanceHallNameTaken] in the stream of a name at a place: they
// belong to owner from now on. It is refused with [ErrDanceHallExists] when they are
// another hall's.
func (h *DanceHall) takeName(owner DanceHallID) error {
	switch {
	case h.owner == owner:
		return nil
	case h.owner != "" || h.Name() != "":
		return ErrDanceHallExists
	}
	return eventsourced.Record(h, &DanceHallNameTaken{DanceHallID: string(owner)})
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
	case h.Name() == "":
		return ErrDanceHallNotFound
	case h.coordinate == at && h.source != "":
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
