package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// Limits of one user's preferences.
const (
	MaxOrigins = 20
	MaxIgnores = 5000 // of each kind
)

// UserPreferences are what one user has chosen: the places they start from, and
// what they do not want to see of the catalogue. They exist from the first
// choice on.
type UserPreferences struct {
	eventsourced.Root
	origins        choices
	bands          choices
	danceHalls     choices
	cities         choices
	municipalities choices
	states         choices
	calendarLink   string // the hash of its secret; "" for none
}

// Apply implements [eventsourced.Aggregate].
func (p *UserPreferences) Apply(event eventsourced.Event) {
	switch e := event.(type) {
	case *OriginAdded:
		p.origins.add(choice{value: e.Origin})
	case *OriginRemoved:
		p.origins.remove(e.Origin)
	case *BandIgnored:
		p.bands.add(choice{e.BandID, e.BandName})
	case *BandUnignored:
		p.bands.remove(e.BandID)
	case *DanceHallIgnored:
		p.danceHalls.add(choice{e.DanceHallID, e.DanceHallName})
	case *DanceHallUnignored:
		p.danceHalls.remove(e.DanceHallID)
	case *CityIgnored:
		p.cities.add(choice{value: e.City})
	case *CityUnignored:
		p.cities.remove(e.City)
	case *MunicipalityIgnored:
		p.municipalities.add(choice{value: e.Municipality})
	case *MunicipalityUnignored:
		p.municipalities.remove(e.Municipality)
	case *StateIgnored:
		p.states.add(choice{value: e.State})
	case *StateUnignored:
		p.states.remove(e.State)
	case *CalendarLinkReplaced:
		p.calendarLink = e.Hash
	}
}

// choice is one thing chosen: an id and what it is called, or just a text.
type choice struct {
	value string
	name  string // of what value is the id of
}

// choices is a set of choices by the key of their value, so that two spellings of
// a city are one. The choice kept is the one that was stored, and that is the one
// whose removal is stored: read models need not know of keys.
type choices map[string]choice

func (s *choices) add(c choice) {
	if *s == nil {
		*s = choices{}
	}
	(*s)[Key(c.value)] = c
}

func (s choices) remove(value string) { delete(s, Key(value)) }

func (s choices) find(value string) (choice, bool) {
	c, ok := s[Key(value)]
	return c, ok
}

// include records event, which adds value to set, unless it is in it already.
// full is the error for a set that has limit choices.
func (p *UserPreferences) include(set choices, value string, limit int, full error, event eventsourced.Event) error {
	if _, found := set.find(value); found {
		return nil
	}
	if len(set) >= limit {
		return full
	}
	return eventsourced.Record(p, event)
}

// exclude records the event that takes value out of set, if it is in it.
func (p *UserPreferences) exclude(set choices, value string, eventFunc func(choice) eventsourced.Event) error {
	stored, found := set.find(value)
	if !found {
		return nil
	}
	return eventsourced.Record(p, eventFunc(stored))
}
