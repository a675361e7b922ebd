package domain

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Prefer carries out a command to the preferences of one user. It is refused with
// [ErrBandNotFound] and [ErrDanceHallNotFound] when what is to be ignored does not exist, and with
// [ErrTooManyOrigins] and [ErrTooManyIgnores]. What is so already is no error.
func (s *Service) Prefer(ctx context.Context, c Preference) (UserPreferencesID, eventsourced.Position, error) {
	p := c.preference()
	subject, err := ParseSubject(p.subject)
	if err != nil {
		return "", 0, err
	}
	if p.nameOf != nil {
		if p.choice.name, err = p.nameOf(ctx, s, p.choice.value); err != nil {
			return "", 0, err
		}
	}
	id := UserPreferencesIDFor(subject)
	position, err := s.preferences.Update(ctx, string(id), func(of *UserPreferences) error { return of.prefer(p) })
	return done(id, position, err)
}
