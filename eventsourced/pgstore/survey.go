package pgstore

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// The first event of each of several queries, by the query's number: of all events, and of each name that one asks for.
const (
	firstSQL = `SELECT q.number, first.tstamp, first.occurred_at FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS q (number, after, up_to)
		CROSS JOIN LATERAL (SELECT e.tstamp, e.occurred_at FROM {events} e WHERE e.tstamp > q.after AND e.tstamp <= q.up_to
			ORDER BY e.tstamp LIMIT 1) first WHERE {whole}`
	firstNamedSQL = `SELECT q.number, first.tstamp, first.occurred_at FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[]) AS q (number, after, up_to, name)
		CROSS JOIN LATERAL (SELECT e.tstamp, e.occurred_at FROM {events} e WHERE (e.name, e.tstamp) > (q.name, q.after) AND (e.name, e.tstamp) <= (q.name, q.up_to)
			ORDER BY e.name, e.tstamp LIMIT 1) first WHERE {whole}`
)

// FirstOfEach implements [eventsourced.Surveyor], in one round trip as long as nothing that is asked for is archived.
func (s *Store) FirstOfEach(ctx context.Context, queries []eventsourced.LogQuery) ([]eventsourced.Recorded, error) {
	for _, query := range queries {
		if err := query.Validate(); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
	}
	var first []eventsourced.Recorded
	err := s.together(ctx, func(batch *pgx.Batch) {
		first = make([]eventsourced.Recorded, len(queries))
		s.sql.first(batch, queries, first)
	})
	if isArchived(err) {
		return s.firstOneByOne(ctx, queries)
	}
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", translate(err))
	}
	return first, nil
}

func (s *Store) firstOneByOne(ctx context.Context, queries []eventsourced.LogQuery) ([]eventsourced.Recorded, error) {
	first := make([]eventsourced.Recorded, len(queries))
	for i, query := range queries {
		for event, err := range s.ReadLog(ctx, eventsourced.LogQuery{After: query.After, UpTo: query.UpTo, Names: query.Names, Limit: 1}) {
			if err != nil {
				return nil, err
			}
			first[i].Position, first[i].Time = event.Position, event.Time
		}
	}
	return first, nil
}

// asked are what several queries ask for, or the names that they name.
type asked struct {
	number      []int
	after, upTo []int64
	name        []string
}

func (a *asked) add(number int, query eventsourced.LogQuery, name string) {
	a.number, a.name = append(a.number, number), append(a.name, name)
	a.after, a.upTo = append(a.after, int64(query.After)), append(a.upTo, upTo(query))
}

func (s statements) first(batch *pgx.Batch, queries []eventsourced.LogQuery, first []eventsourced.Recorded) {
	var all, named asked
	for i, query := range queries {
		if len(query.Names) == 0 {
			all.add(i, query, "")
		}
		for _, name := range query.Names {
			named.add(i, query, name)
		}
	}
	take := func(rows pgx.Rows) error {
		var number int
		var event eventsourced.Recorded
		_, err := pgx.ForEachRow(rows, []any{&number, (*int64)(&event.Position), &event.Time}, func() error {
			if it := &first[number]; it.Position == 0 || event.Position < it.Position {
				it.Position, it.Time = event.Position, event.Time.UTC()
			}
			return nil
		})
		return err
	}
	if len(all.number) > 0 {
		batch.Queue(s.fill(firstSQL), slices.Min(all.after), all.number, all.after, all.upTo).Query(take)
	}
	if len(named.number) > 0 {
		batch.Queue(s.fill(firstNamedSQL), slices.Min(named.after), named.number, named.after, named.upTo, named.name).Query(take)
	}
}

// EstimateEach implements [eventsourced.Surveyor] by what the server's planner thinks, as of its last ANALYZE, and
// what the indexes of archived segments say.
func (s *Store) EstimateEach(ctx context.Context, queries []eventsourced.LogQuery) ([]int64, error) {
	about, err := s.estimateEach(ctx, queries)
	if err != nil {
		return nil, fmt.Errorf("estimate the log: %w", translate(err))
	}
	return about, nil
}

func (s *Store) estimateEach(ctx context.Context, queries []eventsourced.LogQuery) ([]int64, error) {
	known, err := s.readArchived(ctx, s.pool)
	if err != nil {
		return nil, err
	}
	archived := make([]int64, len(queries))
	for i, query := range queries {
		if err := query.Validate(); err != nil {
			return nil, err
		}
		if query.After >= known.to {
			continue
		}
		if s.files == nil {
			return nil, known.missing()
		}
		if archived[i], err = s.files.Estimate(ctx, known.log, known.segments, query); err != nil {
			return nil, err
		}
	}
	var about []int64
	err = s.together(ctx, func(batch *pgx.Batch) {
		about = append([]int64(nil), archived...)
		for i, query := range queries {
			if query.After = max(query.After, known.to); query.UpTo == 0 || query.UpTo > known.to {
				s.sql.explain(batch, query, &about[i])
			}
		}
	})
	return about, err
}

// upTo returns the last position that a query asks for.
func upTo(query eventsourced.LogQuery) int64 {
	if query.UpTo == 0 {
		return math.MaxInt64
	}
	return int64(query.UpTo)
}

// explain adds to n how many events the planner thinks that the table has.
func (s statements) explain(batch *pgx.Batch, query eventsourced.LogQuery, n *int64) {
	condition, arguments := "", []any{int64(query.After), upTo(query)}
	if len(query.Names) > 0 {
		condition, arguments = " AND name = ANY ($3::text[])", append(arguments, query.Names)
	}
	var plans []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	sql := s.fill("EXPLAIN (FORMAT JSON) SELECT FROM {events} WHERE tstamp > $1::bigint AND tstamp <= $2::bigint" + condition)
	batch.Queue(sql, arguments...).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&plans); err != nil || len(plans) == 0 {
			return err
		}
		*n += int64(plans[0].Plan.Rows)
		return nil
	})
}

// together sends what fill queues, in one round trip.
func (s *Store) together(ctx context.Context, fill func(batch *pgx.Batch)) error {
	return again(ctx, s.pool, func() error {
		if s.unusable != nil {
			return s.unusable
		}
		batch := &pgx.Batch{}
		fill(batch)
		return s.pool.SendBatch(ctx, batch).Close()
	})
}
