package model

import (
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// Event is a dance.
type Event struct {
	query.Event
	dances *dances
}

// dances are what the dances of an answer have in common.
type dances struct {
	bands lookup[*Band]
	halls lookup[*DanceHall]
}

// Events makes dances that ask for their bands and halls together.
func (s *Source) Events(found ...query.Event) []*Event {
	shared := &dances{}
	shared.bands.find = func(ctx context.Context, ids ...string) (map[string]*Band, error) {
		found, err := s.Reader.BandsByID(ctx, ids...)
		return related(s.bands(values(found)), func(b *Band) string { return b.ID }), err
	}
	shared.halls.find = func(ctx context.Context, ids ...string) (map[string]*DanceHall, error) {
		found, err := s.Reader.DanceHallsByID(ctx, ids...)
		return related(s.danceHalls(values(found)), func(h *DanceHall) string { return h.ID }), err
	}
	all := make([]*Event, len(found))
	for i, e := range found {
		all[i] = &Event{Event: e, dances: shared}
		shared.bands.ids = append(shared.bands.ids, e.BandID)
		shared.halls.ids = append(shared.halls.ids, e.DanceHallID)
	}
	return all
}

func values[T any](found map[string]T) []T {
	all := make([]T, 0, len(found))
	for _, item := range found {
		all = append(all, item)
	}
	return all
}

func related[T any](all []T, id func(T) string) map[string]T {
	byID := make(map[string]T, len(all))
	for _, item := range all {
		byID[id(item)] = item
	}
	return byID
}

// Date is the field of that name, and so are the methods that follow.
func (e *Event) Date() Date { return Date(e.Event.Date) }

// StartTime may be nil.
func (e *Event) StartTime() *LocalTime { return known(LocalTime(e.Times.Start)) }

// EndTime may be nil.
func (e *Event) EndTime() *LocalTime { return known(LocalTime(e.Times.End)) }

// ExtraInfo may be empty.
func (e *Event) ExtraInfo() string { return e.Extra }

// Distance is nil when it is not known.
func (e *Event) Distance() *Distance {
	if e.Km == nil {
		return nil
	}
	return &Distance{Km: *e.Km, From: e.Near}
}

// HiddenBy is nil when nothing hides the dance.
func (e *Event) HiddenBy() *IgnoreKind { return known(IgnoreKind(e.Hidden)) }

// Band is nil when it is not known.
func (e *Event) Band(ctx context.Context) (*Band, error) {
	return one(e.dances.bands.get(ctx, e.BandID))
}

// DanceHall is nil when it is not known.
func (e *Event) DanceHall(ctx context.Context) (*DanceHall, error) {
	return one(e.dances.halls.get(ctx, e.DanceHallID))
}

func one[T any](found **T, err error) (*T, error) {
	if found == nil {
		return nil, err
	}
	return *found, nil
}

func edges(nodes []*Event, cursors []string) []*EventEdge {
	all := make([]*EventEdge, len(nodes))
	for i, node := range nodes {
		all[i] = &EventEdge{Node: node, Cursor: cursors[i]}
	}
	return all
}
