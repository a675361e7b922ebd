package live

import (
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Kind says what has happened to something.
type Kind string

// The kinds of changes.
const (
	Created Kind = "CREATED"
	Updated Kind = "UPDATED"
	Deleted Kind = "DELETED"

	// Refreshed is about no one thing: a read view was emptied and fills again, or is
	// complete again, or gets on after it had stopped. What is on show may be
	// different now.
	Refreshed Kind = "REFRESHED"
)

// Change is one of a dance, a band or a hall, whichever id is set; none with
// [Refreshed]. The read views show it already.
type Change struct {
	Kind        Kind
	EventID     string
	BandID      string // the band itself was created, renamed or deleted
	DanceHallID string // the hall itself was created, changed, found on the map or deleted

	// Before and After are the details of the dance EventID, nil where there are none:
	// before it was created, after it was deleted. They tell whether somebody has been
	// shown the dance, or will be. Who gets them must not change them.
	Before, After *domain.EventDetails

	Position eventsourced.Position // of the event in the log; 0 with Refreshed
}

// shownBy lists the projections in whose tables a change of the catalogue shows.
var shownBy = []string{"band", "dancehall", "event"}

// kinds are the events that the hub follows.
var kinds = map[string]Kind{
	"BandCreated": Created, "BandRenamed": Updated, "BandDeleted": Deleted,
	"DanceHallCreated": Created, "DanceHallUpdated": Updated, "DanceHallGeocoded": Updated, "DanceHallDeleted": Deleted,
	"EventCreated": Created, "EventUpdated": Updated, "EventDeleted": Deleted,
}

// change makes one of what was recorded.
func (h *Hub) change(ctx context.Context, recorded eventsourced.Recorded) (Change, error) {
	c := Change{Kind: kinds[recorded.Name], Position: recorded.Position}
	switch recorded.Stream.AggregateName {
	case domain.AggregateBand:
		c.BandID = recorded.Stream.AggregateID
		return c, nil
	case domain.AggregateDanceHall:
		c.DanceHallID = recorded.Stream.AggregateID
		return c, nil
	}
	c.EventID = recorded.Stream.AggregateID
	var dance domain.Event
	apply := func(recorded eventsourced.Recorded) (*domain.EventDetails, error) {
		events, err := h.log.Registry().Decode(ctx, recorded)
		if err != nil {
			return nil, err
		}
		for _, event := range events {
			dance.Apply(event)
		}
		if dance.Deleted() {
			return nil, nil
		}
		details := dance.Details()
		return &details, nil
	}
	if recorded.Version > 1 {
		for earlier, err := range h.log.ReadStream(ctx, recorded.Stream, 0) {
			if err != nil {
				return c, err
			}
			if earlier.Version >= recorded.Version {
				break
			}
			if c.Before, err = apply(earlier); err != nil {
				return c, err
			}
		}
	}
	var err error
	c.After, err = apply(recorded)
	return c, err
}
