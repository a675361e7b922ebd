package pgstore_test

import (
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

func TestArchiveIsRefused(t *testing.T) {
	t.Parallel()
	l := newOldLog(t, 200)
	before := l.events[l.old()/2].Position
	_, err := l.store.Archive(t.Context(), pgstore.ArchiveOptions{SegmentEvents: -1})
	require.ErrorIs(t, err, eventsourced.ErrInvalid)
	for _, field := range []string{"Before", "Dir", "SegmentEvents"} {
		require.ErrorContains(t, err, field)
	}
	_, err = l.store.Archive(t.Context(), pgstore.ArchiveOptions{Before: time.Now().Add(-time.Hour), Dir: l.dir})
	require.ErrorIs(t, err, pgstore.ErrTooRecent)
	bare := l.open(pgstore.Config{})
	_, err = bare.Archive(t.Context(), pgstore.ArchiveOptions{Before: before.Time(), Dir: l.dir})
	require.ErrorIs(t, err, pgstore.ErrArchived)
	_, err = l.store.Archive(t.Context(), pgstore.ArchiveOptions{Before: before.Time(), Dir: t.TempDir()})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "Config.Archive must be that directory")
	l.same(bare, 0)

	refused := 0
	_, err = l.archive(t.Context(), before, 1_000, func(p pgstore.ArchiveProgress) {
		if p.Step == pgstore.ArchiveCompares {
			refused++
			_, err := l.archive(t.Context(), before, 1_000, nil)
			require.ErrorIs(t, err, pgstore.ErrArchiving)
		}
	})
	require.NoError(t, err)
	require.Equal(t, 1, refused)
	_, err = l.store.Archive(t.Context(), pgstore.ArchiveOptions{Before: l.events[l.old()].Position.Time(), Dir: t.TempDir()})
	require.ErrorContains(t, err, "does not have what was archived before")
	l.same(l.store, 5)

	// A trigger leaves events where they are.
	_, err = l.db.Pool.Exec(t.Context(), `CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO events SELECT (OLD).*; RETURN OLD; END';
		CREATE TRIGGER stay AFTER DELETE ON events FOR EACH ROW EXECUTE FUNCTION stay()`)
	require.NoError(t, err)
	_, err = l.archive(t.Context(), l.events[l.old()].Position, 1_000, nil)
	require.ErrorContains(t, err, "nothing was deleted")
	l.same(l.store, 5)
}

func TestReadersWithoutTheArchive(t *testing.T) {
	t.Parallel()
	l := newOldLog(t, 200)
	_, err := l.archive(t.Context(), l.events[l.old()].Position, 100, nil)
	require.NoError(t, err)
	end, ctx := l.events[l.old()-1].Position, t.Context()
	fail := func(t *testing.T, store *pgstore.Store, target error) {
		t.Helper()
		for name, err := range map[string]error{
			"log":       last(store.ReadLog(ctx, eventsourced.LogQuery{})),
			"backwards": last(store.ReadLog(ctx, eventsourced.LogQuery{After: end - 1, Backwards: true})),
			"stream":    last(store.ReadStream(ctx, stream("long"), 0)),
			"count":     second(store.CountLog(ctx, eventsourced.LogQuery{After: end - 1, Streams: []eventsourced.Stream{stream("long")}})),
			"estimate":  second(store.EstimateEach(ctx, []eventsourced.LogQuery{{}})),
			"first":     second(store.FirstOfEach(ctx, []eventsourced.LogQuery{{After: end}, {}})),
		} {
			require.ErrorIs(t, err, target, name)
			require.ErrorContains(t, err, "segment-", name)
		}
		require.Len(t, read(t, store, eventsourced.LogQuery{After: end}), len(l.events)-l.old(), "the table has these")
		require.NoError(t, last(store.ReadStream(ctx, stream("long"), eventsourced.Version(len(l.events)/5-1))))
	}
	t.Run("are told where it is", func(t *testing.T) {
		store := l.open(pgstore.Config{})
		fail(t, store, pgstore.ErrArchived)
		require.ErrorContains(t, last(store.ReadLog(ctx, eventsourced.LogQuery{})), fmt.Sprint(end))
	})
	t.Run("are told which file is missing", func(t *testing.T) {
		fail(t, l.open(pgstore.Config{Archive: os.DirFS(t.TempDir())}), fs.ErrNotExist)
	})
	t.Run("are told of the archive of another log", func(t *testing.T) {
		other := newOldLog(t, 200)
		other.events = l.events
		_, err := other.db.Pool.Exec(ctx, `TRUNCATE events; INSERT INTO events SELECT * FROM `+l.db.Schema+`.events; INSERT INTO log_archive SELECT * FROM `+l.db.Schema+`.log_archive`)
		require.NoError(t, err)
		fail(t, other.open(pgstore.Config{Archive: os.DirFS(l.dir)}), logarchive.ErrOtherLog)
	})
	t.Run("are told of events that somebody has deleted", func(t *testing.T) {
		_, err := l.db.Pool.Exec(ctx, `UPDATE events SET version = version + 1 WHERE aggregate_id = 'long' AND version > 1`)
		require.NoError(t, err)
		require.ErrorContains(t, last(l.store.ReadStream(ctx, stream("long"), 0)), "neither the table events nor the archive")
	})
}

func last(events func(func(eventsourced.Recorded, error) bool)) (last error) {
	for _, err := range events {
		last = err
	}
	return last
}

func second[T any](_ T, err error) error { return err }

func TestInspectorOfAnArchivedLog(t *testing.T) {
	t.Parallel()
	l := newOldLog(t, 200)
	_, err := l.archive(t.Context(), l.events[l.old()].Position, 100, nil)
	require.NoError(t, err)
	inspector, end := l.store.Inspector(pgstore.InspectorConfig{}), l.events[l.old()-1].Position
	for _, want := range []eventsourced.Recorded{l.events[7], l.events[len(l.events)-1]} {
		event, err := inspector.Event(t.Context(), want.Position)
		require.NoError(t, err)
		require.Equal(t, want, *event)
	}
	event, err := inspector.Event(t.Context(), l.events[7].Position+1)
	require.NoError(t, err)
	require.Nil(t, event)
	found, err := inspector.Find(t.Context(), eventsourced.LogQuery{Limit: 1_000})
	require.NoError(t, err)
	require.Equal(t, end, found.Archived)
	require.Len(t, found.Events, len(l.events)-l.old())
	found, err = inspector.Find(t.Context(), eventsourced.LogQuery{After: end})
	require.NoError(t, err)
	require.Zero(t, found.Archived)
	_, more, err := inspector.Count(t.Context(), eventsourced.LogQuery{})
	require.NoError(t, err)
	require.True(t, more, "some were not looked at")
	_, err = inspector.EventByID(t.Context(), encode(t, "x")[0].ID)
	require.ErrorIs(t, err, pgstore.ErrNotSought)
	chain, err := inspector.Chain(t.Context(), &l.events[7])
	require.NoError(t, err)
	require.Equal(t, end, chain.Archived)
}
