package pgstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/largelogtest"
)

// BenchmarkInspector asks what people ask of a log of ten million events.
func BenchmarkInspector(b *testing.B) {
	pool := largelogtest.Pool(b)
	store := pgstore.New(pool, storetest.Registry(), pgstore.Config{})
	defer store.Close()
	inspector := store.Inspector(pgstore.InspectorConfig{})
	head, err := store.Head(b.Context())
	require.NoError(b, err)
	find := func(query eventsourced.LogQuery) func() error {
		query.Backwards = true
		return func() error { _, err := inspector.Find(b.Context(), query); return err }
	}
	newest, err := inspector.Find(b.Context(), eventsourced.LogQuery{Backwards: true, Limit: 1})
	require.NoError(b, err)
	middle, err := inspector.Find(b.Context(), eventsourced.LogQuery{Backwards: true, UpTo: head - (head-largelogtest.First)/2, Limit: 1})
	require.NoError(b, err)
	correlation := middle.Events[0].Metadata[eventsourced.MetaCorrelation]
	for name, ask := range map[string]func() error{
		"tail":                    find(eventsourced.LogQuery{}),
		"deep in the past":        find(eventsourced.LogQuery{UpTo: middle.Events[0].Position}),
		"a rare name":             find(eventsourced.LogQuery{Names: []string{"VeryRare"}}),
		"twenty names":            find(eventsourced.LogQuery{Names: []string{"Event1", "Event2", "Event3", "Event4", "Event5", "Event6", "Event7", "Event8", "Event9", "Event10", "Event11", "Event12", "Event13", "Event14", "Event15", "Event16", "Event17", "Event18", "Event19", "VeryRare"}}),
		"a rare aggregate":        find(eventsourced.LogQuery{AggregateName: "domain.Rare"}),
		"a kind":                  find(eventsourced.LogQuery{AggregateName: "domain.Kind3"}),
		"a stream":                find(eventsourced.LogQuery{Streams: []eventsourced.Stream{newest.Events[0].Stream}}),
		"a correlation":           find(eventsourced.LogQuery{Correlation: correlation}),
		"names and a correlation": find(eventsourced.LogQuery{Names: []string{"Event1", "Event2", "Event3"}, Correlation: correlation}),
		"an event":                func() error { _, err := inspector.Event(b.Context(), head); return err },
		"its chain":               func() error { _, err := inspector.Chain(b.Context(), &newest.Events[0]); return err },
		"a chain in the middle":   func() error { _, err := inspector.Chain(b.Context(), &middle.Events[0]); return err },
		"a correlation counted": func() error {
			_, _, err := inspector.Count(b.Context(), eventsourced.LogQuery{Correlation: correlation, Backwards: true, UpTo: middle.Events[0].Position, Limit: 10_000})
			return err
		},
		"figures": func() error { _, err := inspector.Figures(b.Context()); return err },
		"clients": func() error { _, err := inspector.Clients(b.Context()); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, ask())
			}
		})
	}
}
