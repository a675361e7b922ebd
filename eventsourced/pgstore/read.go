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
	return sequence("read "+stream.String(), func(yield func(eventsourced.Recorded) bool) error {
		begun := false
		var broken error // after the first event: what was yielded is not yielded again
		err := again(ctx, s.pool, func() error {
			if s.unusable != nil {
				return s.unusable
			}
			err := s.readStream(ctx, s.pool, stream, after, func(event eventsourced.Recorded) bool {
				begun = true
				return yield(event)
			})
			if begun {
				broken = err
				return nil
			}
			return err
		})
		return cmp.Or(err, broken)
	})
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

// sequence makes one of what passes events on. It ends with an error, which says of what.
func sequence(what string, pass func(yield func(eventsourced.Recorded) bool) error) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		more := true
		err := pass(func(event eventsourced.Recorded) bool {
			more = yield(event, nil)
			return more
		})
		if err != nil && more && !errors.Is(err, errStopped) {
			yield(eventsourced.Recorded{}, fmt.Errorf("%s: %w", what, translate(err)))
		}
	}
}

// rows passes on the events that a statement reads, and stops with errStopped.
func (s *Store) rows(ctx context.Context, sql string, arguments []any, yield func(eventsourced.Recorded) bool) error {
	begun := false
	var broken error // after the first event: what was yielded is not yielded again
	err := again(ctx, s.pool, func() error {
		if s.unusable != nil {
			return s.unusable
		}
		err := rowsOfEvents(ctx, s.pool, sql, arguments, func(event eventsourced.Recorded) bool {
			begun = true
			if !yield(event) {
				broken = errStopped
			}
			return broken == nil
		})
		if begun {
			broken = cmp.Or(broken, err)
			return nil
		}
		return err
	})
	return cmp.Or(err, broken)
}

// rowsOfEvents passes on the events that a statement reads, until yield wants no more.
func rowsOfEvents(ctx context.Context, db querier, sql string, arguments []any, yield func(eventsourced.Recorded) bool) error {
	rows, err := db.Query(ctx, sql, arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	d := decoder{}
	for rows.Next() {
		event, err := d.event(rows)
		if err != nil || !yield(event) {
			return err
		}
	}
	return rows.Err()
}
