package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// DanceHallCreated says that a dance hall became known, or known again after it was
// deleted.
type DanceHallCreated struct {
	eventsourced.BaseEvent
	Name         string `json:"name"` // as it is shown
	City         string `json:"city"` // may be empty
	Municipality string `json:"municipality"`
	State        string `json:"state"` // a county, or what stands in for one, see Place
}

// DanceHallUpdated says that a dance hall has another name or place now. All fields
// are those of the hall from now on. What is known of its coordinate stays until it is
// found again.
type DanceHallUpdated struct {
	eventsourced.BaseEvent
	Name         string `json:"name"`
	City         string `json:"city"` // may be empty
	Municipality string `json:"municipality"`
	State        string `json:"state"`
}

// DanceHallDeleted says that a dance hall does not exist any more or was a mistake.
// Its dances stay, and their hall is unknown.
type DanceHallDeleted struct {
	eventsourced.BaseEvent
	Reason string `json:"reason,omitempty"`
}

// DanceHallNameTaken says that the name and place from which this stream's id is
// derived belong to the hall with another id, see [BandNameTaken].
type DanceHallNameTaken struct {
	eventsourced.BaseEvent
	DanceHallID string `json:"danceHallId"`
}

// DanceHallGeocoded says that a dance hall was found on the map, or found again
// elsewhere: the last one counts.
type DanceHallGeocoded struct {
	eventsourced.BaseEvent
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Source    string  `json:"source"`    // a GeocodeSource
	Precision string  `json:"precision"` // a Precision; empty when it is not known, as with SourceLegacy
	Query     string  `json:"query"`     // what was looked up; may be empty
}
