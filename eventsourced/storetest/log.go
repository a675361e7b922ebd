package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func logOrder(t *testing.T, store eventsourced.LogStore) {
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.Zero(t, head)
	before := eventsourced.Position(time.Now().Add(-time.Minute).UnixMicro())
	var last eventsourced.Position
	for i := range 50 {
		position := appendTo(t, store, stream(fmt.Sprint(i%7)), "x", "y")
		require.Greater(t, position, last+1, "two events, two positions")
		require.Greater(t, position, before, "positions are microseconds")
		last = position
		head, err := store.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, position, head)
	}
	requireOrdered(t, wholeLog(t, store), 100)
	count, err := store.CountLog(t.Context(), eventsourced.LogQuery{})
	require.NoError(t, err)
	require.EqualValues(t, 100, count)
}

// requireOrdered fails unless positions ascend and versions have no gap.
func requireOrdered(t *testing.T, log []eventsourced.Recorded, want int) {
	t.Helper()
	require.Len(t, log, want)
	versions := map[eventsourced.Stream]eventsourced.Version{}
	var last eventsourced.Position
	for _, event := range log {
		require.Greater(t, event.Position, last)
		last = event.Position
		versions[event.Stream]++
		require.Equal(t, versions[event.Stream], event.Version, "versions of %s", event.Stream)
	}
}

func writers(t *testing.T, store eventsourced.LogStore) {
	const workers, appends = 8, 25
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for range appends {
				events, err := Registry().Encode(t.Context(), &Noted{}, &Noted{})
				if err == nil {
					_, err = store.Append(t.Context(), stream(fmt.Sprint(w%4)), eventsourced.Any, events)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	// A reader follows and must see every event in order, and none too late.
	var seen []eventsourced.Recorded
	for deadline := time.Now().Add(time.Minute); len(seen) < 2*workers*appends; {
		require.True(t, time.Now().Before(deadline), "%d events after a minute", len(seen))
		var after eventsourced.Position
		if len(seen) > 0 {
			after = seen[len(seen)-1].Position
		}
		seen = append(seen, collect(t, store.ReadLog(t.Context(), eventsourced.LogQuery{After: after, Limit: 17}))...)
	}
	group.Wait()
	require.Equal(t, wholeLog(t, store), seen)
	requireOrdered(t, seen, 2*workers*appends)
}

func earlyStop(t *testing.T, store eventsourced.LogStore) {
	appendTo(t, store, stream("a"), "1", "2", "3")
	for range 100 { // a connection lost each time would run out
		for event, err := range store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
			require.NoError(t, err)
			require.EqualValues(t, 1, event.Version)
			break
		}
	}
}

func listeners(t *testing.T, store eventsourced.LogStore) {
	ctx, cancel := context.WithCancel(t.Context())
	one, two := store.Listen(ctx), store.Listen(t.Context())
	appendTo(t, store, stream("a"), "1")
	for _, listener := range []<-chan struct{}{one, two} {
		select {
		case <-listener:
		case <-time.After(10 * time.Second):
			require.Fail(t, "no wake-up after an append")
		}
	}
	cancel()
	require.Eventually(t, func() bool {
		select {
		case _, open := <-one:
			return !open
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond, "the channel is closed")
	appendTo(t, store, stream("a"), "2")
}

func endedContext(t *testing.T, store eventsourced.LogStore) {
	appendTo(t, store, stream("a"), "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.Append(ctx, stream("a"), eventsourced.Any, encode(t.Context(), t, "2"))
	require.ErrorIs(t, err, context.Canceled)
	_, err = store.Head(ctx)
	require.ErrorIs(t, err, context.Canceled)
	var failed []error
	for _, err := range store.ReadLog(ctx, eventsourced.LogQuery{}) {
		failed = append(failed, err)
	}
	_, err = store.CountLog(ctx, eventsourced.LogQuery{})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, failed, 1, "one error and the end")
	require.ErrorIs(t, failed[0], context.Canceled)
	require.Len(t, wholeLog(t, store), 1)
}
