package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// ReadLog implements [eventsourced.LogReader].
func (s *Store) ReadLog(ctx context.Context, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	return sequence("read the log", func(yield func(eventsourced.Recorded) bool) error {
		if err := query.Validate(); err != nil {
			return err
		}
		return s.readLog(ctx, query, yield)
	})
}

// CountLog implements [eventsourced.LogReader].
func (s *Store) CountLog(ctx context.Context, query eventsourced.LogQuery) (n int64, err error) {
	if err = query.Validate(); err == nil {
		n, err = s.countLog(ctx, query)
	}
	if err != nil {
		return 0, fmt.Errorf("count the log: %w", translate(err))
	}
	return n, nil
}

// selector writes the SQL of a [eventsourced.LogQuery], in which an event is called e. Each way to go
// to the events has an index for its order, so that a page costs a page, whatever else lies in the log:
//
//	Streams      events_stream_key, by version, which is the order of positions within a stream
//	Names        events_name_idx
//	neither      events_pkey
//
// What else is asked for, filter looks at in what lies on that way.
type selector struct {
	query     eventsourced.LogQuery
	arguments []any  // $1 is After, $2 UpTo, $3 Limit
	filter    string // what is asked for beside the way
	direction string // of the order
	unordered bool   // for who counts: the first names may have as many as are wanted
}

func newSelector(query eventsourced.LogQuery) *selector {
	limit := int64(query.Limit)
	if limit == 0 {
		limit = math.MaxInt64
	}
	c := &selector{query: query, arguments: []any{int64(query.After), upTo(query), limit}}
	if query.Backwards {
		c.direction = " DESC"
	}
	return c
}

// argument adds one and returns its placeholder.
func (c *selector) argument(value any) string {
	c.arguments = append(c.arguments, value)
	return fmt.Sprint("$", len(c.arguments))
}

func (c *selector) and(condition string, value any) {
	c.filter += " AND " + strings.ReplaceAll(condition, "?", c.argument(value))
}

// An event's metadata. The server refuses to look into JSON with a NUL in it, which metadata may
// have; the value that it has here instead is of no matter.
const (
	meta = `(CASE WHEN strpos(e.metadata::text, '\u0000') = 0 THEN e.metadata
	ELSE replace(e.metadata::text, '\u0000', '\u0001')::json END) ->> `
	correlation = meta + `'` + eventsourced.MetaCorrelation + `'`
	causation   = meta + `'` + eventsourced.MetaCausation + `'`
)

// having is the condition that metadata have a value, ?, for a key. Most that lie on a way don't, and parsing them is what a search
// costs: none is parsed that does not have the value somewhere, or something that is written with a backslash.
func having(key string) string {
	return `(strpos(e.metadata::text, ?) > 0 OR strpos(e.metadata::text, chr(92)) > 0) AND ` + key + ` = ?`
}

// from returns the events' place: SQL from FROM on, in order, with the limit. The one that is named twice
// is there once.
func (c *selector) from() string {
	way, order := "e.tstamp > $1 AND e.tstamp <= $2", "e.tstamp"+c.direction
	wanted := ""
	names := slices.Compact(slices.Sorted(slices.Values(c.query.Names)))
	streams := slices.CompactFunc(slices.SortedFunc(slices.Values(c.query.Streams), compareStreams), func(a, b eventsourced.Stream) bool { return a == b })
	switch {
	case len(streams) > 0:
		aggregates, ids := make([]string, len(streams)), make([]string, len(streams))
		for i, stream := range streams {
			aggregates[i], ids[i] = stream.AggregateName, stream.AggregateID
		}
		wanted = fmt.Sprintf("unnest(%s::text[], %s::text[]) AS wanted (aggregate_name, aggregate_id)", c.argument(aggregates), c.argument(ids))
		way = "e.aggregate_name = wanted.aggregate_name AND e.aggregate_id = wanted.aggregate_id AND " + way
		order = "e.version" + c.direction
		if len(names) > 0 {
			c.and("e.name = ANY (?::text[])", names)
		}
	case len(names) > 0:
		// Rows are compared as the index does: with name = wanted the planner may walk the primary key and
		// throw away what has another name.
		name := "wanted.name"
		if len(names) == 1 {
			name = c.argument(names[0])
		} else {
			wanted = fmt.Sprintf("unnest(%s::text[]) AS wanted (name)", c.argument(names))
		}
		way = strings.ReplaceAll("(e.name, e.tstamp) > (?, $1) AND (e.name, e.tstamp) <= (?, $2)", "?", name)
		order = "e.name" + c.direction + ", e.tstamp" + c.direction
	}
	if c.query.AggregateName != "" {
		c.and("e.aggregate_name = ?", c.query.AggregateName)
	}
	if !c.query.Since.IsZero() {
		c.and("e.occurred_at >= ?", ceiling(c.query.Since))
	}
	if !c.query.Until.IsZero() {
		c.and("e.occurred_at < ?", ceiling(c.query.Until))
	}
	if c.query.Correlation != "" {
		c.and(having(correlation), c.query.Correlation)
	}
	if wanted == "" {
		return fmt.Sprintf("{events} e WHERE {whole} AND %s%s ORDER BY %s LIMIT $3", way, c.filter, order)
	}
	ordered := " ORDER BY hit.tstamp" + c.direction
	if c.unordered {
		ordered = ""
	}
	// A lateral for each, because the index holds each in order; a bare name = ANY would scan the whole log
	// or sort all that matches.
	return fmt.Sprintf(`%s CROSS JOIN LATERAL (
			SELECT e.tstamp FROM {events} e WHERE %s%s ORDER BY %s LIMIT $3
		) hit WHERE {whole}%s LIMIT $3`, wanted, way, c.filter, order, ordered)
}

// newFilter returns what a query asks for that is looked at in what lies on its way.
func newFilter(query eventsourced.LogQuery) string {
	c := newSelector(query)
	c.from()
	return c.filter
}

// selection returns the statement that reads a query's events.
func (s statements) selection(query eventsourced.LogQuery) (sql string, arguments []any) {
	return s.selecting("{columns}", query)
}

// listing returns the one that reads them without their payloads.
func (s statements) listing(query eventsourced.LogQuery) (sql string, arguments []any) {
	return s.selecting(listed, query)
}

// reach returns the statement that counts them, up to the limit, and tells the position of the last of those.
func (s statements) reach(query eventsourced.LogQuery) (sql string, arguments []any) {
	c := newSelector(query)
	from := c.from()
	column, last := "hit.tstamp", "max"
	if strings.HasPrefix(from, "{events}") {
		column = "e.tstamp"
	}
	if query.Backwards {
		last = "min"
	}
	return s.fill(fmt.Sprintf("SELECT count(*), coalesce(%s(at), 0) FROM (SELECT %s AS at FROM %s) reached", last, column, from)), c.planned()
}

// relatives returns the statement that reads position, id and cause of a query's events that share a
// correlation, or name one of the two as their cause.
func (s statements) relatives(query eventsourced.LogQuery, shared, cause string) (sql string, arguments []any) {
	c := newSelector(query)
	of := func(key, value string) string { return strings.ReplaceAll(having(key), "?", c.argument(value)) }
	c.filter = " AND (" + of(correlation, shared) + " OR " + of(causation, cause) + ")"
	return s.fill("SELECT e.tstamp, e.id, coalesce(" + causation + ", '') FROM " + c.from()), c.planned()
}

func (s statements) selecting(columns string, query eventsourced.LogQuery) (sql string, arguments []any) {
	c := newSelector(query)
	from := c.from()
	if strings.HasPrefix(from, "{events}") {
		sql = "SELECT " + columns + " FROM " + from
	} else {
		// OFFSET 0 keeps the planner from reading the whole table for a page.
		sql = "SELECT " + columns + " FROM (SELECT hit.tstamp AS at FROM " + from +
			") page CROSS JOIN LATERAL (SELECT * FROM {events} e WHERE e.tstamp = page.at OFFSET 0) event ORDER BY tstamp" + c.direction
	}
	return s.fill(sql), c.planned()
}

// counting returns the statement that counts them.
func (s statements) counting(query eventsourced.LogQuery) (sql string, arguments []any) {
	query.Backwards = false
	c := newSelector(query)
	c.unordered = true
	return s.fill("SELECT count(*) FROM (SELECT FROM " + c.from() + ") counted"), c.planned()
}

// planned returns the arguments. A statement with a filter is planned for each of its values: how
// frequent one is decides on the way, and a plan that is kept would not know.
func (c *selector) planned() []any {
	if c.filter == "" {
		return c.arguments
	}
	return append([]any{pgx.QueryExecModeCacheDescribe}, c.arguments...)
}

func compareStreams(a, b eventsourced.Stream) int {
	return cmp.Or(cmp.Compare(a.AggregateName, b.AggregateName), cmp.Compare(a.AggregateID, b.AggregateID))
}

// ceiling returns a bound in microseconds that has the same events on either side: theirs are whole.
func ceiling(t time.Time) time.Time {
	if whole := t.Truncate(time.Microsecond); !whole.Equal(t) {
		return whole.Add(time.Microsecond)
	}
	return t
}
