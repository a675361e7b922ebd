package importer

import (
	"bytes"
	"context"
	"hash/maphash"
	"slices"

	"github.com/google/uuid"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// known is what the log says about bands, halls and dances. It is read from the log
// itself, because a read view may be behind. Of a dance it keeps some 50 bytes: the
// rest is in the log, for those that change.
type known struct {
	bands     names[domain.BandID]
	halls     names[domain.DanceHallID]
	bandOf    map[string]domain.BandID // as listings spell them
	hallOf    map[[4]string]domain.DanceHallID
	dances    map[uuid.UUID]dance
	elsewhere map[uuid.UUID]uuid.UUID // of dances, the id that a listing would derive from what they are now, where it is not theirs
	byHand    map[uuid.UUID]uuid.UUID // the other way round
	months    map[int32]bool          // of the listing
}

type dance struct {
	said      uint64 // a hash of what a listing said of it last
	month     int32  // in that listing
	state     state
	inListing bool // the one that is imported
}

// state is what became of a dance.
type state uint8

const (
	made      state = iota // by hand: a listing may add to it, and never takes it away
	listed                 // its id is derived from a listing: it is the importer's to delete
	withdrawn              // by a listing: if one has it again, that is another dance
	removed                // by hand: it stays away, whatever listings say
)

func readKnown(ctx context.Context, log Log) (*known, error) {
	k := &known{
		bands:     names[domain.BandID]{map[domain.BandID]bool{}, map[domain.BandID]domain.BandID{}},
		halls:     names[domain.DanceHallID]{map[domain.DanceHallID]bool{}, map[domain.DanceHallID]domain.DanceHallID{}},
		bandOf:    map[string]domain.BandID{},
		hallOf:    map[[4]string]domain.DanceHallID{},
		dances:    map[uuid.UUID]dance{},
		elsewhere: map[uuid.UUID]uuid.UUID{},
		byHand:    map[uuid.UUID]uuid.UUID{},
		months:    map[int32]bool{},
	}
	of := []string{
		"BandCreated", "BandDeleted", "BandNameTaken", "DanceHallCreated", "DanceHallDeleted", "DanceHallNameTaken",
		"EventCreated", "EventUpdated", "EventDeleted",
	}
	for recorded, err := range log.ReadLog(ctx, eventsourced.LogQuery{Names: of}) {
		if err != nil {
			return nil, err
		}
		events, err := log.Registry().Decode(ctx, recorded)
		if err != nil {
			return nil, err
		}
		for _, event := range events {
			k.apply(event, recorded.Metadata)
		}
	}
	for id, derived := range k.elsewhere {
		if other, taken := k.byHand[derived]; k.dances[id].state <= listed && (!taken || bytes.Compare(id[:], other[:]) < 0) {
			k.byHand[derived] = id
		}
	}
	clear(k.elsewhere)
	return k, nil
}

func (k *known) apply(event eventsourced.Event, metadata eventsourced.Metadata) {
	if k.applyNames(event) {
		return
	}
	id, err := uuid.Parse(event.AggregateID())
	if err != nil {
		return // no listing has it
	}
	d := k.dances[id]
	switch e := event.(type) {
	case *domain.EventCreated:
		details := detailsOf(e)
		if d.month = month(details.Date); k.isListed(id, details) {
			d.state, d.said = listed, hash(said{details.EndTime, details.ExtraInfo})
		} else {
			k.elsewhere[id] = derive(details, 1)
		}
	case *domain.EventUpdated:
		details := detailsOf((*domain.EventCreated)(e))
		if derived := derive(details, 1); derived != id {
			k.elsewhere[id] = derived
		} else {
			delete(k.elsewhere, id)
		}
	case *domain.EventDeleted:
		d.state = removed
		if _, ok := saidIn(metadata); ok || isReason(e.Reason) {
			d.state = withdrawn
		}
	}
	if s, ok := saidIn(metadata); ok {
		d.said = hash(s)
	}
	k.dances[id] = d
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
func (k *known) isListed(id uuid.UUID, details domain.EventDetails) bool {
	for n := 1; ; n++ {
		derived := derive(details, n)
		if derived == id {
			return true
		}
		if _, ok := k.dances[derived]; !ok {
			return false
		}
	}
}

func derive(d domain.EventDetails, n int) uuid.UUID {
	id := domain.EventIDFor(domain.Date(d.Date), domain.Clock(d.StartTime), d.BandID, d.DanceHallID, n)
	return uuid.MustParse(string(id))
}

// match is what is known of the dance that a row is about.
type match struct {
	id     domain.EventID
	isNew  bool
	listed bool // its id is derived from a listing
	again  bool // a row before was about it
	same   bool // the row says what a listing said of it last
	gone   bool // a person deleted it

	revive reviving // its band and hall
}

// find returns the dance that a row is about: the one that came from such a row, or
// one that a person made or moved to where the row has it. A withdrawn dance stays
// away: if the listing has it again, that is another one.
func (k *known) find(details domain.EventDetails) match {
	k.months[month(details.Date)] = true
	row := hash(said{details.EndTime, details.ExtraInfo})
	for n := 1; ; n++ {
		id := derive(details, n)
		d, ok := k.dances[id]
		if ok && d.state == withdrawn {
			continue
		}
		if other, found := k.byHand[derive(details, 1)]; !ok && found {
			id, ok = other, true
			d = k.dances[id]
		}
		m := match{
			id: domain.EventID(id.String()), isNew: !ok, listed: d.state == listed,
			again: d.inListing, same: d.said == row, gone: d.state == removed,
		}
		if m.isNew {
			d = dance{said: row, month: month(details.Date), state: listed}
		}
		d.inListing = true
		k.dances[id] = d
		return m
	}
}

// withdrawn returns the dances of the listing's months that it lacks, in the
// order of their ids.
func (k *known) withdrawn() (ids []domain.EventID) {
	for id, d := range k.dances {
		if d.state == listed && !d.inListing && k.months[d.month] {
			ids = append(ids, domain.EventID(id.String()))
		}
	}
	slices.Sort(ids)
	return ids
}

// month numbers the months of dates, which are as 2006-01-02.
func month(date string) (n int32) {
	for _, digit := range []byte(date[:min(len("2006-01"), len(date))]) {
		if digit >= '0' && digit <= '9' {
			n = n*10 + int32(digit-'0')
		}
	}
	return n
}

var seed = maphash.MakeSeed()

func hash(s said) uint64 { return maphash.Comparable(seed, s) }
