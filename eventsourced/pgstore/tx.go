package pgstore

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Tx returns the store bound to the caller's transaction, for
// [eventsourced.Repository.UpdateTx]: it reads what the transaction sees, and appends as
// [Store.AppendTx] does, with all that is said there. It is used by one goroutine at a
// time, and not after the transaction. Tx panics without one.
func (s *Store) Tx(tx pgx.Tx) eventsourced.Store {
	if tx == nil {
		panic("pgstore.Store.Tx: the transaction is nil")
	}
	return &txStore{s, tx}
}

type txStore struct {
	store *Store
	tx    pgx.Tx
}

// Registry implements [eventsourced.Registered].
func (s *txStore) Registry() *eventsourced.Registry { return s.store.Registry() }

// Append implements [eventsourced.Appender].
func (s *txStore) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	return s.store.AppendTx(ctx, s.tx, stream, expected, events)
}

// ReadStream implements [eventsourced.StreamReader].
func (s *txStore) ReadStream(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		more := true
		err := s.each(ctx, stream, after, func(event eventsourced.Recorded) bool {
			more = yield(event, nil)
			return more
		})
		if err != nil && more {
			yield(eventsourced.Recorded{}, fmt.Errorf("read %s: %w", stream, translate(err)))
		}
	}
}

func (s *txStore) each(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version, yield func(eventsourced.Recorded) bool) error {
	if s.store.unusable != nil {
		return s.store.unusable
	}
	rows, err := s.tx.Query(ctx, s.store.sql.readStream, stream.AggregateName, stream.AggregateID, int64(after))
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
