package eventsourcedtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

type (
	// Noted is the event type that [TestStore] appends.
	Noted struct {
		eventsourced.BaseEvent
		Text string
	}
	// Unnoted is another one, that it filters out.
	Unnoted struct {
		eventsourced.BaseEvent
		Text string
	}
)

// Registry returns the registry that stores under test are made with.
func Registry() *eventsourced.Registry {
	registry, err := eventsourced.NewRegistry(eventsourced.Type[Noted]("Noted"), eventsourced.Type[Unnoted]("Unnoted"))
	if err != nil {
		panic(err) // the types are right here
	}
	return registry
}

// TestStore proves that a store keeps the contract. open returns an empty store
// with [Registry]; it is called once for each subtest.
func TestStore(t *testing.T, open func(t *testing.T) eventsourced.LogStore) {
	for name, test := range map[string]func(*testing.T, eventsourced.LogStore){
		"appended events are read back as they were":            readBack,
		"an event's time is kept to the microsecond":            times,
		"a stream is as expected or the append is a conflict":   expectations,
		"an append that is repeated is stored once":             idempotence,
		"an event id is never used twice":                       duplicates,
		"invalid input is refused and nothing is stored":        refusals,
		"the log is read in the order of commits":               logOrder,
		"the log is read by name, range and limit":              queries,
		"the log is read up to each bound and no further":       ranges,
		"writers at once leave no gap and no double":            writers,
		"one of many writers wins each version":                 races,
		"a reader may stop early":                               earlyStop,
		"listeners are told of appends until their context end": listeners,
		"an ended context is an error":                          endedContext,
		"the newest snapshot is kept":                           snapshots,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func stream(id string) eventsourced.Stream {
	return eventsourced.Stream{AggregateName: "test.Note", AggregateID: id}
}

func encode(ctx context.Context, t *testing.T, texts ...string) []eventsourced.EventData {
	t.Helper()
	events := make([]eventsourced.Event, len(texts))
	for i, text := range texts {
		events[i] = &Noted{Text: text, BaseEvent: eventsourced.BaseEvent{EventTime: time.UnixMicro(1_700_000_000_000_000 + int64(i)).UTC()}}
	}
	encoded, err := Registry().Encode(ctx, events...)
	require.NoError(t, err)
	return encoded
}

func appendTo(t *testing.T, store eventsourced.LogStore, s eventsourced.Stream, texts ...string) eventsourced.Position {
	t.Helper()
	position, err := store.Append(t.Context(), s, eventsourced.Any, encode(t.Context(), t, texts...))
	require.NoError(t, err)
	return position
}

func collect(t *testing.T, events func(func(eventsourced.Recorded, error) bool)) []eventsourced.Recorded {
	t.Helper()
	var all []eventsourced.Recorded
	for event, err := range events {
		require.NoError(t, err)
		all = append(all, event)
	}
	return all
}

func wholeLog(t *testing.T, store eventsourced.LogStore) []eventsourced.Recorded {
	t.Helper()
	return collect(t, store.ReadLog(t.Context(), eventsourced.LogQuery{}))
}

func readBack(t *testing.T, store eventsourced.LogStore) {
	ctx := eventsourced.WithActor(eventsourced.WithCorrelation(t.Context(), "c-1"), "åsa")
	events := encode(ctx, t, "one", `"<quotes> & \ \u0000`, strings.Repeat("ö", 1000))
	position, err := store.Append(ctx, stream("ä/1"), eventsourced.NoStream, events)
	require.NoError(t, err)

	got := collect(t, store.ReadStream(ctx, stream("ä/1"), 0))
	require.Len(t, got, len(events))
	for i, recorded := range got {
		require.Equal(t, events[i], recorded.EventData)
		require.Equal(t, stream("ä/1"), recorded.Stream)
		require.Equal(t, eventsourced.Version(i+1), recorded.Version)
	}
	require.Equal(t, position, got[2].Position)
	require.Equal(t, eventsourced.Metadata{"correlation_id": "c-1", "actor": "åsa"}, got[0].Metadata)
	require.Equal(t, got, wholeLog(t, store))

	require.Equal(t, got[1:], collect(t, store.ReadStream(ctx, stream("ä/1"), 1)))
	require.Empty(t, collect(t, store.ReadStream(ctx, stream("ä/1"), 3)))
	require.Empty(t, collect(t, store.ReadStream(ctx, stream("nobody"), 0)))

	event, err := store.Registry().Decode(got[0])
	require.NoError(t, err)
	require.Equal(t, "one", event.(*Noted).Text)
	require.Equal(t, "ä/1", event.AggregateID())
	require.Equal(t, events[0].Time, event.OccurredAt())
}

// times appends them one by one and all at once, as a store may have ways of its own for
// each.
func times(t *testing.T, store eventsourced.LogStore) {
	all := []time.Time{
		{}, // the zero time
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(0, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(1582, 10, 10, 12, 0, 0, 1000, time.UTC),
		time.Date(1677, 9, 21, 0, 12, 43, 0, time.UTC), // from here to 2262: nanoseconds in 64 bits
		time.Date(1707, 9, 22, 0, 12, 43, 145_224_000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 7, 4, 20, 30, 0, 123_456_789, time.FixedZone("east", 5*3600)),
		time.Date(2292, 4, 11, 0, 0, 0, 0, time.UTC),
		time.Date(5138, 11, 16, 9, 46, 40, 1000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
	}
	events := func() []eventsourced.EventData {
		encoded := encode(t.Context(), t, make([]string, len(all))...)
		for i, at := range all {
			encoded[i].Time = at
		}
		return encoded
	}
	requireTimes := func(id string) {
		got := collect(t, store.ReadStream(t.Context(), stream(id), 0))
		require.Len(t, got, len(all))
		for i, event := range got {
			require.Equal(t, all[i].UTC().Truncate(time.Microsecond), event.Time, "%s, %d", id, i)
		}
	}
	_, err := store.Append(t.Context(), stream("at once"), eventsourced.NoStream, events())
	require.NoError(t, err)
	requireTimes("at once")
	for i, event := range events() {
		for id, expected := range map[string]eventsourced.Expected{"any": eventsourced.Any, "expected": eventsourced.Revision(eventsourced.Version(i))} {
			event.ID = eventsourced.NewEventID()
			_, err := store.Append(t.Context(), stream(id), expected, []eventsourced.EventData{event})
			require.NoError(t, err)
		}
	}
	requireTimes("any")
	requireTimes("expected")
}

func expectations(t *testing.T, store eventsourced.LogStore) {
	appendTo(t, store, stream("two"), "1", "2")
	for _, c := range []struct {
		stream   string
		expected eventsourced.Expected
		actual   eventsourced.Version
		ok       bool
	}{
		{"none", eventsourced.StreamExists, 0, false},
		{"none", eventsourced.Revision(1), 0, false},
		{"two", eventsourced.NoStream, 2, false},
		{"two", eventsourced.Revision(1), 2, false},
		{"two", eventsourced.Revision(3), 2, false},
		{"two", eventsourced.Revision(2), 2, true},
		{"two", eventsourced.StreamExists, 3, true},
		{"two", eventsourced.Any, 4, true},
		{"new", eventsourced.NoStream, 0, true},
		{"newer", eventsourced.Any, 0, true},
		{"newest", eventsourced.Revision(0), 0, true},
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

func idempotence(t *testing.T, store eventsourced.LogStore) {
	events := encode(t.Context(), t, "1", "2")
	first, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, events)
	require.NoError(t, err)
	appendTo(t, store, stream("a"), "3")
	appendTo(t, store, stream("b"), "4")
	again, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, events)
	require.NoError(t, err, "the expectation held when the events were stored")
	require.Equal(t, first, again)
	require.Len(t, wholeLog(t, store), 4)
}

func duplicates(t *testing.T, store eventsourced.LogStore) {
	stored := encode(t.Context(), t, "1", "2")
	_, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, stored)
	require.NoError(t, err)
	fresh := encode(t.Context(), t, "3", "4")
	for name, attempt := range map[string]struct {
		stream string
		events []eventsourced.EventData
	}{
		"in another stream":    {"b", stored},
		"one known, one new":   {"a", []eventsourced.EventData{stored[0], fresh[0]}},
		"one new, one known":   {"a", []eventsourced.EventData{fresh[0], stored[1]}},
		"twice in one append":  {"a", []eventsourced.EventData{fresh[0], fresh[0]}},
		"known, with one more": {"a", append(stored[:2:2], fresh[0])},
	} {
		_, err := store.Append(t.Context(), stream(attempt.stream), eventsourced.Any, attempt.events)
		require.ErrorIs(t, err, eventsourced.ErrDuplicateID, name)
	}
	require.Len(t, wholeLog(t, store), 2)
}

func refusals(t *testing.T, store eventsourced.LogStore) {
	valid := func() []eventsourced.EventData { return encode(t.Context(), t, "x") }
	with := func(change func(*eventsourced.EventData)) []eventsourced.EventData {
		events := valid()
		change(&events[0])
		return events
	}
	long := strings.Repeat("x", eventsourced.MaxName+1)
	for name, attempt := range map[string]struct {
		stream eventsourced.Stream
		events []eventsourced.EventData
	}{
		"no events":                 {stream("a"), nil},
		"too many events":           {stream("a"), make([]eventsourced.EventData, eventsourced.MaxEvents+1)},
		"no aggregate name":         {eventsourced.Stream{AggregateID: "a"}, valid()},
		"no aggregate id":           {stream(" "), valid()},
		"a long id":                 {stream(long), valid()},
		"a long name":               {eventsourced.Stream{AggregateName: long, AggregateID: "a"}, valid()},
		"an id with a NUL":          {stream("a\x00"), valid()},
		"an id not in UTF-8":        {stream("a\xff"), valid()},
		"an event without id":       {stream("a"), with(func(e *eventsourced.EventData) { e.ID = eventsourced.EventID{} })},
		"no event name":             {stream("a"), with(func(e *eventsourced.EventData) { e.Name = "" })},
		"a long event name":         {stream("a"), with(func(e *eventsourced.EventData) { e.Name = long })},
		"no schema version":         {stream("a"), with(func(e *eventsourced.EventData) { e.SchemaVersion = 0 })},
		"a schema version too high": {stream("a"), with(func(e *eventsourced.EventData) { e.SchemaVersion = eventsourced.MaxSchemaVersion + 1 })},
		"metadata not in UTF-8":     {stream("a"), with(func(e *eventsourced.EventData) { e.Metadata = eventsourced.Metadata{"actor": "\xff"} })},
		"too much metadata": {stream("a"), with(func(e *eventsourced.EventData) {
			e.Metadata = eventsourced.Metadata{"actor": strings.Repeat("x", eventsourced.MaxMetadata)}
		})},
		"a time before the year 0":    {stream("a"), with(func(e *eventsourced.EventData) { e.Time = time.Date(-1, 12, 31, 23, 59, 59, 0, time.UTC) })},
		"a time after the year 9999":  {stream("a"), with(func(e *eventsourced.EventData) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		"a time that no year is for":  {stream("a"), with(func(e *eventsourced.EventData) { e.Time = time.Unix(1<<62, 0) })},
		"a time in the second of two": {stream("a"), append(valid(), with(func(e *eventsourced.EventData) { e.Time = time.Unix(-1<<62, 0) })...)},
		"a payload not JSON":          {stream("a"), with(func(e *eventsourced.EventData) { e.Payload = []byte("{") })},
		"no payload":                  {stream("a"), with(func(e *eventsourced.EventData) { e.Payload = nil })},
		"a large payload":             {stream("a"), with(func(e *eventsourced.EventData) { e.Payload = fmt.Appendf(nil, "%q", bytes.Repeat([]byte("x"), 2<<20)) })},
	} {
		_, err := store.Append(t.Context(), attempt.stream, eventsourced.Any, attempt.events)
		require.ErrorIs(t, err, eventsourced.ErrInvalid, name)
	}
	for _, events := range [][]eventsourced.EventData{valid(), append(valid(), valid()...)} {
		_, err := store.Append(t.Context(), stream("a"), eventsourced.StreamExists-1, events)
		require.ErrorIs(t, err, eventsourced.ErrInvalid, "what is expected of the stream")
	}
	require.Empty(t, wholeLog(t, store))
}

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
	count, err := store.CountLog(t.Context(), 0)
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

func races(t *testing.T, store eventsourced.LogStore) {
	const workers, versions = 50, 4
	for version := range versions {
		var group sync.WaitGroup
		results := make(chan error, workers)
		for range workers {
			events := encode(t.Context(), t, "x")
			group.Go(func() {
				_, err := store.Append(t.Context(), stream("a"), eventsourced.Revision(eventsourced.Version(version)), events)
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
	require.Len(t, failed, 1, "one error and the end")
	require.ErrorIs(t, failed[0], context.Canceled)
	require.Len(t, wholeLog(t, store), 1)
}
