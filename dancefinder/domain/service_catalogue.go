package domain

import (
	"context"
	"errors"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// CreateBand makes a band known. When it is already, that is no error: the id is that
// of the band that has the name, or had it.
func (s *Service) CreateBand(ctx context.Context, c CreateBand) (BandID, eventsourced.Position, error) {
	name, err := ParseBandName(c.Name)
	if err != nil {
		return "", 0, err
	}
	return createNamed(ctx, s.bands, BandIDFor(name), func(b *Band) error { return b.Create(c) })
}

// RenameBand gives a band another name. It is refused with [ErrBandNotFound], and
// with [ErrBandExists] when the name is another band's.
func (s *Service) RenameBand(ctx context.Context, c RenameBand) (BandID, eventsourced.Position, error) {
	id, err := parseID("bandId", c.BandID)
	if err != nil {
		return "", 0, err
	}
	name, err := ParseBandName(c.Name)
	if err != nil {
		return "", 0, err
	}
	s.knownBands.forget(string(id))
	if _, err := s.knownBands.nameOf(ctx, string(id)); err != nil {
		return "", 0, err
	}
	// The name first: should the second step be missing, the band has two names, and
	// the command can be sent again.
	if of := BandIDFor(name); of != id {
		if _, err := s.bands.Update(ctx, string(of), func(b *Band) error { return b.takeName(id) }); err != nil {
			return "", 0, err
		}
	}
	position, err := s.bands.Update(ctx, string(id), func(b *Band) error { return b.Rename(c) })
	s.knownBands.forget(string(id))
	return done(id, position, err)
}

// DeleteBand deletes a band. It is refused with [ErrBandNotFound]. When it is deleted
// already, that is no error.
func (s *Service) DeleteBand(ctx context.Context, c DeleteBand) (BandID, eventsourced.Position, error) {
	id, err := parseID("bandId", c.BandID)
	if err != nil {
		return "", 0, err
	}
	position, err := s.bands.Update(ctx, string(id), func(b *Band) error { return b.Delete(c) })
	s.knownBands.forget(string(id))
	return done(id, position, err)
}

// CreateDanceHall makes a dance hall known. When it is already, that is no error: the
// id is that of the hall that has name and place, or had them.
func (s *Service) CreateDanceHall(ctx context.Context, c CreateDanceHall) (DanceHallID, eventsourced.Position, error) {
	name, place, err := c.parse()
	if err != nil {
		return "", 0, err
	}
	return createNamed(ctx, s.danceHalls, DanceHallIDFor(name, place), func(h *DanceHall) error { return h.Create(c) })
}

// UpdateDanceHall gives a dance hall another name or place. It is refused with
// [ErrDanceHallNotFound], and with [ErrDanceHallExists] when they are another hall's.
func (s *Service) UpdateDanceHall(ctx context.Context, c UpdateDanceHall) (DanceHallID, eventsourced.Position, error) {
	id, err := parseID("danceHallId", c.DanceHallID)
	if err != nil {
		return "", 0, err
	}
	name, place, err := c.parse()
	if err != nil {
		return "", 0, err
	}
	s.knownDanceHalls.forget(string(id))
	if _, err := s.knownDanceHalls.nameOf(ctx, string(id)); err != nil {
		return "", 0, err
	}
	if of := DanceHallIDFor(name, place); of != id { // first, as with a band's
		if _, err := s.danceHalls.Update(ctx, string(of), func(h *DanceHall) error { return h.takeName(id) }); err != nil {
			return "", 0, err
		}
	}
	position, err := s.danceHalls.Update(ctx, string(id), func(h *DanceHall) error { return h.Update(c) })
	s.knownDanceHalls.forget(string(id))
	return done(id, position, err)
}

// DeleteDanceHall deletes a dance hall. It is refused with [ErrDanceHallNotFound].
// When it is deleted already, that is no error.
func (s *Service) DeleteDanceHall(ctx context.Context, c DeleteDanceHall) (DanceHallID, eventsourced.Position, error) {
	id, err := parseID("danceHallId", c.DanceHallID)
	if err != nil {
		return "", 0, err
	}
	position, err := s.danceHalls.Update(ctx, string(id), func(h *DanceHall) error { return h.Delete(c) })
	s.knownDanceHalls.forget(string(id))
	return done(id, position, err)
}

// maxOwners is how often a name is followed to whom it belongs. More than once is for
// a deleted band whose own name was taken by another one.
const maxOwners = 10

// createNamed creates what the name's stream id is for, or what has taken the name.
func createNamed[ID ~string, A any](
	ctx context.Context, repository *eventsourced.Repository[A], id ID, create func(*A) error,
) (ID, eventsourced.Position, error) {
	for range maxOwners {
		position, err := repository.Update(ctx, string(id), create)
		other := taken[ID]{}
		if !errors.As(err, &other) {
			return done(id, position, err)
		}
		id = other.owner
	}
	return "", 0, fmt.Errorf("the name has passed through more than %d hands", maxOwners)
}
