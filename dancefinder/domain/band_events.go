package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// BandCreated says that a band became known. It is the first and only event of
// its stream.
type BandCreated struct {
	eventsourced.BaseEvent
	Name string `json:"name"` // as it is shown
}
