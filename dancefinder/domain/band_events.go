package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// BandCreated says that a band became known, or known again after it was deleted.
type BandCreated struct {
	eventsourced.BaseEvent
	Name string `json:"name"` // as it is shown
}

// BandRenamed says that a band is called something else now.
type BandRenamed struct {
	eventsourced.BaseEvent
	Name string `json:"name"` // as it is shown
}

// BandDeleted says that a band does not exist any more or was a mistake. Its dances
// stay, and their band is unknown.
type BandDeleted struct {
	eventsourced.BaseEvent
	Reason string `json:"reason,omitempty"`
}

// BandNameTaken says that the name from which this stream's id is derived belongs to
// the band with another id. The stream's own band, if it ever had one, is deleted.
type BandNameTaken struct {
	eventsourced.BaseEvent
	BandID string `json:"bandId"`
}
