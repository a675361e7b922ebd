package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// EventCreated says that a dance event became known. It is the first event of its
// stream. Texts that are not known are empty and left out of the payload.
type EventCreated struct {
	eventsourced.BaseEvent
	Date        string `json:"date"`                // a Date
	StartTime   string `json:"startTime,omitempty"` // a Clock
	EndTime     string `json:"endTime,omitempty"`   // a Clock; on the next day unless after StartTime
	BandID      string `json:"bandId"`
	DanceHallID string `json:"danceHallId"`
	ExtraInfo   string `json:"extraInfo,omitempty"`
	SourceURL   string `json:"sourceUrl,omitempty"`
}

// EventUpdated says that a dance event has other details now: all of them, not
// only those that are new.
type EventUpdated struct {
	eventsourced.BaseEvent
	Date        string `json:"date"`                // a Date
	StartTime   string `json:"startTime,omitempty"` // a Clock
	EndTime     string `json:"endTime,omitempty"`   // a Clock; on the next day unless after StartTime
	BandID      string `json:"bandId"`
	DanceHallID string `json:"danceHallId"`
	ExtraInfo   string `json:"extraInfo,omitempty"`
	SourceURL   string `json:"sourceUrl,omitempty"`
}

// EventDeleted says that a dance event does not take place or was a mistake. It is
// the last event of its stream.
type EventDeleted struct {
	eventsourced.BaseEvent
	Reason string `json:"reason,omitempty"`
}

func (e *EventCreated) details() EventDetails {
	return EventDetails{
		Date:        e.Date,
		StartTime:   e.StartTime,
		EndTime:     e.EndTime,
		BandID:      BandID(e.BandID),
		DanceHallID: DanceHallID(e.DanceHallID),
		ExtraInfo:   e.ExtraInfo,
		SourceURL:   e.SourceURL,
	}
}

// details relies on both events having the same fields; the compiler checks it.
func (e *EventUpdated) details() EventDetails { return (*EventCreated)(e).details() }

func (d EventDetails) created() EventCreated {
	return EventCreated{
		Date:        d.Date,
		StartTime:   d.StartTime,
		EndTime:     d.EndTime,
		BandID:      string(d.BandID),
		DanceHallID: string(d.DanceHallID),
		ExtraInfo:   d.ExtraInfo,
		SourceURL:   d.SourceURL,
	}
}
