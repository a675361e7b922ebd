package importer

import (
	"context"
	"slices"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// known is what the log says about bands, halls and the dances that came from
// listings. It is read from the log itself, because a read view may be behind.
type known struct {
	bands     map[domain.BandID]bool
	halls     map[domain.DanceHallID]bool
	spellings map[[4]string]domain.DanceHallID
	dances    map[domain.EventID]*dance
	months    map[string]bool // of the listing, as 2006-01
}

type dance struct {
	details   domain.EventDetails
	listed    bool // its id is derived from a listing: it is the importer's to delete
	deleted   bool
	inListing bool // the one that is imported
}

func readKnown(ctx context.Context, log Log) (*known, error) {
	k := &known{
		bands:     map[domain.BandID]bool{},
		halls:     map[domain.DanceHallID]bool{},
		spellings: map[[4]string]domain.DanceHallID{},
		dances:    map[domain.EventID]*dance{},
		months:    map[string]bool{},
	}
	names := []string{"BandCreated", "DanceHallCreated", "EventCreated", "EventUpdated", "EventDeleted"}
	for recorded, err := range log.ReadLog(ctx, eventsourced.LogQuery{Names: names}) {
		if err != nil {
			return nil, err
		}
		event, err := log.Registry().Decode(recorded)
		if err != nil {
			return nil, err
		}
		k.apply(event)
	}
	return k, nil
}

func (k *known) apply(event eventsourced.Event) {
	id := domain.EventID(event.AggregateID())
	switch e := event.(type) {
	case *domain.BandCreated:
		k.bands[domain.BandID(id)] = true
	case *domain.DanceHallCreated:
		k.halls[domain.DanceHallID(id)] = true
	case *domain.EventCreated:
		d := &dance{details: detailsOf(e)}
		d.listed = k.isListed(id, d.details)
		k.dances[id] = d
	case *domain.EventUpdated:
		k.dances[id].details = detailsOf((*domain.EventCreated)(e))
	case *domain.EventDeleted:
		k.dances[id].deleted = true
	}
}

func detailsOf(e *domain.EventCreated) domain.EventDetails {
	return domain.EventDetails{
		Date: e.Date, StartTime: e.StartTime, EndTime: e.EndTime,
		BandID: domain.BandID(e.BandID), DanceHallID: domain.DanceHallID(e.DanceHallID),
		ExtraInfo: e.ExtraInfo, SourceURL: e.SourceURL,
	}
}

// isListed tells whether a dance's id was derived from a listing, for whatever
// time its row came.
func (k *known) isListed(id domain.EventID, details domain.EventDetails) bool {
	for n := 1; ; n++ {
		derived := derive(details, n)
		if derived == id {
			return true
		}
		if k.dances[derived] == nil {
			return false
		}
	}
}

func derive(d domain.EventDetails, n int) domain.EventID {
	return domain.EventIDFor(domain.Date(d.Date), domain.Clock(d.StartTime), d.BandID, d.DanceHallID, n)
}

// find returns the id of the dance that a row is about, its details if it is known
// already, and whether it is the first row about it. A deleted dance stays
// deleted: if the listing has it again, that is another one.
func (k *known) find(details domain.EventDetails) (id domain.EventID, stored *domain.EventDetails, first bool) {
	k.months[month(details.Date)] = true
	for n := 1; ; n++ {
		id = derive(details, n)
		d := k.dances[id]
		if d == nil {
			k.dances[id] = &dance{details: details, listed: true, inListing: true}
			return id, nil, true
		}
		if !d.deleted {
			first, d.inListing = !d.inListing, true
			return id, &d.details, first
		}
	}
}

// withdrawn returns the dances of the listing's months that it lacks, in the
// order of their ids.
func (k *known) withdrawn() (ids []domain.EventID) {
	for id, d := range k.dances {
		if d.listed && !d.deleted && !d.inListing && k.months[month(d.details.Date)] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func month(date string) string { return date[:min(len("2006-01"), len(date))] }
