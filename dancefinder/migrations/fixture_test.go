package migrations_test

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/internal/legacytest"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

var names = []string{
	"00001_legacy.sql", "00002_event_uuids.sql", "00003_standard_ids.sql", "00004_no_foreign_keys.sql",
	"00005_userpreferences_lookup.sql", "00006_geocoding.sql", "00007_calendar_link.sql",
}

var readViews = []string{
	"band", "dance_hall", "event", "origin", "ignored_band", "ignored_dance_hall", "ignored_city", "ignored_municipality", "ignored_state",
}

// all returns the names of all migrations in their order.
func all(t *testing.T) []string {
	t.Helper()
	all := slices.Clone(names)
	for _, c := range []migrate.Component{pgstore.Migrations(), readview.Migrations(), consumer.Migrations(), relay.Migrations(), reactor.Migrations()} {
		files, err := fs.Glob(c.Files, "*.sql")
		require.NoError(t, err)
		for _, file := range files {
			all = append(all, c.Name+"/"+file)
		}
	}
	return all
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

// schemaOf returns all that the catalogue says of the database's own schema.
func schemaOf(t *testing.T, db *readviewtest.Database) []string {
	t.Helper()
	return legacytest.Dump(t, db.Pool, `
		SELECT attrelid::regclass || '.' || attname, format('%s %s %s', atttypid::regtype, attnotnull, pg_get_expr(adbin, adrelid))
			FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
			WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v'))
		UNION ALL SELECT conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
		UNION ALL SELECT indexname, replace(indexdef, current_schema() || '.', '') FROM pg_indexes WHERE schemaname = current_schema()
		UNION ALL SELECT relname, relkind::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace`)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// execute runs a script when a test is over.
func execute(t *testing.T, db *readviewtest.Database, script string) {
	t.Helper()
	_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), script)
	require.NoError(t, err)
}
