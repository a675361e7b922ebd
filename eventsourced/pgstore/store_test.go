package pgstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// open returns an empty log in a schema of its own.
func open(t *testing.T, db *testdb.DB) *pgstore.Store {
	t.Helper()
	require.NoError(t, pgstore.Migrate(t.Context(), db.Pool))
	store := pgstore.New(db.Pool, eventsourcedtest.Registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	return store
}

func TestStore(t *testing.T) {
	t.Parallel()
	eventsourcedtest.TestStore(t, func(t *testing.T) eventsourced.LogStore { return open(t, testdb.New(t)) })
}
