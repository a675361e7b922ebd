package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

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
