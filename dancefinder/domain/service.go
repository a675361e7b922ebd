package domain

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Service takes commands: it finds the aggregate that a command is meant for,
// checks what one aggregate alone can't know, lets it decide and stores what
// happened. It is safe for concurrent use; a command that meets another one on
// the same aggregate is decided again on the new state.
//
// Each method returns the aggregate's id and the position in the log of its last
// event, also when the command changed nothing: a read model that has passed the
// position shows what the command left behind. It is 0 when there is no event, as
// after removing something from preferences that were never set.
//
// A refusal is an [*Error], and [ErrInvalid] may refuse any command. Any other
// error comes from the store; whether the command was carried out is open then,
// and it is safe to send it again ([CreateEvent] with an id of its own).
type Service struct {
	bands       *eventsourced.Repository[Band]
	danceHalls  *eventsourced.Repository[DanceHall]
	events      *eventsourced.Repository[Event]
	preferences *eventsourced.Repository[UserPreferences]

	knownBands      *catalogue[Band, *Band]
	knownDanceHalls *catalogue[DanceHall, *DanceHall]
}

// NewService returns a service over store, whose registry must know [EventTypes]. It panics without, as [eventsourced.NewRepository] does.
func NewService(store eventsourced.Store) *Service {
	bands := eventsourced.NewRepository[Band](store, AggregateBand, eventsourced.RepositoryConfig{})
	danceHalls := eventsourced.NewRepository[DanceHall](store, AggregateDanceHall, eventsourced.RepositoryConfig{})
	return &Service{
		bands:           bands,
		danceHalls:      danceHalls,
		events:          eventsourced.NewRepository[Event](store, AggregateEvent, eventsourced.RepositoryConfig{}),
		preferences:     eventsourced.NewRepository[UserPreferences](store, AggregateUserPreferences, eventsourced.RepositoryConfig{}),
		knownBands:      newCatalogue(bands, ErrBandNotFound),
		knownDanceHalls: newCatalogue(danceHalls, ErrDanceHallNotFound),
	}
}

// GeocodeDanceHall says where a dance hall lies. It is refused with
// [ErrDanceHallNotFound], and with [ErrGeocodeOutranked] when the hall has a
// coordinate from a better source.
func (s *Service) GeocodeDanceHall(ctx context.Context, c GeocodeDanceHall) (DanceHallID, eventsourced.Position, error) {
	id, err := parseID("danceHallId", c.DanceHallID)
	if err != nil {
		return "", 0, err
	}
	position, err := s.danceHalls.Update(ctx, string(id), func(h *DanceHall) error { return h.Geocode(c) })
	return done(id, position, err)
}

// CreateEvent makes a dance event known. It is refused with [ErrBandNotFound],
// [ErrDanceHallNotFound], [ErrEventExists] when the id is taken by a dance event
// with other details, and [ErrEventDeleted]. When there is just that dance event
// already, that is no error.
func (s *Service) CreateEvent(ctx context.Context, c CreateEvent) (EventID, eventsourced.Position, error) {
	if c.EventID == "" {
		c.EventID = NewEventID()
	}
	id, err := s.checkEvent(ctx, c.EventID, c.EventDetails)
	if err != nil {
		return "", 0, err
	}
	position, err := s.events.Update(ctx, string(id), func(e *Event) error { return e.Create(c) })
	return done(id, position, err)
}

// UpdateEvent replaces all details of a dance event. It is refused with
// [ErrBandNotFound], [ErrDanceHallNotFound], [ErrEventNotFound],
// [ErrEventDeleted], and [ErrEventChanged] when it was made for another version.
func (s *Service) UpdateEvent(ctx context.Context, c UpdateEvent) (EventID, eventsourced.Position, error) {
	id, err := s.checkEvent(ctx, c.EventID, c.EventDetails)
	if err != nil {
		return "", 0, err
	}
	position, err := s.events.Update(ctx, string(id), func(e *Event) error { return e.Update(c) })
	return done(id, position, err)
}

// DeleteEvent deletes a dance event. It is refused with [ErrEventNotFound]. When
// it is deleted already, that is no error.
func (s *Service) DeleteEvent(ctx context.Context, c DeleteEvent) (EventID, eventsourced.Position, error) {
	id, err := parseID("eventId", c.EventID)
	if err != nil {
		return "", 0, err
	}
	position, err := s.events.Update(ctx, string(id), func(e *Event) error { return e.Delete(c) })
	return done(id, position, err)
}

// checkEvent returns the id in its usual form, if details are valid and the band
// and the hall in them exist. It asks the log and not a read model, which might
// be behind.
func (s *Service) checkEvent(ctx context.Context, id EventID, details EventDetails) (EventID, error) {
	id, err := parseID("eventId", id)
	if err != nil {
		return "", err
	}
	details, err = details.parse()
	if err != nil {
		return "", err
	}
	if _, err := s.knownBands.nameOf(ctx, string(details.BandID)); err != nil {
		return "", err
	}
	if _, err := s.knownDanceHalls.nameOf(ctx, string(details.DanceHallID)); err != nil {
		return "", err
	}
	return id, nil
}

// done returns nothing but the error when there is one.
func done[ID ~string](id ID, position eventsourced.Position, err error) (ID, eventsourced.Position, error) {
	if err != nil {
		return "", 0, err
	}
	return id, position, nil
}
