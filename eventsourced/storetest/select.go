package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// selected is what a query is defined as.
func selected(all []eventsourced.Recorded, q eventsourced.LogQuery) (some []eventsourced.Recorded) {
	all = slices.Clone(all)
	if q.Backwards {
		slices.Reverse(all)
	}
	for _, event := range all {
		if q.Selects(event) && (q.Limit == 0 || len(some) < q.Limit) {
			some = append(some, event)
		}
	}
	return some
}

func requireCount(t *testing.T, store eventsourced.LogStore, q eventsourced.LogQuery, want int) {
	t.Helper()
	count, err := store.CountLog(t.Context(), q)
	require.NoError(t, err)
	require.EqualValues(t, want, count, "%+v", q)
}

// selection is one more condition of a query.
type selection struct {
	feature Feature // "" if every store has it
	set     func(*eventsourced.LogQuery)
}

// selections asks for each combination of two conditions and some of more, and all of them with a limit.
func selections(t *testing.T, store eventsourced.LogStore, lacks []Feature) {
	all := mixedLog(t, store)
	conditions := [][]selection{
		{{"", func(*eventsourced.LogQuery) {}}},
		{
			{"", func(q *eventsourced.LogQuery) { q.Names = []string{"Unnoted"} }},
			{"", func(q *eventsourced.LogQuery) { q.Names = []string{"Unnoted", "Never", "Noted", "Noted"} }},
		},
		{{"", func(q *eventsourced.LogQuery) { q.After, q.UpTo = all[2].Position, all[len(all)-2].Position }}},
		{
			{Streams, func(q *eventsourced.LogQuery) { q.Streams = []eventsourced.Stream{stream("a")} }},
			{Streams, func(q *eventsourced.LogQuery) {
				q.Streams = []eventsourced.Stream{stream("b"), {AggregateName: "test.Other", AggregateID: "a"}, stream("nobody"), stream("b")}
			}},
		},
		{
			{AggregateName, func(q *eventsourced.LogQuery) { q.AggregateName = "test.Other" }},
			{AggregateName, func(q *eventsourced.LogQuery) { q.AggregateName = "test.Never" }},
		},
		{{Since, func(q *eventsourced.LogQuery) { q.Since = all[5].Time }}, {Since, func(q *eventsourced.LogQuery) { q.Since = all[5].Time.Add(1) }}},
		{
			{Until, func(q *eventsourced.LogQuery) { q.Until = all[7].Time.In(time.FixedZone("east", 3600)) }},
			{Until, func(q *eventsourced.LogQuery) { q.Until = all[7].Time.Add(1) }},
		},
		{
			{Correlation, func(q *eventsourced.LogQuery) { q.Correlation = `c"1\` }},
			{Correlation, func(q *eventsourced.LogQuery) { q.Correlation = "none" }},
		},
		{{Backwards, func(q *eventsourced.LogQuery) { q.Backwards = true }}},
	}
	for i, these := range conditions {
		for _, others := range conditions[i:] {
			for _, one := range these {
				for _, other := range others {
					requireSelection(t, store, all, lacks, one, other)
				}
			}
		}
	}
	last := func(i int) selection { return conditions[i][0] }
	requireSelection(t, store, all, lacks, last(3), last(5), last(8))
	requireSelection(t, store, all, lacks, last(1), last(4), last(7), last(8))
	requireSelection(t, store, all, lacks, last(2), last(3), last(6), last(7))
	requireSelection(t, store, all, lacks, conditions[1][1], conditions[3][1], last(4), last(5), last(6), last(7), last(8))
}

func requireSelection(t *testing.T, store eventsourced.LogStore, all []eventsourced.Recorded, lacks []Feature, conditions ...selection) {
	t.Helper()
	for _, limit := range []int{0, 1, 3} {
		query, refused := eventsourced.LogQuery{Limit: limit}, false
		for _, c := range conditions {
			c.set(&query)
			refused = refused || slices.Contains(lacks, c.feature)
		}
		if !refused {
			want := selected(all, query)
			require.Equal(t, want, collect(t, store.ReadLog(t.Context(), query)), "%+v", query)
			requireCount(t, store, query, len(want))
			continue
		}
		requireRefused(t, store, query, eventsourced.ErrUnsupported)
	}
}

// requireRefused fails unless the query yields nothing but the error, twice.
func requireRefused(t *testing.T, store eventsourced.LogStore, query eventsourced.LogQuery, want error) {
	t.Helper()
	var failures []error
	for _, err := range store.ReadLog(t.Context(), query) {
		failures = append(failures, err)
	}
	require.Len(t, failures, 1, "%+v: one error and the end", query)
	require.ErrorIs(t, failures[0], want, "%+v", query)
	_, err := store.CountLog(t.Context(), query)
	require.ErrorIs(t, err, want, "%+v", query)
}

// mixedLog appends what the conditions tell apart: times that don't ascend, kinds with one id.
func mixedLog(t *testing.T, store eventsourced.LogStore) []eventsourced.Recorded {
	t.Helper()
	for i, event := range []struct {
		kind, id, name, correlation string
		minute                      int
	}{
		{"test.Note", "a", "Noted", `c"1\`, 10}, {"test.Other", "a", "Unnoted", "", 3}, {"test.Note", "b", "Unnoted", "c2", 7},
		{"test.Note", "a", "Noted", "", 1}, {"test.Other", "b", "Noted", `c"1\`, 8}, {"test.Note", "a", "Unnoted", `c"1\`, 5},
		{"test.Other", "a", "Noted", "c2", 2}, {"test.Note", "b", "Noted", `c"1\`, 9}, {"test.Note", "a", "Unnoted", "c2", 6},
		{"test.Other", "a", "Unnoted", `c"1\`, 4}, {"test.Note", "b", "Unnoted", "", 5},
	} {
		data := encode(t.Context(), t, "x")
		data[0].Name, data[0].Time = event.name, time.Date(2026, 1, 1, 0, event.minute, 0, 1000*i, time.UTC)
		data[0].Metadata = eventsourced.Metadata{eventsourced.MetaActor: "a\x00"}
		if event.correlation != "" {
			data[0].Metadata[eventsourced.MetaCorrelation] = event.correlation
		}
		_, err := store.Append(t.Context(), eventsourced.Stream{AggregateName: event.kind, AggregateID: event.id}, eventsourced.Any, data)
		require.NoError(t, err)
	}
	return wholeLog(t, store)
}

func senseless(t *testing.T, store eventsourced.LogStore, lacks []Feature) {
	appendTo(t, store, stream("a"), "1")
	for feature, queries := range map[Feature][]eventsourced.LogQuery{
		"":            {{Limit: -1}, {Names: []string{"a", "\x00"}}, {Names: []string{"\xff"}}},
		Streams:       {{Streams: []eventsourced.Stream{{AggregateName: "\xff", AggregateID: "a"}}}, {Streams: []eventsourced.Stream{{AggregateName: "a", AggregateID: "\x00"}}}},
		AggregateName: {{AggregateName: "\xff"}},
		Correlation:   {{Correlation: "\x00"}},
	} {
		for _, query := range queries {
			if !slices.Contains(lacks, feature) { // or it may say either
				requireRefused(t, store, query, eventsourced.ErrInvalid)
			}
		}
	}
}
