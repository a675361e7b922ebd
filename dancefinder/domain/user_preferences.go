package domain

import (
	"slices"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

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
// whose removal is stored: read models need not know of keys. Preferences that were
// adopted may have several spellings of one key: they go together.
type choices map[string][]choice

func (s *choices) add(c choice) {
	if *s == nil {
		*s = choices{}
	}
	key := Key(c.value)
	(*s)[key] = append(without((*s)[key], c.value), c)
}

func (s choices) remove(value string) {
	key := Key(value)
	if s[key] = without(s[key], value); len(s[key]) == 0 {
		delete(s, key)
	}
}

func without(all []choice, value string) []choice {
	return slices.DeleteFunc(all, func(c choice) bool { return c.value == value })
}

func (s choices) find(value string) []choice { return s[Key(value)] }

// include records event, which adds value to set, unless it is in it already.
// full is the error for a set that has limit choices.
func (p *UserPreferences) include(set choices, value string, limit int, full error, event eventsourced.Event) error {
	if len(set.find(value)) > 0 {
		return nil
	}
	if len(set) >= limit {
		return full
	}
	return eventsourced.Record(p, event)
}

// exclude records the events that take value out of set, in each spelling, if it is in
// it.
func (p *UserPreferences) exclude(set choices, value string, eventFunc func(choice) eventsourced.Event) error {
	for _, stored := range slices.Clone(set.find(value)) {
		if err := eventsourced.Record(p, eventFunc(stored)); err != nil {
			return err
		}
	}
	return nil
}
