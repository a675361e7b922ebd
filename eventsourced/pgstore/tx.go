package pgstore

import (
	"context"
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
	return sequence("read "+stream.String(), func(yield func(eventsourced.Recorded) bool) error {
		if s.store.unusable != nil {
			return s.store.unusable
		}
		return s.store.readStream(ctx, s.tx, stream, after, yield)
	})
}
