package readviewui

import (
	"errors"
	"net/http"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// inspected is a log that can be looked into: that of package pgstore.
type inspected interface {
	Inspector(config pgstore.InspectorConfig) *pgstore.Inspector
	Appends() pgstore.AppendTotals
	LastFailure() (time.Time, error)
}

// inspectTimeout is for how long the server works on one question about the log.
const inspectTimeout = pgstore.DefaultInspectTimeout

// noLog is the answer to a question about a log that can't be looked into.
var noLog = problem{Status: http.StatusNotFound, Title: "This log can't be looked into", Text: "Its store is not package pgstore's."}

// tooLong makes a problem of an error if the log did not answer in time.
func tooLong(err error) error {
	if errors.Is(err, pgstore.ErrTooLong) {
		return problem{Status: http.StatusGatewayTimeout, Title: "The database took too long",
			Text: "What was asked for was given up after " + dur(inspectTimeout) + ", so that nothing waits for it. Narrow the question, or try again.", Back: "events"}
	}
	return err
}
