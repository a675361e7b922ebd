package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func queries(t *testing.T, store eventsourced.LogStore) {
	for i := range 10 {
		events := encode(t.Context(), t, fmt.Sprint(i))
		if i%2 == 1 {
			events[0].Name = "Unnoted"
		}
		_, err := store.Append(t.Context(), stream("a"), eventsourced.Any, events)
		require.NoError(t, err)
	}
	all := wholeLog(t, store)
	for _, c := range []struct {
		query eventsourced.LogQuery
		want  []int
	}{
		{eventsourced.LogQuery{After: all[6].Position}, []int{7, 8, 9}},
		{eventsourced.LogQuery{UpTo: all[2].Position}, []int{0, 1, 2}},
		{eventsourced.LogQuery{After: all[2].Position, UpTo: all[4].Position}, []int{3, 4}},
		{eventsourced.LogQuery{Limit: 2}, []int{0, 1}},
		{eventsourced.LogQuery{Names: []string{"Noted"}}, []int{0, 2, 4, 6, 8}},
		{eventsourced.LogQuery{Names: []string{"Noted"}, After: all[1].Position, Limit: 2}, []int{2, 4}},
		{eventsourced.LogQuery{Names: []string{"Unnoted", "Noted", "Never"}, UpTo: all[8].Position, Limit: 3, After: all[4].Position}, []int{5, 6, 7}},
		{eventsourced.LogQuery{Names: []string{"Never"}}, nil},
		{eventsourced.LogQuery{Names: []string{"Unnoted", "Unnoted"}}, []int{1, 3, 5, 7, 9}},
		{eventsourced.LogQuery{UpTo: -1}, nil},
		{eventsourced.LogQuery{After: -1, Limit: 1}, []int{0}},
		{eventsourced.LogQuery{After: all[9].Position}, nil},
	} {
		var want []eventsourced.Recorded
		for _, i := range c.want {
			want = append(want, all[i])
		}
		require.Equal(t, want, collect(t, store.ReadLog(t.Context(), c.query)), "%+v", c.query)
		requireCount(t, store, c.query, len(want))
	}
}

// ranges reads what the other queries leave out: each bound at, before and after each event, with
// each limit, by all, by one and by several names, in whatever order those are asked for.
func ranges(t *testing.T, store eventsourced.LogStore) {
	for _, name := range []string{"Noted", "Unnoted", "Unnoted", "Noted", "Noted", "Unnoted"} {
		events := encode(t.Context(), t, "x")
		events[0].Name = name
		_, err := store.Append(t.Context(), stream(events[0].ID.String()), eventsourced.NoStream, events)
		require.NoError(t, err)
	}
	all := wholeLog(t, store)
	bounds := []eventsourced.Position{0}
	for i, event := range all {
		bounds = append(bounds, event.Position-1, event.Position)
		for _, after := range []eventsourced.Position{event.Position - 1, event.Position, event.Position + 1} {
			want := 0
			for _, other := range all {
				if other.Position > after {
					want++
				}
			}
			count, err := store.CountLog(t.Context(), eventsourced.LogQuery{After: after})
			require.NoError(t, err)
			require.EqualValues(t, want, count, "after event %d", i)
		}
	}
	for _, names := range [][]string{nil, {"Noted"}, {"Noted", "Unnoted"}, {"Unnoted", "Never", "Unnoted"}} {
		for _, after := range bounds {
			for _, upTo := range bounds {
				for limit := range 4 {
					query := eventsourced.LogQuery{After: after, UpTo: upTo, Names: names, Limit: limit}
					require.Equal(t, selected(all, query), collect(t, store.ReadLog(t.Context(), query)), "%+v", query)
					requireCount(t, store, query, len(selected(all, query)))
				}
			}
		}
	}
}
