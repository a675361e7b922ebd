package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// ReadStream implements [eventsourced.StreamReader].
func (s *Store) ReadStream(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version) iter.Seq2[eventsourced.Recorded, error] {
	return s.read(ctx, "read "+stream.String(), s.sql.readStream, stream.AggregateName, stream.AggregateID, int64(after))
}

// Head implements [eventsourced.LogReader].
func (s *Store) Head(ctx context.Context) (eventsourced.Position, error) {
	head, err := s.number(ctx, s.sql.head)
	if err != nil {
		return 0, fmt.Errorf("read the log's head: %w", err)
	}
	return eventsourced.Position(head), nil
}

// LogID implements [eventsourced.Identified]: a UUID that is made with the log's tables and is
// in every copy of them.
func (s *Store) LogID(ctx context.Context) (id string, err error) {
	err = s.pool.QueryRow(ctx, s.sql.identity).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("%w (somebody has emptied log_identity; INSERT INTO log_identity DEFAULT VALUES makes another one)", err)
	}
	if err != nil {
		return "", fmt.Errorf("read the log's identity: %w", translate(err))
	}
	return id, nil
}

// LoadSnapshot implements [eventsourced.SnapshotStore].
func (s *Store) LoadSnapshot(ctx context.Context, stream eventsourced.Stream) (*eventsourced.Snapshot, error) {
	var snapshot eventsourced.Snapshot
	err := again(ctx, s.pool, func() error {
		return s.pool.QueryRow(ctx, s.sql.loadSnapshot, stream.AggregateName, stream.AggregateID).
			Scan((*int64)(&snapshot.Version), (*int64)(&snapshot.Position), &snapshot.SchemaVersion, &snapshot.State)
	})
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
	err := again(ctx, s.pool, func() error {
		_, err := s.pool.Exec(ctx, s.sql.saveSnapshot, stream.AggregateName, stream.AggregateID,
			int64(snapshot.Version), int64(snapshot.Position), snapshot.SchemaVersion, snapshot.State)
		return err
	})
	if err != nil {
		return fmt.Errorf("save the snapshot of %s: %w", stream, translate(err))
	}
	return nil
}

func (s *Store) number(ctx context.Context, sql string, arguments ...any) (n int64, err error) {
	err = again(ctx, s.pool, func() error { return s.pool.QueryRow(ctx, sql, arguments...).Scan(&n) })
	return n, translate(err)
}

func (s *Store) read(ctx context.Context, what, sql string, arguments ...any) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		more, begun := true, false
		var broken error // after the first event: what was yielded is not yielded again
		err := again(ctx, s.pool, func() error {
			if s.unusable != nil {
				return s.unusable
			}
			rows, err := s.pool.Query(ctx, sql, arguments...)
			if err != nil {
				return err
			}
			defer rows.Close()
			d := decoder{}
			for more && rows.Next() {
				event, err := d.event(rows)
				if err != nil {
					return err
				}
				begun = true
				more = yield(event, nil)
			}
			if begun {
				broken = rows.Err()
				return nil
			}
			return rows.Err()
		})
		if err = cmp.Or(err, broken); err != nil && more {
			yield(eventsourced.Recorded{}, fmt.Errorf("%s: %w", what, translate(err)))
		}
	}
}
