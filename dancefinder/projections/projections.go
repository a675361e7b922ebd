// Package projections makes the tables that DanceFinder reads from its domain
// events. There are four projections, each with its own tables and its own
// position; none reads another's, so each can be reset by itself:
//
//	band             band
//	dancehall        dance_hall
//	event            event
//	userpreferences  origin, ignored_band, ignored_dance_hall, ignored_city,
//	                 ignored_municipality, ignored_state, userpreferences_lookup, calendar_link
//
// A handler is called handle<Event> and may be called with any transaction, in a
// test with a [database/sql.Tx]. What it writes depends on nothing but its event
// and the projection's own tables, so that after a reset every column is again
// what it was.
package projections

import (
	"cmp"

	"github.com/google/uuid"

	"github.com/dancefinder/eventsourcing/readview"
)

// All returns the four projections.
func All() []readview.Projection {
	return []readview.Projection{band, danceHall, event, userPreferences}
}

// rowID returns the id of a row that no event has an id for. It is derived from
// what makes the row unique, so that a replay gives it the same one.
func rowID(table, subject, value string) uuid.UUID {
	return uuid.NewSHA1(rowIDs, []byte(table+"\x1f"+subject+"\x1f"+value))
}

// adoptedRowID is rowID, but for the row of an event that was adopted from a database
// from before there were events: that has its id.
func adoptedRowID(adopted, table, subject, value string) string {
	return cmp.Or(adopted, rowID(table, subject, value).String())
}

var rowIDs = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/dancefinder/eventsourcing/read-views"))
