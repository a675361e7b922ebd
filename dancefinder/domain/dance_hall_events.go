package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// DanceHallCreated says that a dance hall became known. It is the first event of
// its stream.
type DanceHallCreated struct {
	eventsourced.BaseEvent
	Name         string `json:"name"` // as it is shown
	City         string `json:"city"` // may be empty
	Municipality string `json:"municipality"`
	State        string `json:"state"` // a county, or what stands in for one, see Place
}

// DanceHallGeocoded says that a dance hall was found on the map, or found again
// elsewhere: the last one counts.
type DanceHallGeocoded struct {
	eventsourced.BaseEvent
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Source    string  `json:"source"`    // a GeocodeSource
	Precision string  `json:"precision"` // a Precision
	Query     string  `json:"query"`     // what was looked up; may be empty
}
