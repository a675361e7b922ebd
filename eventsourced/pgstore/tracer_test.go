package pgstore_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// begun notes what a tracer is told.
type begun struct {
	pgstore.NoTracer
	began int
	at    []eventsourced.Position
	errs  []error
}

func (s *begun) Appending(ctx context.Context, _ eventsourced.Stream, _ []eventsourced.EventData) (context.Context, func(eventsourced.Position, error)) {
	s.began++
	return eventsourced.WithTrace(ctx, eventsourced.Metadata{eventsourced.MetaTraceParent: "00-span"}), func(at eventsourced.Position, err error) {
		s.at, s.errs = append(s.at, at), append(s.errs, err)
	}
}

func TestTracerIsToldOfAppends(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations()))
	tracer := &begun{}
	store := pgstore.New(db.Pool, storetest.Registry(), pgstore.Config{Tracer: tracer})
	t.Cleanup(store.Close)
	first, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "one"))
	require.NoError(t, err)
	_, conflict := store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "two"))
	require.ErrorIs(t, conflict, eventsourced.ErrConflict)
	_, err = store.Append(t.Context(), stream("a"), eventsourced.Any, nil)
	require.ErrorIs(t, err, eventsourced.ErrInvalid)
	var second eventsourced.Position
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		second, err = store.AppendTx(t.Context(), tx, stream("b"), eventsourced.NoStream, encode(t, "three", "four"))
		return err
	}))
	require.Equal(t, 3, tracer.began, "but not of the one that is not valid")
	require.Equal(t, []eventsourced.Position{first, 0, second}, tracer.at)
	require.Equal(t, []error{nil, conflict, nil}, tracer.errs)
	n := 0
	for event, err := range store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
		require.NoError(t, err)
		require.Equal(t, "00-span", event.Metadata[eventsourced.MetaTraceParent])
		n++
	}
	require.Equal(t, 3, n)
}
