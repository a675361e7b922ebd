package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// ignoreKind is one of the five kinds of things that can be ignored. They follow
// the same rules and differ in what their values look like and in their events.
type ignoreKind struct {
	set       func(*UserPreferences) choices
	parseFunc func(value string) (string, error)
	ignored   func(subject string, c choice) eventsourced.Event
	unignored func(subject string, c choice) eventsourced.Event
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

func (p *UserPreferences) ignore(kind ignoreKind, subject string, c choice) error {
	subject, value, err := kind.parse(subject, c.value)
	if err != nil {
		return err
	}
	c.value = value
	return p.include(kind.set(p), value, MaxIgnores, ErrTooManyIgnores, kind.ignored(subject, c))
}

func (p *UserPreferences) unignore(kind ignoreKind, subject, value string) error {
	subject, value, err := kind.parse(subject, value)
	if err != nil {
		return err
	}
	return p.exclude(kind.set(p), value, func(stored choice) eventsourced.Event {
		return kind.unignored(subject, stored)
	})
}

func (k ignoreKind) parse(subject, value string) (string, string, error) {
	parsed, err := ParseSubject(subject)
	if err != nil {
		return "", "", err
	}
	value, err = k.parseFunc(value)
	return string(parsed), value, err
}
