package eventsourced

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// LogQuery selects events of the log: those that all of its fields select. The zero value selects
// all of them. Every store reads by After, UpTo, Names and Limit; one that can't read by one of
// the other fields returns [ErrUnsupported] for a query that has it.
type LogQuery struct {
	After Position // events with a higher position
	UpTo  Position // and not above this one; 0 is no limit

	Names         []string // of these names only; empty is all
	Streams       []Stream // of these streams only; empty is all
	AggregateName string   // of the streams of this kind only; empty is all

	// Since and Until select by when events happened, [EventData.Time]: not before Since, and before
	// Until. Zero is no bound. When events were appended is After and UpTo.
	//
	// This is not the order of the log, and stores need not have an index for it: pgstore looks at
	// all that the other fields select.
	Since, Until time.Time

	// Correlation selects events with this [MetaCorrelation]; empty is all. It is for people who look
	// into something, not for consumers: stores need not have an index for it. pgstore looks at all
	// that the other fields select, so bound them, by After for example, or with a context.
	Correlation string

	Backwards bool // the highest position first; with Limit, those are the last ones
	Limit     int  // at most so many; 0 is no limit
}

// Validate reports what no store accepts, all problems at once, each wrapping [ErrInvalid].
// Stores call it before they read.
func (q LogQuery) Validate() error {
	var problems []error
	if q.Limit < 0 {
		problems = append(problems, fmt.Errorf("%w: Limit is %d", ErrInvalid, q.Limit))
	}
	check := func(field string, values ...string) {
		if slices.ContainsFunc(values, func(s string) bool { return !utf8.ValidString(s) || strings.ContainsRune(s, 0) }) {
			problems = append(problems, fmt.Errorf("%w: %s has a NUL or is not UTF-8", ErrInvalid, field))
		}
	}
	check("Names", q.Names...)
	for _, stream := range q.Streams {
		check("Streams", stream.AggregateName, stream.AggregateID)
	}
	check("AggregateName", q.AggregateName)
	check("Correlation", q.Correlation)
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("query of the log: %w", err)
	}
	return nil
}

// Selects tells whether an event is among those that q selects, whatever its Limit. It is
// the definition, for authors of stores.
func (q LogQuery) Selects(event Recorded) bool {
	return event.Position > q.After && (q.UpTo == 0 || event.Position <= q.UpTo) &&
		(len(q.Names) == 0 || slices.Contains(q.Names, event.Name)) &&
		(len(q.Streams) == 0 || slices.Contains(q.Streams, event.Stream)) &&
		(q.AggregateName == "" || q.AggregateName == event.Stream.AggregateName) &&
		(q.Since.IsZero() || !event.Time.Before(q.Since)) &&
		(q.Until.IsZero() || event.Time.Before(q.Until)) &&
		(q.Correlation == "" || event.Metadata[MetaCorrelation] == q.Correlation)
}
