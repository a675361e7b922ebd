package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
)

// archived is the part of the log that is in files, as the database has it.
type archived struct {
	to       eventsourced.Position // all up to it is there, and nothing behind
	log      string                // its id
	segments []logarchive.Segment
}

// wholeSQL is a condition of every statement that reads the log's order above $1: the table has all of that. It is
// looked at once, in the statement's own snapshot, before any event: so it does not matter when, or by which process,
// events are archived, and a read pays no statement for it. What fails is a cast, see isArchived, of a text that is only made
// where there is something. Without an aggregate, as to plan one for each poll would cost more than the rest of it.
const wholeSQL = `(SELECT ('archived up to ' || last)::boolean FROM {log_archive} WHERE last > $1::bigint LIMIT 1) IS NULL`

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// archivedAbove returns what is archived, if there may be something above a position: the one that is known is
// good enough to tell, as the table says if it is not.
func (s *Store) archivedAbove(ctx context.Context, after eventsourced.Position) (*archived, error) {
	if known := s.archived.Load(); after >= known.to || known.to == 0 {
		return known, nil
	}
	return s.archivedNow(ctx)
}

// archivedNow asks the database.
func (s *Store) archivedNow(ctx context.Context) (now *archived, err error) {
	err = again(ctx, s.pool, func() error {
		now, err = s.readArchived(ctx, s.pool)
		return err
	})
	return now, err
}

// readArchived asks the database. A list that is known and has not changed is not read again.
func (s *Store) readArchived(ctx context.Context, db querier) (*archived, error) {
	now := &archived{}
	var n int
	known := s.archived.Load()
	if err := db.QueryRow(ctx, s.sql.archivedTo).Scan(&n, (*int64)(&now.to), &now.log); err != nil {
		return nil, err
	}
	if now.to == known.to && n == len(known.segments) && now.log == known.log {
		return known, nil
	}
	rows, err := db.Query(ctx, s.sql.archived)
	if err != nil {
		return nil, err
	}
	now.to = 0
	now.segments, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g logarchive.Segment, err error) {
		err = row.Scan((*int64)(&g.First), (*int64)(&g.Last), &g.Events, &g.Names, &g.File, &g.Bytes, &g.SHA256)
		now.to = g.Last
		return g, err
	})
	if err != nil {
		return nil, err
	}
	s.archived.Store(now)
	return now, nil
}

// missing is the error of a read that needs the archive and does not have it.
func (a *archived) missing() error {
	return fmt.Errorf("%w: those up to position %d, appended until %s, the last of them in %s", ErrArchived,
		a.to, a.to.Time().Format(time.RFC3339), a.segments[len(a.segments)-1].File)
}

// below yields the events that are in the archive, of which query selects some. The position of an event that the
// table has too does not matter.
func (s *Store) below(ctx context.Context, a *archived, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	if s.files == nil {
		return func(yield func(eventsourced.Recorded, error) bool) { yield(eventsourced.Recorded{}, a.missing()) }
	}
	if query.UpTo == 0 || query.UpTo > a.to {
		query.UpTo = a.to
	}
	return s.files.Read(ctx, a.log, a.segments, query)
}

// errStopped ends a read whose caller wants no more.
var errStopped = errors.New("no more is wanted")

// readLog passes a query's events on, from the archive and from the table.
func (s *Store) readLog(ctx context.Context, query eventsourced.LogQuery, yield func(eventsourced.Recorded) bool) error {
	counted := func(event eventsourced.Recorded) bool {
		if query.Limit--; query.Limit < 0 { // there is none
			query.Limit = 0
			return yield(event)
		}
		return yield(event) && query.Limit > 0
	}
	for {
		known, err := s.archivedAbove(ctx, query.After)
		if err != nil {
			return err
		}
		inFiles := query.After < known.to && known.to > 0
		if inFiles && !query.Backwards {
			if err := s.passOn(ctx, known, query, counted); err != nil {
				return err
			}
		}
		if query.UpTo == 0 || query.UpTo > known.to {
			above := query
			above.After = max(query.After, known.to)
			sql, arguments := s.sql.selection(above)
			err := s.rows(ctx, sql, arguments, counted)
			if isArchived(err) { // there is more than was known, and nothing was read of the table
				if err := s.moved(ctx, above.After, err); err != nil {
					return err
				}
				if !query.Backwards {
					query.After = above.After
				}
				continue
			}
			if err != nil {
				return err
			}
		}
		if inFiles && query.Backwards {
			return s.passOn(ctx, known, query, counted)
		}
		return nil
	}
}

// moved asks for what is archived, as a statement has failed that was to read above a position. It returns
// that failure if nothing there is.
func (s *Store) moved(ctx context.Context, after eventsourced.Position, failure error) error {
	now, err := s.archivedNow(ctx)
	if err == nil && now.to <= after {
		return failure
	}
	return err
}

// passOn passes on what is in the archive; errStopped when no more is wanted.
func (s *Store) passOn(ctx context.Context, known *archived, query eventsourced.LogQuery, yield func(eventsourced.Recorded) bool) error {
	for event, err := range s.below(ctx, known, query) {
		if err != nil {
			return err
		}
		if !yield(event) {
			return errStopped
		}
	}
	return nil
}

// countLog counts them.
func (s *Store) countLog(ctx context.Context, query eventsourced.LogQuery) (n int64, err error) {
	limit := int64(query.Limit)
	for {
		n = 0
		known, err := s.archivedAbove(ctx, query.After)
		if err != nil {
			return 0, err
		}
		if query.After < known.to && known.to > 0 {
			below := query
			if below.UpTo == 0 || below.UpTo > known.to {
				below.UpTo = known.to
			}
			if s.files == nil {
				return 0, known.missing()
			}
			if n, err = s.files.Count(ctx, known.log, known.segments, below); err != nil {
				return 0, err
			}
		}
		if limit > 0 && n >= limit || query.UpTo != 0 && query.UpTo <= known.to {
			return n, nil
		}
		above := query
		above.After = max(query.After, known.to)
		if limit > 0 {
			above.Limit = int(limit - n)
		}
		sql, arguments := s.sql.counting(above)
		more, err := s.number(ctx, sql, arguments...)
		if isArchived(err) {
			if err := s.moved(ctx, above.After, err); err != nil {
				return 0, err
			}
			continue
		}
		return n + more, err
	}
}

// readStream passes on the events of a stream. The table has the first, the last, and all that are not archived; the versions
// tell what is missing between.
func (s *Store) readStream(ctx context.Context, db querier, stream eventsourced.Stream, after eventsourced.Version, yield func(eventsourced.Recorded) bool) error {
	for whole := false; ; {
		known := s.archived.Load()
		var stopped error
		var last eventsourced.Position // of the event before, if it was read
		err := rowsOfEvents(ctx, db, s.sql.readStream, []any{stream.AggregateName, stream.AggregateID, int64(after)}, func(event eventsourced.Recorded) bool {
			if event.Version > after+1 && !whole {
				stopped = s.fill(ctx, known, gap{stream, &after, event.Version, last}, yield)
			}
			if stopped == nil {
				after, last = event.Version, event.Position
				if !yield(event) {
					stopped = errStopped
				}
			}
			return stopped == nil
		})
		if err != nil || !errors.Is(stopped, errGap) {
			return cmp.Or(err, stopped)
		}
		// What is known of the archive may be old. It is asked for when the connection is free again.
		now, err := s.readArchived(ctx, db)
		if err != nil {
			return err
		}
		if whole = now.to == 0; now == known && !whole {
			return stopped
		}
	}
}

// errGap tells that versions of a stream are nowhere.
var errGap = errors.New("neither the table events nor the archive has them")

// gap is what the table does not have of a stream.
type gap struct {
	stream eventsourced.Stream
	after  *eventsourced.Version // up to here it was read
	next   eventsourced.Version  // that the table has
	last   eventsourced.Position // of the event at after, 0 if it is not known
}

// fill passes on the events in a gap, which must be in the archive, and moves its beginning.
func (s *Store) fill(ctx context.Context, known *archived, g gap, yield func(eventsourced.Recorded) bool) error {
	if known.to > 0 {
		for event, err := range s.below(ctx, known, eventsourced.LogQuery{After: g.last, Streams: []eventsourced.Stream{g.stream}}) {
			switch {
			case err != nil:
				return err
			case event.Version <= *g.after:
				continue
			case event.Version == *g.after+1 && event.Version < g.next:
				*g.after = event.Version
				if !yield(event) {
					return errStopped
				}
			}
			if event.Version+1 >= g.next {
				break
			}
		}
	}
	if *g.after+1 < g.next {
		return fmt.Errorf("versions %d to %d of %s: %w", *g.after+1, g.next-1, g.stream, errGap)
	}
	return nil
}
