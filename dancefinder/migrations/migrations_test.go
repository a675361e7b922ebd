package migrations_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

var names = []string{"00001_read_views.sql", "00002_geocoding.sql"}

func TestUp(t *testing.T) {
	t.Parallel()
	t.Run("makes all tables in the database's own schema, once", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		applied, err := migrations.Up(t.Context(), db.Pool)
		require.NoError(t, err)
		require.Equal(t, names, applied)
		tables := tablesOf(t, db)
		require.Subset(t, tables, []string{
			"events", "snapshots", "readviews", "readview_states",
			"band", "dance_hall", "event", "origin", "ignored_band", "ignored_dance_hall", "ignored_city",
			"ignored_municipality", "ignored_state", "userpreferences_lookup",
			"geocoding_job", "geocoding_limit", "geocoding_cache",
		})
		_, err = db.Pool.Exec(t.Context(), "INSERT INTO band VALUES (gen_random_uuid(), 'Ängs', now())")
		require.NoError(t, err)

		applied, err = migrations.Up(t.Context(), db.Pool)
		require.NoError(t, err)
		require.Empty(t, applied)
		require.Equal(t, tables, tablesOf(t, db))
		var bands int
		require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM band").Scan(&bands))
		require.Equal(t, 1, bands, "what is there stays")
	})
	t.Run("may be called by several processes at once", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		pool, err := pgxpool.New(t.Context(), db.URL+"&application_name="+db.Schema)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		// All of them get as far as they can before one can go on.
		_, err = migrations.Status(t.Context(), db.Pool)
		require.NoError(t, err)
		gate, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = gate.Exec(t.Context(), "LOCK TABLE goose_db_version")
		require.NoError(t, err)
		var all sync.WaitGroup
		var applied [3][]string
		var errs [3]error
		for i := range applied {
			all.Go(func() { applied[i], errs[i] = migrations.Up(t.Context(), pool) })
		}
		require.Eventually(t, func() bool {
			var waiting int
			err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1
				AND (query ~ 'goose_db_version' AND wait_event_type = 'Lock' OR query ~ 'pg_try_advisory_lock')`, db.Schema).Scan(&waiting)
			return err == nil && waiting == len(applied)
		}, 30*time.Second, 5*time.Millisecond)
		require.NoError(t, gate.Commit(t.Context()))
		all.Wait()
		require.NoError(t, errors.Join(errs[:]...))
		require.ElementsMatch(t, [][]string{names, nil, nil}, applied, "one of them did it")
	})
	t.Run("does schemas of one database apart, also at once", func(t *testing.T) {
		t.Parallel()
		var all sync.WaitGroup
		var applied [3][]string
		var errs [3]error
		for i := range applied {
			db := readviewtest.NewDatabase(t)
			all.Go(func() { applied[i], errs[i] = migrations.Up(t.Context(), db.Pool) })
		}
		all.Wait()
		require.NoError(t, errors.Join(errs[:]...))
		require.Equal(t, [3][]string{names, names, names}, applied)
	})
	t.Run("ends with its context", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := migrations.Up(ctx, db.Pool)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, tablesOf(t, db))
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	db := readviewtest.NewDatabase(t)
	for _, want := range []bool{false, false, true} {
		if want {
			_, err := migrations.Up(t.Context(), db.Pool)
			require.NoError(t, err)
		}
		got, err := migrations.Status(t.Context(), db.Pool)
		require.NoError(t, err)
		require.Len(t, got, len(names))
		for i, name := range names {
			require.Equal(t, migrations.Migration{Name: name, Applied: want}, got[i])
		}
	}
}

func tablesOf(t *testing.T, db *readviewtest.Database) (names []string) {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}
