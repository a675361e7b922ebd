package domain

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// AddOrigin adds a place that the user starts from. It is refused with
// [ErrTooManyOrigins]. When the user has it already, that is no error.
func (s *Service) AddOrigin(ctx context.Context, c AddOrigin) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.AddOrigin(c) })
}

// RemoveOrigin removes a place that the user starts from, if they have it.
func (s *Service) RemoveOrigin(ctx context.Context, c RemoveOrigin) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.RemoveOrigin(c) })
}

// IgnoreBand hides a band from the user. It is refused with [ErrBandNotFound] and
// [ErrTooManyIgnores]. When the band is ignored already, that is no error.
func (s *Service) IgnoreBand(ctx context.Context, c IgnoreBand) (UserPreferencesID, eventsourced.Position, error) {
	id, err := parseID("bandId", c.BandID)
	if err != nil {
		return "", 0, err
	}
	if c.BandName, err = s.knownBands.nameOf(ctx, string(id)); err != nil {
		return "", 0, err
	}
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.IgnoreBand(c) })
}

// UnignoreBand shows a band to the user again, if it is ignored.
func (s *Service) UnignoreBand(ctx context.Context, c UnignoreBand) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.UnignoreBand(c) })
}

// IgnoreDanceHall hides a dance hall from the user. It is refused with
// [ErrDanceHallNotFound] and [ErrTooManyIgnores]. When the hall is ignored
// already, that is no error.
func (s *Service) IgnoreDanceHall(ctx context.Context, c IgnoreDanceHall) (UserPreferencesID, eventsourced.Position, error) {
	id, err := parseID("danceHallId", c.DanceHallID)
	if err != nil {
		return "", 0, err
	}
	if c.DanceHallName, err = s.knownDanceHalls.nameOf(ctx, string(id)); err != nil {
		return "", 0, err
	}
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.IgnoreDanceHall(c) })
}

// UnignoreDanceHall shows a dance hall to the user again, if it is ignored.
func (s *Service) UnignoreDanceHall(ctx context.Context, c UnignoreDanceHall) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.UnignoreDanceHall(c) })
}

// IgnoreCity hides a city from the user. It is refused with [ErrTooManyIgnores].
// When the city is ignored already, that is no error.
func (s *Service) IgnoreCity(ctx context.Context, c IgnoreCity) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.IgnoreCity(c) })
}

// UnignoreCity shows a city to the user again, if it is ignored.
func (s *Service) UnignoreCity(ctx context.Context, c UnignoreCity) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.UnignoreCity(c) })
}

// IgnoreMunicipality hides a municipality from the user. It is refused with
// [ErrTooManyIgnores]. When the municipality is ignored already, that is no error.
func (s *Service) IgnoreMunicipality(ctx context.Context, c IgnoreMunicipality) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.IgnoreMunicipality(c) })
}

// UnignoreMunicipality shows a municipality to the user again, if it is ignored.
func (s *Service) UnignoreMunicipality(ctx context.Context, c UnignoreMunicipality) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.UnignoreMunicipality(c) })
}

// IgnoreState hides a state from the user. It is refused with
// [ErrTooManyIgnores]. When the state is ignored already, that is no error.
func (s *Service) IgnoreState(ctx context.Context, c IgnoreState) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.IgnoreState(c) })
}

// UnignoreState shows a state to the user again, if it is ignored.
func (s *Service) UnignoreState(ctx context.Context, c UnignoreState) (UserPreferencesID, eventsourced.Position, error) {
	return s.prefer(ctx, c.Subject, func(p *UserPreferences) error { return p.UnignoreState(c) })
}

// prefer lets the subject's preferences decide.
func (s *Service) prefer(ctx context.Context, subject string, act func(*UserPreferences) error) (UserPreferencesID, eventsourced.Position, error) {
	parsed, err := ParseSubject(subject)
	if err != nil {
		return "", 0, err
	}
	id := UserPreferencesIDFor(parsed)
	position, err := s.preferences.Update(ctx, string(id), act)
	return done(id, position, err)
}
