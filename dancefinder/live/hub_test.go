package live_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	f := start(t, live.Config{})
	s := f.subscribe()
	id := f.create("2026-07-04")
	_, _, err := f.service.UpdateEvent(t.Context(), domain.UpdateEvent{EventID: id, EventDetails: f.details("2026-07-05")})
	require.NoError(t, err)
	_, _, err = f.service.Prefer(t.Context(), domain.IgnoreCity{Subject: "anna", City: "Mora"})
	require.NoError(t, err)
	_, _, err = f.service.RenameBand(t.Context(), domain.RenameBand{BandID: f.band, Name: "Lassez"})
	require.NoError(t, err)
	_, _, err = f.service.DeleteEvent(t.Context(), domain.DeleteEvent{EventID: id})
	require.NoError(t, err)
	_, at, err := f.service.DeleteDanceHall(t.Context(), domain.DeleteDanceHall{DanceHallID: f.hall})
	require.NoError(t, err)

	first, second := f.details("2026-07-04"), f.details("2026-07-05")
	want := []live.Change{
		{Kind: live.Created, EventID: string(id), After: &first},
		{Kind: live.Updated, EventID: string(id), Before: &first, After: &second},
		{Kind: live.Updated, BandID: string(f.band)},
		{Kind: live.Deleted, EventID: string(id), Before: &second},
		{Kind: live.Deleted, DanceHallID: string(f.hall)},
	}
	before := eventsourced.Position(0)
	for _, change := range want {
		got := next(t, s)
		require.Greater(t, got.Position, before, "in the order of the log")
		before, got.Position = got.Position, 0
		require.Equal(t, change, got, "of the catalogue, and of nobody's preferences")
	}
	require.Equal(t, at, before)
	f.projections.set(func() {
		require.Equal(t, map[string]bool{"band": true, "dancehall": true, "event": true}, f.projections.asked)
	})
}

func TestReadViewsComeFirst(t *testing.T) {
	t.Parallel()
	f := start(t, live.Config{})
	s := f.subscribe()
	f.projections.set(func() { f.projections.applied = f.last })
	id := f.create("2026-07-04")
	require.Eventually(t, func() bool { // the hub waits
		f.projections.mu.Lock()
		defer f.projections.mu.Unlock()
		return len(f.projections.asked) > 0
	}, 10*time.Second, time.Millisecond)
	require.Empty(t, s.Changes(), "told before a query would show it")
	f.projections.set(func() { f.projections.applied = f.last })
	require.Equal(t, string(id), next(t, s).EventID)

	t.Run("one that stands still is not waited for", func(t *testing.T) {
		f.projections.set(func() { f.projections.err = readview.ErrNotRunning })
		require.Equal(t, string(f.create("2026-07-05")), next(t, s).EventID)
	})
	t.Run("what can't be found out is tried again", func(t *testing.T) {
		f.projections.set(func() { f.projections.err = context.DeadlineExceeded })
		id := f.create("2026-07-06")
		asks := f.projections.asks.Load()
		require.Eventually(t, func() bool { return f.projections.asks.Load() > asks+2 }, 10*time.Second, time.Millisecond)
		require.Empty(t, s.Changes())
		f.projections.set(func() { f.projections.err, f.projections.applied = nil, everything })
		require.Equal(t, string(id), next(t, s).EventID)
	})
}

func TestRefreshed(t *testing.T) {
	t.Parallel()
	f := start(t, live.Config{})
	s := f.subscribe()
	status := func(name string, position eventsourced.Position, state consumer.State) {
		f.projections.set(func() {
			f.projections.states = []consumer.Status{{Name: "event", Position: 10, State: consumer.Live}, {Name: name, Position: position, State: state}}
		})
	}
	id := f.create("2026-07-04")
	require.Equal(t, string(id), next(t, s).EventID)
	seen := func() { // the hub has looked at the status, as it tells of what came later
		id := f.create("2026-07-05")
		require.Equal(t, string(id), next(t, s).EventID)
	}
	looked := func() { // twice, so that the second time began after the call
		before := f.projections.looks.Load()
		require.Eventually(t, func() bool { return f.projections.looks.Load() >= before+2 }, 10*time.Second, time.Millisecond)
	}
	status("band", 9, consumer.Live)
	looked()
	seen()
	status("band", 2, consumer.CatchingUp)
	require.Equal(t, live.Change{Kind: live.Refreshed}, next(t, s), "it was reset")
	status("band", 12, consumer.Live)
	require.Equal(t, live.Change{Kind: live.Refreshed}, next(t, s), "it is complete again")
	status("userpreferences", 1, consumer.CatchingUp)
	looked()
	seen()
	status("band", 12, consumer.Failed)
	looked()
	seen()
	status("band", 13, consumer.Live)
	require.Equal(t, live.Change{Kind: live.Refreshed}, next(t, s), "it gets on")
}

// A read view may be reset between the moment when a page is drawn and the hub's first look.
func TestRefreshedFromTheBeginning(t *testing.T) {
	t.Parallel()
	f := start(t, live.Config{})
	band := func(position eventsourced.Position, behind int64) {
		f.projections.set(func() {
			f.projections.states = []consumer.Status{{Name: "band", Position: position, Head: 9, Behind: behind, State: consumer.Live}}
		})
	}
	band(0, 3)
	s := f.subscribe()
	require.Equal(t, live.Change{Kind: live.Refreshed}, next(t, s), "it is empty")
	band(9, 0)
	require.Equal(t, live.Change{Kind: live.Refreshed}, next(t, s), "it is")
}

func TestSlow(t *testing.T) {
	t.Parallel()
	f := start(t, live.Config{Buffer: 3})
	slow, fast := f.subscribe(), f.subscribe()
	for range 5 {
		id := f.create("2026-07-04")
		require.Equal(t, string(id), next(t, fast).EventID, "others get everything")
	}
	got := 0
	for range slow.Changes() {
		got++
	}
	require.Equal(t, 3, got, "what was there can be taken, then it has ended")
	require.ErrorIs(t, slow.Err(), live.ErrSlow)
	require.NoError(t, fast.Err())
	require.Equal(t, 1, f.hub.Subscribers())
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	f := start(t, live.Config{MaxSubscribers: 4, MaxPerClient: 2})
	subscribe := func(client string) (*live.Subscription, error) { return f.hub.Subscribe(t.Context(), client) }
	one, err := subscribe("anna")
	require.NoError(t, err)
	_, err = subscribe("anna")
	require.NoError(t, err)
	_, err = subscribe("anna")
	require.ErrorIs(t, err, live.ErrTooManyOfClient)
	one.Close()
	one.Close()
	_, more := <-one.Changes()
	require.False(t, more)
	require.NoError(t, one.Err())
	_, err = subscribe("anna")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended, err := f.hub.Subscribe(ctx, "bo")
	require.NoError(t, err)
	_, err = subscribe("")
	require.NoError(t, err)
	_, err = subscribe("")
	require.ErrorIs(t, err, live.ErrTooMany)
	cancel()
	_, more = <-ended.Changes()
	require.False(t, more)
	require.ErrorIs(t, ended.Err(), context.Canceled)
	last, err := subscribe("carl")
	require.NoError(t, err)
	f.stop()
	_, more = <-last.Changes()
	require.False(t, more)
	require.ErrorIs(t, last.Err(), live.ErrStopped)
	_, err = subscribe("carl")
	require.ErrorIs(t, err, live.ErrStopped)
}

// Who subscribes while things happen is told of all that happens after the call,
// whether or not somebody else was there.
func TestNothingIsMissedFromTheBeginning(t *testing.T) {
	t.Parallel()
	f := start(t, live.Config{MaxSubscribers: 1000, Buffer: 1000})
	var going sync.WaitGroup
	var made atomic.Int64
	stop := make(chan struct{})
	going.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				f.create("2026-07-04")
				made.Add(1)
			}
		}
	})
	for range 200 {
		s := f.subscribe()
		id, _, err := f.service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: f.details("2026-07-05")})
		require.NoError(t, err)
		for next(t, s).EventID != string(id) {
			continue
		}
		s.Close()
	}
	close(stop)
	going.Wait()
	require.Positive(t, made.Load())
}
