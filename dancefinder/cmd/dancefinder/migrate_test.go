package main

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/internal/legacytest"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/operate"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	t.Run("makes the tables once", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		pending, applied, printed := allMigrations(t, "pending"), allMigrations(t, "applied"), "applied "+strings.Join(migrationNames(t), "\napplied ")+"\n"
		require.Regexp(t, pending, d.done("migrate", "status"))
		require.Zero(t, d.number("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"), "a look makes no table")
		require.Equal(t, printed, d.done("migrate", "up"))
		require.Equal(t, "up to date\n", d.done("migrate", "up"))
		require.Equal(t, "nothing to undo\n", d.done("migrate", "down", "--to", "7"))
		require.JSONEq(t, `[]`, d.done("migrate", "up", "--json"))
		for _, use := range []string{"up", "down"} {
			got := d.run("migrate", use, "--to", "99")
			require.Equal(t, operate.ExitUsage, got.code)
			require.Contains(t, got.err, "--to: there is no such step: 99, and the last one is 7")
		}
		require.JSONEq(t, `[{"name": "00007_calendar_link.sql", "applied": false}]`, d.done("migrate", "down", "--to", "6", "--json"))
		require.Equal(t, "applied 00007_calendar_link.sql\n", d.done("migrate", "up"))
		require.Regexp(t, applied, d.done("migrate", "status"))
	})
	t.Run("may run several times at once", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		var all sync.WaitGroup
		var results [4]result
		for i := range results {
			all.Go(func() { results[i] = d.run("migrate", "up") })
		}
		all.Wait()
		var printed []string
		for _, got := range results {
			require.Equal(t, operate.ExitDone, got.code, got.err)
			printed = append(printed, got.out)
		}
		require.Contains(t, printed[0]+printed[1]+printed[2]+printed[3], "applied 00001_legacy.sql\napplied 00002_event_uuids.sql\n")
		require.Equal(t, 1, strings.Count(strings.Join(printed, ""), "applied 00006_geocoding.sql"))
	})
}

func TestMigrateLegacy(t *testing.T) {
	t.Parallel()
	t.Run("goes step by step, and says what is behind it", func(t *testing.T) {
		t.Parallel()
		d := newLegacy(t, legacytest.Small)
		require.Regexp(t, `(?m)^00001_legacy.sql +applied\n00002_event_uuids.sql +pending$`, d.done("migrate", "status"))
		require.Equal(t, "applied 00002_event_uuids.sql\n", d.done("migrate", "up", "--to", "2"))
		require.Equal(t, "up to date\n", d.done("migrate", "up", "--to", "2"))
		require.Regexp(t, `(?m)^00002_event_uuids.sql +applied\n00003_standard_ids.sql +pending$`, d.done("migrate", "status"))
		require.Equal(t, "undone 00002_event_uuids.sql\n", d.done("migrate", "down", "--to", "1"))
		d.done("migrate", "up", "--to", "3")
		got := d.run("migrate", "down", "--to", "1")
		require.Equal(t, operate.ExitFailed, got.code)
		require.Contains(t, got.err, "cannot be undone: the integer ids are gone")
		require.Contains(t, d.done("migrate", "up"), "applied 00004_no_foreign_keys.sql\n")
	})
	t.Run("refuses what is somebody else's, and touches nothing", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		legacytest.Exec(t, d.Pool, "CREATE TABLE customers (id int)")
		for _, command := range [][]string{{"up"}, {"up", "--to", "1"}, {"down", "--to", "0"}, {"status"}} {
			got := d.run(append([]string{"migrate"}, command...)...)
			require.Equal(t, operate.ExitFailed, got.code)
			require.Contains(t, got.err, "neither empty nor DanceFinder's: it has the table customers")
		}
		require.EqualValues(t, 1, d.number("SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"))
	})
	t.Run("names the row that is at fault", func(t *testing.T) {
		t.Parallel()
		d := newLegacy(t, legacytest.Small)
		legacytest.Exec(t, d.Pool, "UPDATE dance_hall SET latitude = NULL WHERE id = 5001")
		got := d.run("migrate", "up")
		require.Equal(t, operate.ExitFailed, got.code)
		require.Contains(t, got.err, "dance_hall, id 5001: a coordinate needs latitude and longitude: {")
		require.Empty(t, got.out)
	})
	t.Run("wants a number that can be one", func(t *testing.T) {
		t.Parallel()
		d := newDatabase(t)
		for _, command := range [][]string{{"up", "--to", "-1"}, {"up", "--to", "x"}, {"down"}, {"down", "--to", "-1"}} {
			require.Equal(t, operate.ExitUsage, d.run(append([]string{"migrate"}, command...)...).code, command)
		}
	})
}

// migrationNames returns all of them, in their order.
func migrationNames(t *testing.T) (names []string) {
	t.Helper()
	all, err := migrations.Status(t.Context(), newDatabase(t).Pool)
	require.NoError(t, err)
	require.Contains(t, all, migrations.Migration{Name: "consumer/0001_consumers.sql"})
	for _, m := range all {
		names = append(names, m.Name)
	}
	return names
}

// allMigrations returns a pattern for "migrate status" with all in one state.
func allMigrations(t *testing.T, state string) string {
	t.Helper()
	pattern := `^MIGRATION +STATE\n`
	for _, name := range migrationNames(t) {
		pattern += regexp.QuoteMeta(name) + ` +` + state + `\n`
	}
	return pattern + `$`
}

// A program that does not know the tables does not touch them.
func TestTablesOfAnotherVersion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ change, says string }{
		"an older one of the log":         {"DELETE FROM eventsourcing_migrations WHERE component = 'pgstore'", "the database lacks the migrations pgstore/0001_"},
		"an older one of the projections": {"DELETE FROM eventsourcing_migrations WHERE component = 'readview'", "the database lacks the migrations readview/0001_"},
		"an older one of the relay":       {"DELETE FROM eventsourcing_migrations WHERE file = '0001_relay_topics.sql'", "relay/0001_relay_topics.sql"},
		"an older one of DanceFinder":     {"DELETE FROM goose_db_version WHERE version_id = 7", "the database lacks the migrations 00007_calendar_link.sql: run 'dancefinder migrate up'"},
		"a newer one of the log":          {"INSERT INTO eventsourcing_migrations VALUES ('pgstore', '0999_later.sql')", "0999_later.sql"},
		"a newer one of the projections":  {"INSERT INTO eventsourcing_migrations VALUES ('readview', '0999_later.sql')", "0999_later.sql"},
		"a newer one of the relay":        {"INSERT INTO eventsourcing_migrations VALUES ('relay', '0999_later.sql')", "0999_later.sql"},
		"a newer one of DanceFinder":      {"INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)", "[999]"},
	} {
		t.Run(name+" are refused", func(t *testing.T) {
			t.Parallel()
			d := newTables(t)
			_, err := d.Pool.Exec(t.Context(), test.change)
			require.NoError(t, err)
			for _, command := range [][]string{{"projector"}, {"import", "-"}} {
				got := d.run(command...)
				require.Equal(t, operate.ExitFailed, got.code)
				require.Contains(t, got.err, test.says)
				require.Contains(t, got.err, map[bool]string{true: "Run the version of DanceFinder", false: "'dancefinder migrate up'"}[strings.HasPrefix(name, "a newer")])
			}
			if strings.HasPrefix(name, "a newer") {
				for _, verb := range []string{"status", "up"} {
					got := d.run("migrate", verb)
					require.Equal(t, operate.ExitFailed, got.code)
					require.Contains(t, got.err, test.says)
				}
			}
		})
	}
}

// A projector needs no right to create tables, see docs/operating.md.
func TestRoleThatMayNotCreateTables(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	role := "role_" + d.Schema
	_, err := d.Pool.Exec(t.Context(), strings.NewReplacer("{role}", role, "{schema}", d.Schema).Replace(`CREATE ROLE {role};
		GRANT USAGE ON SCHEMA {schema} TO {role};
		GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {schema} TO {role};
		REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON eventsourcing_migrations, goose_db_version FROM {role}`))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := d.Pool.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(t, err)
	})
	url := d.with("role=" + role)
	require.Equal(t, "up to date\n", dancefinder(t, "migrate", "up", "--database-url", url).out)
	projector := start(t, "projector", "--database-url", url)
	got := dancefinderReads(t, july, "import", "-", "--database-url", url)
	require.Equal(t, operate.ExitDone, got.code, got.err)
	require.NoError(t, d.app().project(t))
	got = dancefinder(t, "readviews", "reset", "band", "event", "--database-url", url)
	require.Equal(t, operate.ExitDone, got.code, got.err)
	require.NoError(t, d.app().project(t))
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM band"))
	require.Equal(t, operate.ExitDone, projector.stop())
	require.NotContains(t, projector.err.String(), "level=ERROR")
	require.NotContains(t, projector.err.String(), "level=WARN")
}
