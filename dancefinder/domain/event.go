package domain

import (
	"regexp"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Event is a dance event: an evening on which a band plays at a hall. All about it
// may change until it is deleted, which is final.
type Event struct {
	eventsourced.Root
	details EventDetails
	deleted bool
}

// EventDetails are all that is known of a dance event.
type EventDetails struct {
	Date               string // see ParseDate
	StartTime, EndTime string // see ParseTimeRange; each may be empty
	BandID             BandID
	DanceHallID        DanceHallID
	ExtraInfo          string // whatever else is worth knowing, at most 2,000 characters; may be empty
	SourceURL          string // the page that tells of it, http or https; may be empty
}

// Details returns what is known of the dance event; its last details after it was
// deleted, nothing before it is created.
func (e *Event) Details() EventDetails { return e.details }

// Deleted tells whether the dance event was deleted.
func (e *Event) Deleted() bool { return e.deleted }

// Apply implements [eventsourced.Aggregate].
func (e *Event) Apply(event eventsourced.Event) {
	switch event := event.(type) {
	case *EventCreated:
		e.details = event.details()
	case *EventUpdated:
		e.details = event.details()
	case *EventDeleted:
		e.deleted = true
	}
}

// changeable returns why a dance event can't be changed, nil if it can.
func (e *Event) changeable() error {
	switch {
	case e.details == EventDetails{}:
		return ErrEventNotFound
	case e.deleted:
		return ErrEventDeleted
	}
	return nil
}

var cancelled = regexp.MustCompile(`(?i)\binställ(?:t|d|da)(?:\PL|$)`)

// Cancelled tells whether what else is known of a dance says that it is cancelled:
// "Inställt", in whatever case.
func Cancelled(extraInfo string) bool { return cancelled.MatchString(extraInfo) }
