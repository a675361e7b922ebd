// Package storetest is the suite for whoever writes a store: [TestStore] proves that it keeps the
// contract of package eventsourced.
package storetest

import (
	"context"
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
	// unnoted is another one, that it filters out.
	unnoted struct {
		eventsourced.BaseEvent
		Text string
	}
)

// Registry returns the registry that stores under test are made with.
func Registry() *eventsourced.Registry {
	return eventsourced.MustRegistry(eventsourced.Type[Noted]("Noted"), eventsourced.Type[unnoted]("Unnoted"))
}

// Feature is something that a store may lack: a field of [eventsourced.LogQuery].
type Feature string

// The features.
const (
	Streams       Feature = "Streams"
	AggregateName Feature = "AggregateName"
	Since         Feature = "Since"
	Until         Feature = "Until"
	Correlation   Feature = "Correlation"
	Backwards     Feature = "Backwards"
)

// TestStore proves that a store keeps the contract. open returns an empty store
// with [Registry]; it is called once for each subtest. What the store lacks it must refuse, with
// [eventsourced.ErrUnsupported]: that is proved as well.
func TestStore(t *testing.T, open func(t *testing.T) eventsourced.LogStore, lacks ...Feature) {
	for name, test := range map[string]func(*testing.T, eventsourced.LogStore){
		"appended events are read back as they were":            readBack,
		"an event's time is kept to the microsecond":            times,
		"tags are kept, however they are appended":              tags,
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
		"each selection alone and with others is exact, or refused": func(t *testing.T, store eventsourced.LogStore) {
			selections(t, store, lacks)
		},
		"a query that makes no sense is refused": func(t *testing.T, store eventsourced.LogStore) {
			senseless(t, store, lacks)
		},
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
