package memstore_test

import (
	"testing"

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
