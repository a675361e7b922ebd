package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// ReadStream implements [eventsourced.StreamReader].
func (s *Store) ReadStream(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version) iter.Seq2[eventsourced.Recorded, error] {
	return s.read(ctx, "read "+stream.String(), s.sql.readStream, stream.AggregateName, stream.AggregateID, int64(after))
}

// ReadLog implements [eventsourced.LogReader].
func (s *Store) ReadLog(ctx context.Context, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	upTo, limit := int64(query.UpTo), int64(query.Limit)
	if upTo == 0 {
		upTo = math.MaxInt64
	}
	if limit == 0 {
		limit = math.MaxInt64
	}
	if len(query.Names) == 0 {
		return s.read(ctx, "read the log", s.sql.readLog, int64(query.After), upTo, limit)
	}
	return s.read(ctx, "read the log", s.sql.readNames, int64(query.After), upTo, limit, query.Names)
}

// Head implements [eventsourced.LogReader].
func (s *Store) Head(ctx context.Context) (eventsourced.Position, error) {
	var head int64
	if err := s.pool.QueryRow(ctx, s.sql.head).Scan(&head); err != nil {
		return 0, fmt.Errorf("read the log's head: %w", translate(err))
	}
	return eventsourced.Position(head), nil
}

// CountLog implements [eventsourced.LogReader].
func (s *Store) CountLog(ctx context.Context, after eventsourced.Position) (int64, error) {
	var count int64
	if err := s.pool.QueryRow(ctx, s.sql.count, int64(after)).Scan(&count); err != nil {
		return 0, fmt.Errorf("count the log: %w", translate(err))
	}
	return count, nil
}

// LoadSnapshot implements [eventsourced.SnapshotStore].
func (s *Store) LoadSnapshot(ctx context.Context, stream eventsourced.Stream) (*eventsourced.Snapshot, error) {
	var snapshot eventsourced.Snapshot
	err := s.pool.QueryRow(ctx, s.sql.loadSnapshot, stream.AggregateName, stream.AggregateID).
		Scan((*int64)(&snapshot.Version), (*int64)(&snapshot.Position), &snapshot.SchemaVersion, &snapshot.State)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("load the snapshot of %s: %w", stream, translate(err))
	}
	return &snapshot, nil
}

// SaveSnapshot implements [eventsourced.SnapshotStore].
func (s *Store) SaveSnapshot(ctx context.Context, stream eventsourced.Stream, snapshot eventsourced.Snapshot) error {
	_, err := s.pool.Exec(ctx, s.sql.saveSnapshot, stream.AggregateName, stream.AggregateID,
		int64(snapshot.Version), int64(snapshot.Position), snapshot.SchemaVersion, snapshot.State)
	if err != nil {
		return fmt.Errorf("save the snapshot of %s: %w", stream, translate(err))
	}
	return nil
}

func (s *Store) read(ctx context.Context, what, sql string, arguments ...any) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		fail := func(err error) { yield(eventsourced.Recorded{}, fmt.Errorf("%s: %w", what, translate(err))) }
		rows, err := s.pool.Query(ctx, sql, arguments...)
		if err != nil {
			fail(err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			event, err := scanEvent(rows)
			if err != nil {
				fail(err)
				return
			}
			if !yield(event, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			fail(err)
		}
	}
}

// scanEvent reads one row of the columns above.
func scanEvent(rows pgx.Rows) (eventsourced.Recorded, error) {
	var (
		e        eventsourced.Recorded
		metadata []byte
	)
	err := rows.Scan((*int64)(&e.Position), (*[16]byte)(&e.ID), &e.Name, &e.Stream.AggregateName, &e.Stream.AggregateID,
		(*int64)(&e.Version), &e.SchemaVersion, &e.Time, &e.Payload, &metadata)
	if err == nil && metadata != nil {
		err = json.Unmarshal(metadata, &e.Metadata)
	}
	e.Time = e.Time.UTC()
	return e, err
}
