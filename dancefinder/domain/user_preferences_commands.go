package domain

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Preference is a command to the preferences of one user: [AddOrigin], [RemoveOrigin], the
// five that ignore something, the five that take that back, and [ReplaceCalendarLink].
type Preference interface{ preference() preference }

// preference is such a command, whichever it is.
type preference struct {
	subject string
	choice  choice // as the command has it

	// nameOf says what the choice is called that has to exist; nil for what need not.
	nameOf func(ctx context.Context, s *Service, id string) (string, error)
	decide func(p *UserPreferences, subject string, c choice) error
}

// AddOrigin adds a place that the user starts from.
type AddOrigin struct {
	Subject    string      // see ParseSubject
	Origin     string      // see ParseOrigin
	Coordinate *Coordinate // where it is; nil when that is not known
}

// RemoveOrigin removes a place that the user starts from.
type RemoveOrigin struct{ Subject, Origin string }

// IgnoreBand hides a band's dances from the user. The band must exist.
type IgnoreBand struct {
	Subject  string
	BandID   BandID
	BandName string // for people who read the log; Service fills it in
}

// UnignoreBand takes an [IgnoreBand] back.
type UnignoreBand struct {
	Subject string
	BandID  BandID
}

// IgnoreDanceHall hides the dances at a hall from the user. The hall must exist.
type IgnoreDanceHall struct {
	Subject       string
	DanceHallID   DanceHallID
	DanceHallName string // for people who read the log; Service fills it in
}

// UnignoreDanceHall takes an [IgnoreDanceHall] back.
type UnignoreDanceHall struct {
	Subject     string
	DanceHallID DanceHallID
}

// IgnoreCity hides the dances in a city from the user. The city need not be in
// the catalogue; the same holds for municipalities and states.
type IgnoreCity struct{ Subject, City string }

// UnignoreCity takes an [IgnoreCity] back.
type UnignoreCity struct{ Subject, City string }

// IgnoreMunicipality hides the dances in a municipality from the user.
type IgnoreMunicipality struct{ Subject, Municipality string }

// UnignoreMunicipality takes an [IgnoreMunicipality] back.
type UnignoreMunicipality struct{ Subject, Municipality string }

// IgnoreState hides the dances in a state, see [ParseState], from the user.
type IgnoreState struct{ Subject, State string }

// UnignoreState takes an [IgnoreState] back.
type UnignoreState struct{ Subject, State string }

// Prefer records what a command decides:
//
//   - [AddOrigin]: [OriginAdded], unless the user has the origin, in whatever spelling and
//     with whatever coordinate. It returns [ErrTooManyOrigins] beyond [MaxOrigins].
//   - [RemoveOrigin]: [OriginRemoved], if the user has such an origin.
//   - Those that ignore something: [BandIgnored] and so on, unless the user ignores it already.
//     It returns [ErrTooManyIgnores] beyond [MaxIgnores] of its kind. That a band or a hall exists
//     is for the caller to check.
//   - Those that take that back: [BandUnignored] and so on, if the user ignores it.
//   - [ReplaceCalendarLink]: [CalendarLinkReplaced], unless that is the link already.
func (p *UserPreferences) Prefer(c Preference) error { return p.prefer(c.preference()) }

func (p *UserPreferences) prefer(c preference) error {
	subject, err := ParseSubject(c.subject)
	if err != nil {
		return err
	}
	return c.decide(p, string(subject), c.choice)
}

func (c AddOrigin) preference() preference {
	return preference{subject: c.Subject, decide: func(p *UserPreferences, subject string, _ choice) error {
		origin, err := ParseOrigin(c.Origin)
		if err != nil {
			return err
		}
		event := &OriginAdded{Subject: subject, Origin: string(origin)}
		if c.Coordinate != nil {
			at, err := NewCoordinate(c.Coordinate.Latitude, c.Coordinate.Longitude)
			if err != nil {
				return err
			}
			event.Latitude, event.Longitude = &at.Latitude, &at.Longitude
		}
		return p.include(p.origins, event.Origin, MaxOrigins, ErrTooManyOrigins, event)
	}}
}

func (c RemoveOrigin) preference() preference {
	return preference{subject: c.Subject, decide: func(p *UserPreferences, subject string, _ choice) error {
		origin, err := ParseOrigin(c.Origin)
		if err != nil {
			return err
		}
		return p.exclude(p.origins, string(origin), func(stored choice) eventsourced.Event {
			return &OriginRemoved{Subject: subject, Origin: stored.value}
		})
	}}
}

func (c IgnoreBand) preference() preference {
	return bandKind.ignore(c.Subject, choice{string(c.BandID), c.BandName})
}

func (c UnignoreBand) preference() preference { return bandKind.unignore(c.Subject, string(c.BandID)) }

func (c IgnoreDanceHall) preference() preference {
	return danceHallKind.ignore(c.Subject, choice{string(c.DanceHallID), c.DanceHallName})
}

func (c UnignoreDanceHall) preference() preference {
	return danceHallKind.unignore(c.Subject, string(c.DanceHallID))
}

func (c IgnoreCity) preference() preference {
	return cityKind.ignore(c.Subject, choice{value: c.City})
}

func (c UnignoreCity) preference() preference { return cityKind.unignore(c.Subject, c.City) }

func (c IgnoreMunicipality) preference() preference {
	return municipalityKind.ignore(c.Subject, choice{value: c.Municipality})
}

func (c UnignoreMunicipality) preference() preference {
	return municipalityKind.unignore(c.Subject, c.Municipality)
}

func (c IgnoreState) preference() preference {
	return stateKind.ignore(c.Subject, choice{value: c.State})
}

func (c UnignoreState) preference() preference { return stateKind.unignore(c.Subject, c.State) }
