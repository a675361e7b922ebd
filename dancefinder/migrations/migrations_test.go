package migrations_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestUp(t *testing.T) {
	t.Parallel()
	t.Run("makes all tables in the database's own schema, once", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		applied, err := migrations.Up(t.Context(), db.Pool)
		require.NoError(t, err)
		require.Equal(t, all(t), applied)
		tables := tablesOf(t, db)
		require.Subset(t, tables, []string{
			"events", "snapshots", "log_identity", "log_archive", "readviews", "readview_states", "readview_operations", "readview_rebuilds", "readview_kept", "readview_kept_debt",
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
		_, err = migrations.Up(t.Context(), db.Pool)
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), `DELETE FROM goose_db_version WHERE version_id = 7;
			DROP TABLE calendar_link`)
		require.NoError(t, err)
		gate, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = gate.Exec(t.Context(), "LOCK TABLE goose_db_version")
		require.NoError(t, err)
		var group sync.WaitGroup
		var applied [3][]string
		var errs [3]error
		for i := range applied {
			group.Go(func() { applied[i], errs[i] = migrations.Up(t.Context(), pool) })
		}
		require.Eventually(t, func() bool {
			var waiting int
			err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1
				AND wait_event_type = 'Lock' AND (query ~ 'goose_db_version' OR query ~ 'pg_advisory_lock')`, db.Schema).Scan(&waiting)
			return err == nil && waiting == len(applied)
		}, 30*time.Second, 25*time.Millisecond)
		require.NoError(t, gate.Commit(t.Context()))
		group.Wait()
		require.NoError(t, errors.Join(errs[:]...))
		require.ElementsMatch(t, [][]string{names[6:], nil, nil}, applied, "one of them did it")
	})
	t.Run("does schemas of one database apart, also at once", func(t *testing.T) {
		t.Parallel()
		var group sync.WaitGroup
		var applied [3][]string
		var errs [3]error
		for i := range applied {
			db := readviewtest.NewDatabase(t)
			group.Go(func() { applied[i], errs[i] = migrations.Up(t.Context(), db.Pool) })
		}
		group.Wait()
		require.NoError(t, errors.Join(errs[:]...))
		require.Equal(t, [3][]string{all(t), all(t), all(t)}, applied)
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
	status := func() []migrations.Migration {
		got, err := migrations.Status(t.Context(), db.Pool)
		require.NoError(t, err)
		require.Len(t, got, len(all(t)))
		for i, name := range all(t) {
			require.Equal(t, name, got[i].Name)
		}
		return got
	}
	require.Equal(t, all(t), migrations.Pending(status()))
	require.Empty(t, tablesOf(t, db), "a look changes nothing")
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Empty(t, migrations.Pending(status()))
}

func TestPartsThatAreBehind(t *testing.T) {
	t.Parallel()
	for component, drop := range map[string]string{
		"pgstore/":  "DROP TABLE events, snapshots, log_identity, log_archive",
		"readview/": "DROP TABLE readviews, readview_states, readview_operations, readview_rebuilds, readview_kept, readview_kept_debt, readview_parked, readview_skipped",
		"consumer/": "DROP TABLE consumers, consumer_operations",
		"relay/":    "DROP TABLE relay_topics, relay_skips, relay_published",
		"reactor/":  "DROP TABLE parked_events, reactor_done, reactor_skipped, reactor_asked",
	} {
		t.Run(component+" is named and brought up to date", func(t *testing.T) {
			t.Parallel()
			db := readviewtest.NewDatabase(t)
			_, err := migrations.Up(t.Context(), db.Pool)
			require.NoError(t, err)
			_, err = db.Pool.Exec(t.Context(), drop+" CASCADE; DELETE FROM eventsourcing_migrations WHERE component || '/' = '"+component+"'")
			require.NoError(t, err)
			var want []string
			for _, name := range all(t) {
				if strings.HasPrefix(name, component) {
					want = append(want, name)
				}
			}
			got, err := migrations.Status(t.Context(), db.Pool)
			require.NoError(t, err)
			require.Equal(t, want, migrations.Pending(got))
			applied, err := migrations.Up(t.Context(), db.Pool)
			require.NoError(t, err)
			require.Equal(t, want, applied)
		})
	}
}

func TestNewerTables(t *testing.T) {
	t.Parallel()
	for name, insert := range map[string]string{
		"pgstore":     "INSERT INTO eventsourcing_migrations (component, file) VALUES ('pgstore', '0999_later.sql')",
		"readview":    "INSERT INTO eventsourcing_migrations (component, file) VALUES ('readview', '0999_later.sql')",
		"consumer":    "INSERT INTO eventsourcing_migrations (component, file) VALUES ('consumer', '0999_later.sql')",
		"dancefinder": "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)",
	} {
		t.Run("of "+name+" are noticed, and nothing is touched", func(t *testing.T) {
			t.Parallel()
			db := readviewtest.NewDatabase(t)
			_, err := migrations.Up(t.Context(), db.Pool)
			require.NoError(t, err)
			// Something is missing, too.
			_, err = db.Pool.Exec(t.Context(), insert+`; DELETE FROM goose_db_version WHERE version_id = 7;
				DROP TABLE calendar_link`)
			require.NoError(t, err)
			before := tablesOf(t, db)
			got, err := migrations.Status(t.Context(), db.Pool)
			require.ErrorIs(t, err, migrations.ErrNewer)
			require.ErrorContains(t, err, "999")
			require.ErrorContains(t, err, name)
			require.Equal(t, names[6:], migrations.Pending(got))
			applied, err := migrations.Up(t.Context(), db.Pool)
			require.ErrorIs(t, err, migrations.ErrNewer)
			require.Empty(t, applied)
			require.Equal(t, before, tablesOf(t, db))
		})
	}
}
