package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// DanceHall is where dances take place: a hall, a park, a ship. It may be found on
// the map, change its name and place, be deleted and created again. Whose a name is
// at a place is decided as with a [Band].
type DanceHall struct {
	eventsourced.Root
	name       string
	place      Place
	deleted    bool
	owner      DanceHallID // see Band
	coordinate Coordinate
	source     GeocodeSource // empty as long as there is no coordinate, or none for the place where it is now
}

// Name returns the hall's name, empty when there is no such hall.
func (h *DanceHall) Name() string {
	if h.deleted {
		return ""
	}
	return h.name
}

// Place returns where the hall is.
func (h *DanceHall) Place() Place { return h.place }

// Apply implements [eventsourced.Aggregate].
func (h *DanceHall) Apply(event eventsourced.Event) {
	switch e := event.(type) {
	case *DanceHallCreated:
		h.name, h.place, h.deleted = e.Name, Place{e.City, e.Municipality, e.State}, false
		h.coordinate, h.source = Coordinate{}, ""
	case *DanceHallUpdated:
		place := Place{e.City, e.Municipality, e.State}
		if place != h.place && h.source != SourceManual {
			h.source = "" // what was found is for the old place
		}
		h.name, h.place = e.Name, place
	case *DanceHallDeleted:
		h.deleted = true
	case *DanceHallNameTaken:
		h.owner = DanceHallID(e.DanceHallID)
	case *DanceHallGeocoded:
		h.coordinate = Coordinate{e.Latitude, e.Longitude}
		h.source = GeocodeSource(e.Source)
	}
}
