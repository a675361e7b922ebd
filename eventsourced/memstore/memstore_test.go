package memstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.TestStore(t, func(*testing.T) eventsourced.LogStore {
		return memstore.New(storetest.Registry())
	})
}

func TestNewWithoutARegistry(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "memstore.New: the registry is nil", func() { memstore.New(nil) })
}
