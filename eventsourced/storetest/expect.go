package storetest

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func expectations(t *testing.T, store eventsourced.LogStore) {
	appendTo(t, store, stream("two"), "1", "2")
	for _, c := range []struct {
		stream   string
		expected eventsourced.Expected
		actual   eventsourced.Version
		ok       bool
	}{
		{"none", eventsourced.StreamExists, 0, false},
		{"none", eventsourced.AtVersion(1), 0, false},
		{"two", eventsourced.NoStream, 2, false},
		{"two", eventsourced.AtVersion(1), 2, false},
		{"two", eventsourced.AtVersion(3), 2, false},
		{"two", eventsourced.AtVersion(2), 2, true},
		{"two", eventsourced.StreamExists, 3, true},
		{"two", eventsourced.Any, 4, true},
		{"new", eventsourced.NoStream, 0, true},
		{"newer", eventsourced.Any, 0, true},
		{"newest", eventsourced.AtVersion(0), 0, true},
	} {
		before := len(wholeLog(t, store))
		_, err := store.Append(t.Context(), stream(c.stream), c.expected, encode(t.Context(), t, "x"))
		if c.ok {
			require.NoError(t, err, "%s expecting %s", c.stream, c.expected)
			continue
		}
		var conflict *eventsourced.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.ErrorIs(t, err, eventsourced.ErrConflict)
		require.Equal(t, eventsourced.ConflictError{Stream: stream(c.stream), Expected: c.expected, Actual: c.actual}, *conflict)
		require.Len(t, wholeLog(t, store), before)
	}
}

func races(t *testing.T, store eventsourced.LogStore) {
	const workers, versions = 50, 4
	for version := range versions {
		var group sync.WaitGroup
		results := make(chan error, workers)
		for range workers {
			events := encode(t.Context(), t, "x")
			group.Go(func() {
				_, err := store.Append(t.Context(), stream("a"), eventsourced.AtVersion(eventsourced.Version(version)), events)
				results <- err
			})
		}
		group.Wait()
		close(results)
		won := 0
		for err := range results {
			if err == nil {
				won++
			} else {
				require.ErrorIs(t, err, eventsourced.ErrConflict)
			}
		}
		require.Equal(t, 1, won, "version %d", version+1)
	}
	requireOrdered(t, wholeLog(t, store), versions)
}
