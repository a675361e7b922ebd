package memstore_test

import (
	"testing"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

func TestStore(t *testing.T) {
	t.Parallel()
	eventsourcedtest.TestStore(t, func(*testing.T) eventsourced.LogStore {
		return memstore.New(eventsourcedtest.Registry())
	})
}
