package domain

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// ignoreKind is one of the five kinds of things that can be ignored. They follow
// the same rules and differ in what their values look like and in their events.
type ignoreKind struct {
	set       func(*UserPreferences) choices
	parseFunc func(value string) (string, error)
	ignored   func(subject string, c choice) eventsourced.Event
	unignored func(subject string, c choice) eventsourced.Event
	nameOf    func(ctx context.Context, s *Service, id string) (string, error) // nil when it need not exist
}

var bandKind = ignoreKind{
	set:       func(p *UserPreferences) choices { return p.bands },
	parseFunc: func(id string) (string, error) { return parseID("bandId", id) },
	ignored: func(subject string, c choice) eventsourced.Event {
		return &BandIgnored{Subject: subject, BandID: c.value, BandName: c.name}
	},
	unignored: func(subject string, c choice) eventsourced.Event {
		return &BandUnignored{Subject: subject, BandID: c.value, BandName: c.name}
	},
	nameOf: func(ctx context.Context, s *Service, id string) (string, error) { return s.knownBands.nameOf(ctx, id) },
}

var danceHallKind = ignoreKind{
	set:       func(p *UserPreferences) choices { return p.danceHalls },
	parseFunc: func(id string) (string, error) { return parseID("danceHallId", id) },
	ignored: func(subject string, c choice) eventsourced.Event {
		return &DanceHallIgnored{Subject: subject, DanceHallID: c.value, DanceHallName: c.name}
	},
	unignored: func(subject string, c choice) eventsourced.Event {
		return &DanceHallUnignored{Subject: subject, DanceHallID: c.value, DanceHallName: c.name}
	},
	nameOf: func(ctx context.Context, s *Service, id string) (string, error) {
		return s.knownDanceHalls.nameOf(ctx, id)
	},
}

var cityKind = ignoreKind{
	set:       func(p *UserPreferences) choices { return p.cities },
	parseFunc: func(city string) (string, error) { return parseRequired("city", city, maxPlace) },
	ignored: func(subject string, c choice) eventsourced.Event {
		return &CityIgnored{Subject: subject, City: c.value}
	},
	unignored: func(subject string, c choice) eventsourced.Event {
		return &CityUnignored{Subject: subject, City: c.value}
	},
}

var municipalityKind = ignoreKind{
	set:       func(p *UserPreferences) choices { return p.municipalities },
	parseFunc: func(name string) (string, error) { return parseRequired("municipality", name, maxPlace) },
	ignored: func(subject string, c choice) eventsourced.Event {
		return &MunicipalityIgnored{Subject: subject, Municipality: c.value}
	},
	unignored: func(subject string, c choice) eventsourced.Event {
		return &MunicipalityUnignored{Subject: subject, Municipality: c.value}
	},
}

var stateKind = ignoreKind{
	set:       func(p *UserPreferences) choices { return p.states },
	parseFunc: ParseState,
	ignored: func(subject string, c choice) eventsourced.Event {
		return &StateIgnored{Subject: subject, State: c.value}
	},
	unignored: func(subject string, c choice) eventsourced.Event {
		return &StateUnignored{Subject: subject, State: c.value}
	},
}

func (k ignoreKind) ignore(subject string, c choice) preference {
	p := preference{subject: subject, choice: c, decide: func(p *UserPreferences, subject string, c choice) (err error) {
		if c.value, err = k.parseFunc(c.value); err != nil {
			return err
		}
		return p.include(k.set(p), c.value, MaxIgnores, ErrTooManyIgnores, k.ignored(subject, c))
	}}
	if k.nameOf != nil {
		p.nameOf = func(ctx context.Context, s *Service, id string) (string, error) {
			id, err := k.parseFunc(id)
			if err != nil {
				return "", err
			}
			return k.nameOf(ctx, s, id)
		}
	}
	return p
}

func (k ignoreKind) unignore(subject, value string) preference {
	return preference{subject: subject, choice: choice{value: value}, decide: func(p *UserPreferences, subject string, c choice) error {
		value, err := k.parseFunc(c.value)
		if err != nil {
			return err
		}
		return p.exclude(k.set(p), value, func(stored choice) eventsourced.Event { return k.unignored(subject, stored) })
	}}
}
