package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

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

	decoded, err := store.Registry().Decode(ctx, got[0])
	require.NoError(t, err)
	require.Len(t, decoded, 1)
	event := decoded[0]
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
		for id, expected := range map[string]eventsourced.Expected{"any": eventsourced.Any, "expected": eventsourced.AtVersion(eventsourced.Version(i))} {
			event.ID = eventsourced.NewEventID()
			_, err := store.Append(t.Context(), stream(id), expected, []eventsourced.EventData{event})
			require.NoError(t, err)
		}
	}
	requireTimes("any")
	requireTimes("expected")
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

// tags appends them in each way that a store may have: one event, several, to a new stream, to any.
func tags(t *testing.T, store eventsourced.LogStore) {
	all := [][]string{
		nil, {"course:7"}, {"b", "a", "å ö", `"`, `\`, `{}`, `a,b`, "NULL", "null", `'`}, {},
		manyTags(eventsourced.MaxTags), {strings.Repeat("ö", eventsourced.MaxName/2)}, nil,
	}
	events := func() []eventsourced.EventData {
		encoded := encode(t.Context(), t, make([]string, len(all))...)
		for i := range all {
			encoded[i].Tags = all[i]
		}
		return encoded
	}
	requireTags := func(id string) {
		t.Helper()
		got := collect(t, store.ReadStream(t.Context(), stream(id), 0))
		require.Len(t, got, len(all))
		for i, event := range got {
			if len(all[i]) == 0 {
				require.Nil(t, event.Tags, "%s, %d", id, i)
				continue
			}
			require.Equal(t, all[i], event.Tags, "%s, %d", id, i)
		}
	}
	given := events()
	_, err := store.Append(t.Context(), stream("at once"), eventsourced.NoStream, given)
	require.NoError(t, err)
	given[1].Tags[0] = "the caller's"
	all[1] = []string{"course:7"}
	requireTags("at once")
	for i, event := range events() {
		for id, expected := range map[string]eventsourced.Expected{"any": eventsourced.Any, "expected": eventsourced.AtVersion(eventsourced.Version(i))} {
			event.ID = eventsourced.NewEventID()
			_, err := store.Append(t.Context(), stream(id), expected, []eventsourced.EventData{event})
			require.NoError(t, err)
		}
	}
	requireTags("any")
	requireTags("expected")
}

func manyTags(n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprint("tag:", i)
	}
	return tags
}
