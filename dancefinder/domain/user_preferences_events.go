package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// Subject, in all events of [UserPreferences], is the user's OpenID Connect "sub":
// personal data. RowID, in those that add something, is the id that the row had in a
// database from before there were events; otherwise it is empty.

// OriginAdded says that the user starts from one more place.
type OriginAdded struct {
	eventsourced.BaseEvent
	Subject   string   `json:"subject"`
	Origin    string   `json:"origin"`
	Latitude  *float64 `json:"latitude,omitempty"`  // nil when it is not known
	Longitude *float64 `json:"longitude,omitempty"` // set together with Latitude
	RowID     string   `json:"rowId,omitempty"`
}

// OriginRemoved says that the user does not start from there any more. Origin is
// spelled as it was when it was added.
type OriginRemoved struct {
	eventsourced.BaseEvent
	Subject string `json:"subject"`
	Origin  string `json:"origin"`
}

// BandIgnored says that the user does not want to see a band. Schema version 1
// had no band id.
type BandIgnored struct {
	eventsourced.BaseEvent
	Subject  string `json:"subject"`
	BandID   string `json:"bandId"`
	BandName string `json:"bandName"` // at that time
	RowID    string `json:"rowId,omitempty"`
}

// BandUnignored says that the user wants to see a band again. Schema version 1 had
// no band id.
type BandUnignored struct {
	eventsourced.BaseEvent
	Subject  string `json:"subject"`
	BandID   string `json:"bandId"`
	BandName string `json:"bandName"` // as in BandIgnored
}

// DanceHallIgnored says that the user does not want to see a dance hall.
type DanceHallIgnored struct {
	eventsourced.BaseEvent
	Subject       string `json:"subject"`
	DanceHallID   string `json:"danceHallId"`
	DanceHallName string `json:"danceHallName"` // at that time
	RowID         string `json:"rowId,omitempty"`
}

// DanceHallUnignored says that the user wants to see a dance hall again.
type DanceHallUnignored struct {
	eventsourced.BaseEvent
	Subject       string `json:"subject"`
	DanceHallID   string `json:"danceHallId"`
	DanceHallName string `json:"danceHallName"` // as in DanceHallIgnored
}

// CityIgnored says that the user does not want to see a city.
type CityIgnored struct {
	eventsourced.BaseEvent
	Subject string `json:"subject"`
	City    string `json:"city"`
	RowID   string `json:"rowId,omitempty"`
}

// CityUnignored says that the user wants to see a city again, spelled as it was
// when it was ignored.
type CityUnignored struct {
	eventsourced.BaseEvent
	Subject string `json:"subject"`
	City    string `json:"city"`
}

// MunicipalityIgnored says that the user does not want to see a municipality.
type MunicipalityIgnored struct {
	eventsourced.BaseEvent
	Subject      string `json:"subject"`
	Municipality string `json:"municipality"`
	RowID        string `json:"rowId,omitempty"`
}

// MunicipalityUnignored says that the user wants to see a municipality again,
// spelled as it was when it was ignored.
type MunicipalityUnignored struct {
	eventsourced.BaseEvent
	Subject      string `json:"subject"`
	Municipality string `json:"municipality"`
}

// StateIgnored says that the user does not want to see a state.
type StateIgnored struct {
	eventsourced.BaseEvent
	Subject string `json:"subject"`
	State   string `json:"state"` // see ParseState
	RowID   string `json:"rowId,omitempty"`
}

// StateUnignored says that the user wants to see a state again.
type StateUnignored struct {
	eventsourced.BaseEvent
	Subject string `json:"subject"`
	State   string `json:"state"`
}
