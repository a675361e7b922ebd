package logarchive_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
)

func FuzzBlock(f *testing.F) {
	events := randomEvents(rand.New(rand.NewPCG(1, 1)), 5)
	f.Add(logarchive.EncodeBlock(events), int64(events[0].Position), 5)
	f.Add([]byte{1}, int64(1), 1)
	f.Fuzz(func(t *testing.T, data []byte, first int64, n int) {
		read, err := logarchive.DecodeBlock(data, eventsourced.Position(first), n)
		if err != nil {
			return
		}
		again, err := logarchive.DecodeBlock(logarchive.EncodeBlock(read), eventsourced.Position(first), n)
		require.NoError(t, err)
		require.Equal(t, read, again)
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"log":"x","first":5,"last":9,"events":2,"names":["a"],"blocks":[{"at":8,"size":9,"raw":9,"checksum":1,"first":5,"names":[2]}],"streams":{"at":17,"records":1}}`), int64(33))
	f.Fuzz(func(t *testing.T, data []byte, at int64) { _ = logarchive.DecodeIndex(data, at) })
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"log":"x","segments":[{"file":"a","first":1,"last":2,"events":2}]}`))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = logarchive.DecodeManifest(data) })
}

func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	segments := written(f, dir, randomEvents(rand.New(rand.NewPCG(1, 1)), 20), 20)
	data, err := os.ReadFile(filepath.Join(dir, segments[0].File))
	require.NoError(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := logarchive.NewReader(fstest.MapFS{segments[0].File: {Data: data}})
		for _, query := range []eventsourced.LogQuery{{}, {Streams: []eventsourced.Stream{{AggregateName: "test.Note", AggregateID: "1"}}}} {
			_, _ = collect(reader.Read(t.Context(), logID, segments, query))
		}
	})
}
