package importer

import (
	"context"
	"strings"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// reviving makes a band or hall known again that a person deleted. It is for rows that
// say something new: the others leave it as it is.
type reviving func(context.Context) error

func alive(context.Context) error { return nil }

// band returns the id of the band that has a name, or had it.
func (i *run) band(c domain.CreateBand) (domain.BandID, reviving, error) {
	if id, ok := i.known.bandOf[c.Name]; ok {
		return id, alive, nil
	}
	name, err := domain.ParseBandName(c.Name)
	if err != nil {
		return "", nil, err
	}
	if id, deleted := i.known.bands.deleted(domain.BandIDFor(name)); deleted {
		return id, func(ctx context.Context) error {
			_, position, err := i.service.CreateBand(ctx, c)
			i.revived(string(id), position, err, func(r *Result) { r.Bands++ })
			return err
		}, nil
	}
	id, position, err := i.service.CreateBand(i.ctx, c)
	if err != nil {
		return "", nil, err
	}
	i.known.bandOf[strings.Clone(c.Name)] = id // not the row that it is a part of
	if !i.known.bands.alive[id] {
		i.known.bands.alive[id] = true
		i.count(func(r *Result) { r.Bands++; r.Position = max(r.Position, position) })
	}
	return id, alive, nil
}

// hall is band for halls.
func (i *run) hall(c domain.CreateDanceHall) (domain.DanceHallID, reviving, error) {
	key := [4]string{c.Name, c.City, c.Municipality, c.State}
	if id, ok := i.known.hallOf[key]; ok {
		return id, alive, nil
	}
	name, err := domain.ParseHallName(c.Name)
	if err != nil {
		return "", nil, err
	}
	place, err := domain.NewPlace(c.City, c.Municipality, c.State)
	if err != nil {
		return "", nil, err
	}
	if id, deleted := i.known.halls.deleted(domain.DanceHallIDFor(name, place)); deleted {
		return id, func(ctx context.Context) error {
			_, position, err := i.service.CreateDanceHall(ctx, c)
			i.revived(string(id), position, err, func(r *Result) { r.Halls++ })
			return err
		}, nil
	}
	id, position, err := i.service.CreateDanceHall(i.ctx, c)
	if err != nil {
		return "", nil, err
	}
	for part := range key {
		key[part] = strings.Clone(key[part])
	}
	i.known.hallOf[key] = id
	if !i.known.halls.alive[id] {
		i.known.halls.alive[id] = true
		i.count(func(r *Result) { r.Halls++; r.Position = max(r.Position, position) })
	}
	return id, alive, nil
}

// revived counts what was revived, once.
func (i *run) revived(id string, position eventsourced.Position, err error, count func(*Result)) {
	i.count(func(r *Result) {
		if _, before := i.again[id]; err == nil && !before {
			i.again[id] = struct{}{}
			r.Position = max(r.Position, position)
			count(r)
		}
	})
}
