package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Found is what [Inspector.Find] has found.
type Found struct {
	Events []eventsourced.Recorded // in the order of the query, without their payloads
	More   bool                    // there are more, or may be, from Next on
	Next   eventsourced.Position   // After of the query that goes on, or UpTo if it is Backwards
	Cut    bool                    // it ended because it had looked at [InspectorConfig] Scan events, not because it had found Limit of them

	// Archived is up to where the log is archived, if what the query selects may be there: it was not looked at. 0 otherwise.
	Archived eventsourced.Position
}

// Find returns the events that a query selects, without their payloads: the first Limit, which is
// [DefaultFound] if it is 0 and [MaxFound] at most. What of a query has no index (AggregateName,
// Since, Until, Correlation, and Names together with Streams) it looks for among the first
// [InspectorConfig] Scan events that the rest of it selects. Errors: [eventsourced.ErrInvalid], [ErrTooLong].
func (i *Inspector) Find(ctx context.Context, query eventsourced.LogQuery) (found Found, err error) {
	const what = "look into the log"
	if err := query.Validate(); err != nil {
		return Found{}, fmt.Errorf("%s: %w", what, err)
	}
	limit := min(cmp.Or(query.Limit, DefaultFound), MaxFound)
	query.Limit = limit + 1
	err = i.search(ctx, what, func(ctx context.Context, tx inspection) error {
		query := query
		found = Found{Archived: tx.above(&query)}
		narrowed, err := i.narrow(ctx, tx, query)
		if err != nil {
			return err
		}
		sql, arguments := i.store.sql.listing(narrowed)
		if found.Events, err = collect(ctx, tx, sql, arguments...); err != nil {
			return err
		}
		switch {
		case len(found.Events) > limit:
			found.Events = found.Events[:limit]
			found.More, found.Next = true, found.Events[limit-1].Position
			if query.Backwards {
				found.Next--
			}
		case narrowed.After != query.After:
			found.More, found.Cut, found.Next = true, true, narrowed.After
		case narrowed.UpTo != query.UpTo:
			found.More, found.Cut, found.Next = true, true, narrowed.UpTo
		}
		if found.More && query.Backwards && found.Next <= 0 { // there is nothing down there, and 0 would be no bound
			found.More, found.Cut, found.Next = false, false, 0
		}
		return nil
	})
	return found, err
}

// Count returns how many events a query selects, up to its Limit, which is [DefaultScan] if it is 0, and
// whether there are more, or may be: it looks for them as [Inspector.Find] does. Errors:
// [eventsourced.ErrInvalid], [ErrTooLong].
func (i *Inspector) Count(ctx context.Context, query eventsourced.LogQuery) (n int64, more bool, err error) {
	const what = "count events"
	if err := query.Validate(); err != nil {
		return 0, false, fmt.Errorf("%s: %w", what, err)
	}
	limit := int64(cmp.Or(query.Limit, DefaultScan))
	query.Limit = int(min(limit, math.MaxInt-1)) + 1
	err = i.search(ctx, what, func(ctx context.Context, tx inspection) error {
		query := query
		archived := tx.above(&query)
		narrowed, err := i.narrow(ctx, tx, query)
		if err != nil {
			return err
		}
		sql, arguments := i.store.sql.counting(narrowed)
		more = narrowed.After != query.After || narrowed.UpTo != query.UpTo || archived > 0
		return tx.QueryRow(ctx, sql, arguments...).Scan(&n)
	})
	return min(n, limit), more || n > limit, err
}

// above has a query look at nothing that is archived. It returns up to where that is, if the query selects
// anything of it.
func (tx inspection) above(query *eventsourced.LogQuery) eventsourced.Position {
	if query.After >= tx.archived || tx.archived == 0 {
		return 0
	}
	query.After = tx.archived
	return tx.archived
}

// narrow returns the query with bounds between which no more than Scan events have to be looked at.
func (i *Inspector) narrow(ctx context.Context, tx inspection, query eventsourced.LogQuery) (eventsourced.LogQuery, error) {
	way := query
	way.AggregateName, way.Correlation, way.Since, way.Until = "", "", time.Time{}, time.Time{}
	if len(way.Streams) > 0 {
		way.Names = nil
	}
	if newFilter(query) == "" {
		return query, nil
	}
	last, cut, err := i.reach(ctx, tx, way)
	switch {
	case err != nil || !cut:
	case query.Backwards:
		query.After = last - 1
	default:
		query.UpTo = last
	}
	return query, err
}

// reach returns the position of the last of Scan events that way selects, and whether there are
// as many.
func (i *Inspector) reach(ctx context.Context, tx inspection, way eventsourced.LogQuery) (last eventsourced.Position, cut bool, err error) {
	way.Limit = tx.scan
	sql, arguments := i.store.sql.reach(way)
	var n int
	err = tx.QueryRow(ctx, sql, arguments...).Scan(&n, (*int64)(&last))
	return last, n == tx.scan, err
}
