package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// DanceHall is where dances take place: a hall, a park, a ship. It is created
// once, may be found on the map later, and is never deleted.
type DanceHall struct {
	eventsourced.Root
	name       string
	coordinate Coordinate
	source     GeocodeSource // empty as long as there is no coordinate
}

// Name returns the hall's name, empty before it is created.
func (h *DanceHall) Name() string { return h.name }

// Apply implements [eventsourced.Aggregate].
func (h *DanceHall) Apply(event eventsourced.Event) {
	switch e := event.(type) {
	case *DanceHallCreated:
		h.name = e.Name
	case *DanceHallGeocoded:
		h.coordinate = Coordinate{e.Latitude, e.Longitude}
		h.source = GeocodeSource(e.Source)
	}
}
