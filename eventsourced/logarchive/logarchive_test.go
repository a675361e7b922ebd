package logarchive_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
)

func TestWhatIsWrittenIsReadByEveryQuery(t *testing.T) {
	t.Parallel()
	r, dir := random(t), t.TempDir()
	events := randomEvents(r, 2_500)
	segments := written(t, dir, events, 900)
	require.Len(t, segments, 3)
	reader := logarchive.NewReader(os.DirFS(dir))
	all, err := collect(reader.Read(t.Context(), logID, segments, eventsourced.LogQuery{}))
	require.NoError(t, err)
	require.Equal(t, events, all)
	for range 60 {
		query := randomQuery(r, events)
		var want []eventsourced.Recorded
		for _, event := range events {
			if query.Selects(event) {
				want = append(want, event)
			}
		}
		indexed := eventsourced.LogQuery{After: query.After, UpTo: query.UpTo, Names: query.Names}
		if query.Backwards {
			slices.Reverse(want)
		}
		if query.Limit > 0 && len(want) > query.Limit {
			want = want[:query.Limit]
		}
		got, err := collect(reader.Read(t.Context(), logID, segments, query))
		require.NoError(t, err)
		require.Equal(t, want, got, "%+v", query)
		n, err := reader.Count(t.Context(), logID, segments, query)
		require.NoError(t, err)
		require.EqualValues(t, len(want), n, "%+v", query)
		exact, err := reader.Count(t.Context(), logID, segments, indexed)
		require.NoError(t, err)
		about, err := reader.Estimate(t.Context(), logID, segments, indexed)
		require.NoError(t, err)
		require.InDelta(t, exact, about, 1024, "two blocks are all that it may be wrong by")
	}
}

func randomQuery(r *rand.Rand, events []eventsourced.Recorded) (q eventsourced.LogQuery) {
	some := func() eventsourced.Recorded { return events[r.IntN(len(events))] }
	set := func(f func()) {
		if r.IntN(4) == 0 {
			f()
		}
	}
	set(func() { q.After = some().Position - eventsourced.Position(r.IntN(2)) })
	set(func() { q.UpTo = some().Position })
	set(func() { q.Names = []string{some().Name, "Rare", "Rare", "Unknown"} })
	set(func() {
		q.Streams = []eventsourced.Stream{some().Stream, some().Stream, {AggregateName: "test.Note", AggregateID: "unknown"}}
	})
	set(func() { q.AggregateName = some().Stream.AggregateName })
	set(func() { q.Since = some().Time })
	set(func() { q.Until = some().Time.Add(time.Second) })
	set(func() { q.Correlation = "3" })
	set(func() { q.Limit = 1 + r.IntN(700) })
	q.Backwards = r.IntN(2) == 0
	return q
}

// A damaged file is an error, or as good as it was where it is read: never fewer events or others.
func TestDamageIsNeverFewerEvents(t *testing.T) {
	t.Parallel()
	r, dir := random(t), t.TempDir()
	events := randomEvents(r, 600)
	segments := written(t, dir, events, 600)
	whole, err := os.ReadFile(filepath.Join(dir, segments[0].File))
	require.NoError(t, err)
	wanted := map[eventsourced.Stream][]eventsourced.Recorded{{}: events}
	for _, event := range events {
		wanted[event.Stream] = append(wanted[event.Stream], event)
	}
	check := func(what string, data []byte) {
		files := fstest.MapFS{segments[0].File: {Data: data}}
		require.Error(t, logarchive.Check(t.Context(), files, logID, segments[0]), what)
		reader := logarchive.NewReader(files)
		for stream, want := range wanted {
			query := eventsourced.LogQuery{}
			if stream != (eventsourced.Stream{}) {
				query.Streams = []eventsourced.Stream{stream}
			}
			got, err := collect(reader.Read(t.Context(), logID, segments, query))
			if err == nil {
				require.Equal(t, want, got, what)
				continue
			}
			require.True(t, errors.Is(err, logarchive.ErrCorrupt) || errors.Is(err, logarchive.ErrNewer), "%s: %v", what, err)
			require.ErrorContains(t, err, segments[0].File)
		}
	}
	for range 60 {
		at := r.IntN(len(whole))
		damaged := slices.Clone(whole)
		damaged[at] ^= 1 << r.IntN(8)
		check(fmt.Sprint("a bit flipped at ", at), damaged)
	}
	for range 20 {
		check("cut off", whole[:r.IntN(len(whole))])
	}
	check("empty", nil)
	check("longer", append(slices.Clone(whole), whole[:100]...))
}

func TestFilesThatAreNotTheLogsAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	events := randomEvents(random(t), 20)
	segments := written(t, dir, events, 10)
	read := func(files fs.FS, log string, s ...logarchive.Segment) error {
		_, err := collect(logarchive.NewReader(files).Read(t.Context(), log, s, eventsourced.LogQuery{}))
		return err
	}
	t.Run("of another log", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, read(os.DirFS(dir), "other", segments...), logarchive.ErrOtherLog)
		_, err := logarchive.OpenDir("", "")
		require.ErrorIs(t, err, eventsourced.ErrInvalid)
		_, err = logarchive.OpenDir(dir, "other")
		require.ErrorIs(t, err, logarchive.ErrOtherLog)
		require.ErrorContains(t, err, "manifest.json")
	})
	t.Run("of another part of it", func(t *testing.T) {
		t.Parallel()
		wrong := segments[0]
		wrong.File = segments[1].File
		require.ErrorIs(t, read(os.DirFS(dir), logID, wrong), logarchive.ErrOtherLog)
	})
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		err := read(os.DirFS(t.TempDir()), logID, segments...)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorContains(t, err, segments[0].File)
	})
	t.Run("of a newer program", func(t *testing.T) {
		t.Parallel()
		data, err := os.ReadFile(filepath.Join(dir, segments[0].File))
		require.NoError(t, err)
		binary.BigEndian.PutUint32(data[len(data)-12:], logarchive.Format+1)
		require.ErrorIs(t, read(fstest.MapFS{segments[0].File: {Data: data}}, logID, segments[0]), logarchive.ErrNewer)
		_, err = logarchive.ReadManifest(fstest.MapFS{"manifest.json": {Data: []byte(`{"format": 2, "segments": "elsewhere"}`)}})
		require.ErrorIs(t, err, logarchive.ErrNewer)
	})
	t.Run("that can't be read at any place", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, read(sequential{os.DirFS(dir)}, logID, segments...), logarchive.ErrNoRandomAccess)
	})
	t.Run("whose manifest is none", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"", "{}", `{"format": 1, "log": "x", "segments": [{"file": "../x", "first": 1, "last": 2, "events": 1}]}`} {
			_, err := logarchive.ReadManifest(fstest.MapFS{"manifest.json": {Data: []byte(text)}})
			require.ErrorIs(t, err, logarchive.ErrCorrupt, text)
		}
	})
}

// sequential has files that are read from their beginning only.
type sequential struct{ fs.FS }

func (s sequential) Open(name string) (fs.File, error) {
	file, err := s.FS.Open(name)
	return struct{ fs.File }{file}, err
}

func TestWhatWasNotFinishedLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	events := randomEvents(random(t), 2_000)
	d, err := logarchive.OpenDir(dir, logID)
	require.NoError(t, err)
	names := func() (all []string) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, entry := range entries {
			all = append(all, entry.Name())
		}
		return all
	}
	limits := logarchive.Limits{Events: 10_000, Bytes: 1 << 30}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = d.Write(ctx, func(yield func(eventsourced.Recorded, error) bool) {
		for i, event := range events {
			if i == 1_000 {
				cancel()
			}
			if !yield(event, nil) {
				return
			}
		}
	}, limits)
	require.ErrorIs(t, err, context.Canceled)
	_, err = d.Write(t.Context(), func(yield func(eventsourced.Recorded, error) bool) {
		_ = yield(events[0], nil) && yield(eventsourced.Recorded{}, io.ErrUnexpectedEOF)
	}, limits)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = d.Write(t.Context(), sequence([]eventsourced.Recorded{events[1], events[0]}), limits)
	require.ErrorIs(t, err, eventsourced.ErrInvalid, "positions that don't ascend")
	none, err := d.Write(t.Context(), sequence(nil), limits)
	require.NoError(t, err)
	require.Zero(t, none)
	require.Empty(t, names())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "segment-7.tmp"), []byte("killed"), 0o600))
	d, err = logarchive.OpenDir(dir, logID)
	require.NoError(t, err)
	require.Empty(t, names(), "what a killed writer has left is removed")
	s, err := d.Write(t.Context(), sequence(events), limits)
	require.NoError(t, err)
	require.NoError(t, d.Keep([]logarchive.Segment{s}))
	require.Equal(t, []string{"manifest.json", s.File}, names())
	m, err := logarchive.ReadManifest(os.DirFS(dir))
	require.NoError(t, err)
	require.Equal(t, logarchive.Manifest{Format: logarchive.Format, Log: logID, Segments: []logarchive.Segment{s}}, m)
	require.NoError(t, logarchive.Check(t.Context(), os.DirFS(dir), logID, m.Segments[0]))
}

func TestSegmentsEndAtTheirLimits(t *testing.T) {
	t.Parallel()
	events := randomEvents(random(t), 3_000)
	d, err := logarchive.OpenDir(t.TempDir(), logID)
	require.NoError(t, err)
	s, err := d.Write(t.Context(), sequence(events), logarchive.Limits{Events: 700, Bytes: 1 << 30})
	require.NoError(t, err)
	require.EqualValues(t, 700, s.Events)
	require.Equal(t, events[699].Position, s.Last)
	s, err = d.Write(t.Context(), sequence(events), logarchive.Limits{Events: 700, Bytes: 1})
	require.NoError(t, err)
	require.EqualValues(t, 1, s.Events)
}
