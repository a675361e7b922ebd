package eventsourcedtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// What a store is asked for, and what it has to answer: a part of [TestStore].

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
		{eventsourced.LogQuery{After: all[9].Position}, nil},
	} {
		var want []eventsourced.Recorded
		for _, i := range c.want {
			want = append(want, all[i])
		}
		require.Equal(t, want, collect(t, store.ReadLog(t.Context(), c.query)), "%+v", c.query)
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
			count, err := store.CountLog(t.Context(), after)
			require.NoError(t, err)
			require.EqualValues(t, want, count, "after event %d", i)
		}
	}
	for _, names := range [][]string{nil, {"Noted"}, {"Unnoted"}, {"Noted", "Unnoted"}, {"Unnoted", "Never", "Noted"}} {
		for _, after := range bounds {
			for _, upTo := range bounds {
				for limit := range 4 {
					query := eventsourced.LogQuery{After: after, UpTo: upTo, Names: names, Limit: limit}
					require.Equal(t, selected(all, query), collect(t, store.ReadLog(t.Context(), query)), "%+v", query)
				}
			}
		}
	}
}

// selected is what a query is defined as.
func selected(all []eventsourced.Recorded, q eventsourced.LogQuery) (some []eventsourced.Recorded) {
	for _, event := range all {
		if event.Position > q.After && (q.UpTo == 0 || event.Position <= q.UpTo) &&
			(len(q.Names) == 0 || slices.Contains(q.Names, event.Name)) && (q.Limit == 0 || len(some) < q.Limit) {
			some = append(some, event)
		}
	}
	return some
}

func snapshots(t *testing.T, store eventsourced.LogStore) {
	keeper, ok := store.(eventsourced.SnapshotStore)
	if !ok {
		return // snapshots are optional
	}
	snapshot, err := keeper.LoadSnapshot(t.Context(), stream("a"))
	require.NoError(t, err)
	require.Nil(t, snapshot)
	save := func(version eventsourced.Version, schema int) {
		t.Helper()
		require.NoError(t, keeper.SaveSnapshot(t.Context(), stream("a"), eventsourced.Snapshot{
			Version: version, Position: eventsourced.Position(version * 10), SchemaVersion: schema, State: []byte{0, byte(version)},
		}))
	}
	requireVersion := func(version eventsourced.Version) {
		snapshot, err := keeper.LoadSnapshot(t.Context(), stream("a"))
		require.NoError(t, err)
		require.Equal(t, version, snapshot.Version)
		require.Equal(t, eventsourced.Position(version*10), snapshot.Position)
		require.Equal(t, []byte{0, byte(version)}, snapshot.State)
	}
	save(5, 1)
	requireVersion(5)
	save(3, 1) // a slow writer
	requireVersion(5)
	save(9, 1)
	requireVersion(9)
	save(4, 2) // another schema: what is there is of no use
	requireVersion(4)
	save(4, 1)
	again, err := keeper.LoadSnapshot(t.Context(), stream("a"))
	require.NoError(t, err)
	require.Equal(t, 1, again.SchemaVersion)
	require.NoError(t, keeper.SaveSnapshot(t.Context(), stream("a"), eventsourced.Snapshot{Version: 4, SchemaVersion: 1, State: []byte("other")}))
	requireVersion(4) // as new already
	save(7, 1)
	requireVersion(7)
	save(9, 1)
	// The log went back: what follows has lower versions, and later positions.
	require.NoError(t, keeper.SaveSnapshot(t.Context(), stream("a"), eventsourced.Snapshot{Version: 6, Position: 1000, SchemaVersion: 1, State: []byte("back")}))
	back, err := keeper.LoadSnapshot(t.Context(), stream("a"))
	require.NoError(t, err)
	require.Equal(t, &eventsourced.Snapshot{Version: 6, Position: 1000, SchemaVersion: 1, State: []byte("back")}, back)
	other, err := keeper.LoadSnapshot(t.Context(), eventsourced.Stream{AggregateName: "test.Other", AggregateID: "a"})
	require.NoError(t, err)
	require.Nil(t, other)
}
