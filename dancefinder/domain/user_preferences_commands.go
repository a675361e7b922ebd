package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

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

// AddOrigin records [OriginAdded], unless the user has the origin, in whatever
// spelling and with whatever coordinate. It returns [ErrTooManyOrigins] beyond
// [MaxOrigins].
func (p *UserPreferences) AddOrigin(c AddOrigin) error {
	subject, err := ParseSubject(c.Subject)
	if err != nil {
		return err
	}
	origin, err := ParseOrigin(c.Origin)
	if err != nil {
		return err
	}
	event := &OriginAdded{Subject: string(subject), Origin: string(origin)}
	if c.Coordinate != nil {
		at, err := NewCoordinate(c.Coordinate.Latitude, c.Coordinate.Longitude)
		if err != nil {
			return err
		}
		event.Latitude, event.Longitude = &at.Latitude, &at.Longitude
	}
	return p.include(p.origins, event.Origin, MaxOrigins, ErrTooManyOrigins, event)
}

// RemoveOrigin records [OriginRemoved], unless the user has no such origin.
func (p *UserPreferences) RemoveOrigin(c RemoveOrigin) error {
	subject, err := ParseSubject(c.Subject)
	if err != nil {
		return err
	}
	origin, err := ParseOrigin(c.Origin)
	if err != nil {
		return err
	}
	return p.exclude(p.origins, string(origin), func(stored choice) eventsourced.Event {
		return &OriginRemoved{Subject: string(subject), Origin: stored.value}
	})
}

// The methods Ignore... record the event of that name, unless the user ignores the
// thing already, and return [ErrTooManyIgnores] beyond [MaxIgnores] of its kind.
// The methods Unignore... record theirs if the user ignores the thing.

// IgnoreBand records [BandIgnored], unless the band is ignored already. That the
// band exists is for the caller to check.
func (p *UserPreferences) IgnoreBand(c IgnoreBand) error {
	return p.ignore(bandKind, c.Subject, choice{string(c.BandID), c.BandName})
}

// UnignoreBand records [BandUnignored] if the band is ignored.
func (p *UserPreferences) UnignoreBand(c UnignoreBand) error {
	return p.unignore(bandKind, c.Subject, string(c.BandID))
}

// IgnoreDanceHall records [DanceHallIgnored], unless the hall is ignored already.
// That the hall exists is for the caller to check.
func (p *UserPreferences) IgnoreDanceHall(c IgnoreDanceHall) error {
	return p.ignore(danceHallKind, c.Subject, choice{string(c.DanceHallID), c.DanceHallName})
}

// UnignoreDanceHall records [DanceHallUnignored] if the hall is ignored.
func (p *UserPreferences) UnignoreDanceHall(c UnignoreDanceHall) error {
	return p.unignore(danceHallKind, c.Subject, string(c.DanceHallID))
}

// IgnoreCity records [CityIgnored], unless the city is ignored already.
func (p *UserPreferences) IgnoreCity(c IgnoreCity) error {
	return p.ignore(cityKind, c.Subject, choice{value: c.City})
}

// UnignoreCity records [CityUnignored] if the city is ignored.
func (p *UserPreferences) UnignoreCity(c UnignoreCity) error {
	return p.unignore(cityKind, c.Subject, c.City)
}

// IgnoreMunicipality records [MunicipalityIgnored], unless the municipality is
// ignored already.
func (p *UserPreferences) IgnoreMunicipality(c IgnoreMunicipality) error {
	return p.ignore(municipalityKind, c.Subject, choice{value: c.Municipality})
}

// UnignoreMunicipality records [MunicipalityUnignored] if the municipality is
// ignored.
func (p *UserPreferences) UnignoreMunicipality(c UnignoreMunicipality) error {
	return p.unignore(municipalityKind, c.Subject, c.Municipality)
}

// IgnoreState records [StateIgnored], unless the state is ignored already.
func (p *UserPreferences) IgnoreState(c IgnoreState) error {
	return p.ignore(stateKind, c.Subject, choice{value: c.State})
}

// UnignoreState records [StateUnignored] if the state is ignored.
func (p *UserPreferences) UnignoreState(c UnignoreState) error {
	return p.unignore(stateKind, c.Subject, c.State)
}
