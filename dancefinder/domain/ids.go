package domain

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// BandID is a band's id, a UUID in lower case like all ids here. Bands, halls and
// preferences have ids derived from what makes them unique (UUIDv5), so that two
// streams for one of them cannot be: whoever creates it meets the same stream.
type BandID string

// DanceHallID is a dance hall's id, derived like a band's.
type DanceHallID string

// UserPreferencesID is the id of a user's preferences, derived from the subject.
type UserPreferencesID string

// EventID is a dance event's id. What it could be derived from, its date, band and
// hall, may all change, and two dances may be alike in them. So one made by hand
// gets a new id, [NewEventID] (UUIDv7). One that comes from a listing gets an id
// derived from the listing, [EventIDFor], so that reading the listing again meets
// the same stream.
type EventID string

// BandIDFor returns the id of the band with this name, in any spelling with the
// same [Key].
func BandIDFor(name BandName) BandID {
	return BandID(derive(bandSpace, Key(string(name))))
}

// DanceHallIDFor returns the id of the hall with this name at this place, in any
// spelling with the same [Key].
func DanceHallIDFor(name HallName, place Place) DanceHallID {
	return DanceHallID(derive(hallSpace,
		Key(string(name)), Key(place.City), Key(place.Municipality), Key(place.State)))
}

// UserPreferencesIDFor returns the id of the subject's preferences.
func UserPreferencesIDFor(subject Subject) UserPreferencesID {
	return UserPreferencesID(derive(userSpace, string(subject)))
}

// NewEventID returns an id for a dance event that is made by hand.
func NewEventID() EventID {
	return EventID(uuid.Must(uuid.NewV7()).String())
}

// EventIDFor returns the id of a dance event that comes from a listing. start is
// empty when it is not known. n numbers the dances that are alike in all else,
// from 1. The id stays when the dance event is changed later, and a deleted one
// keeps it: should the listing have it again, that is the next n.
func EventIDFor(date Date, start Clock, band BandID, hall DanceHallID, n int) EventID {
	return EventID(derive(eventSpace,
		string(date), string(start), string(band), string(hall), strconv.Itoa(n)))
}

// The name spaces of derived ids. They never change.
var (
	bandSpace  = space("band")
	hallSpace  = space("dance-hall")
	eventSpace = space("event")
	userSpace  = space("user-preferences")
)

func space(kind string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/dancefinder/eventsourcing/"+kind))
}

// derive returns the UUIDv5 of parts, which contain no control characters.
func derive(space uuid.UUID, parts ...string) string {
	return uuid.NewSHA1(space, []byte(strings.Join(parts, "\x1f"))).String()
}

// parseID returns id in lower case if it is a UUID in the usual form.
func parseID[ID ~string](field string, id ID) (ID, error) {
	if id == "" {
		return "", invalid(field, "must not be empty")
	}
	parsed, err := uuid.Parse(string(id))
	if err != nil || len(id) != len(parsed.String()) {
		return "", invalid(field, "%.60q is not an id", string(id))
	}
	return ID(parsed.String()), nil
}
