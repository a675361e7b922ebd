package migrations_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/internal/legacytest"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestForeignDatabases(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		says   []string
	}{
		"somebody else's tables":           {"CREATE TABLE customers (id int); CREATE VIEW v AS SELECT 1", []string{"customers, v"}},
		"a table of the same name":         {"CREATE TABLE band (id int, title text)", []string{"the table band;", "there is no table dance_hall", "band has a column title (text)"}},
		"another column":                   {"legacy; ALTER TABLE band ADD website TEXT", []string{"band has a column website (text)"}},
		"another type":                     {"legacy; ALTER TABLE event ALTER created TYPE timestamp", []string{"event.created is timestamp without time zone, not timestamptz"}},
		"a table missing":                  {"legacy; DROP TABLE ignored_state", []string{"there is no table ignored_state"}},
		"two steps mixed":                  {"legacy; ALTER TABLE event ADD band_uuid UUID", []string{"event has a column band_uuid (uuid)"}},
		"a name that is needed":            {"legacy; CREATE TABLE events (id int); CREATE TABLE geocoding_job (id int)", []string{"there is a table events already", "there is a table geocoding_job already"}},
		"a foreign key from outside":       {"legacy; CREATE TABLE fans (band_id int CONSTRAINT fans_fk REFERENCES band)", []string{"the foreign key fans_fk of the table fans refers to band"}},
		"a view":                           {"legacy; CREATE VIEW soon AS SELECT band_id FROM event", []string{"the view soon reads event"}},
		"a trigger":                        {"legacy; CREATE TRIGGER touch BEFORE UPDATE ON event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", []string{"the table event has a trigger touch"}},
		"another program's goose":          {"legacy; CREATE TABLE goose_db_version (id int, version_id bigint, is_applied boolean); INSERT INTO goose_db_version VALUES (1, 3, true)", []string{"goose_db_version says that it is at step 3", "event.id is bigint, not uuid"}},
		"the framework in another program": {"framework; CREATE TABLE balance (id int)", []string{"the table balance"}},
	} {
		t.Run(name+" is refused, and nothing is touched", func(t *testing.T) {
			t.Parallel()
			db := readviewtest.NewDatabase(t)
			script := test.script
			switch {
			case script[:6] == "legacy":
				legacytest.Tables(t, db.Pool)
				script = script[7:]
			case script[:9] == "framework":
				_, err := migrations.Up(t.Context(), db.Pool)
				require.NoError(t, err)
				script = "DROP TABLE goose_db_version, band, dance_hall, event, origin, ignored_band, ignored_dance_hall, ignored_city, ignored_municipality, ignored_state," +
					"userpreferences_lookup, calendar_link, geocoding_job, geocoding_limit, geocoding_cache" + script[9:]
			}
			legacytest.Exec(t, db.Pool, script)
			before := schemaOf(t, db)
			_, err := migrations.Status(t.Context(), db.Pool)
			require.ErrorIs(t, err, migrations.ErrForeign)
			for _, up := range []func() ([]string, error){
				func() ([]string, error) { return migrations.Up(t.Context(), db.Pool) },
				func() ([]string, error) { return migrations.UpTo(t.Context(), db.Pool, 1) },
				func() ([]string, error) { return migrations.DownTo(t.Context(), db.Pool, 0) },
			} {
				applied, err := up()
				require.ErrorIs(t, err, migrations.ErrForeign)
				require.Empty(t, applied)
				for _, text := range test.says {
					require.ErrorContains(t, err, text)
				}
			}
			require.Equal(t, before, schemaOf(t, db))
		})
	}
	t.Run("that an up was killed in goes on", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		_, err := migrations.Up(t.Context(), db.Pool)
		require.NoError(t, err)
		legacytest.Exec(t, db.Pool, `DELETE FROM goose_db_version WHERE version_id > 0; DROP TABLE band, dance_hall, event, origin, ignored_band, ignored_dance_hall,
			ignored_city, ignored_municipality, ignored_state, userpreferences_lookup, calendar_link, geocoding_job, geocoding_limit, geocoding_cache`)
		applied, err := migrations.Up(t.Context(), db.Pool)
		require.NoError(t, err)
		require.Equal(t, names, applied)
	})
}

func TestRowsAtFault(t *testing.T) {
	t.Parallel()
	const granz = "(SELECT id FROM band WHERE name = 'Bo Granz')"
	for name, test := range map[string]struct {
		change string
		table  string
		id     string // a query
		says   string
	}{
		"a band without a name":        {"ALTER TABLE band ALTER name DROP NOT NULL; UPDATE band SET name = NULL WHERE id = 3", "band", "SELECT 3", "name is missing"},
		"a dance without a day":        {"ALTER TABLE event ALTER event_date DROP NOT NULL; UPDATE event SET event_date = NULL WHERE extra_info = 'samma band'", "event", "SELECT id FROM event WHERE event_date IS NULL", "event_date is missing"},
		"two bands of one name":        {"ALTER TABLE band DROP CONSTRAINT uq_b2d4; UPDATE band SET name = 'Bo Granz' WHERE id = 2", "band", "SELECT 2", "another row has the same name"},
		"two bands of one uuid":        {"ALTER TABLE band DROP CONSTRAINT uq_91c0; UPDATE band SET uuid = (SELECT uuid FROM band WHERE id = 1) WHERE id = 2", "band", "SELECT 2", "another row has the same uuid"},
		"two bands of one number":      {"ALTER TABLE band DROP CONSTRAINT pk_7f3a; UPDATE band SET id = 1 WHERE id = 2", "band", "SELECT 1", "another row has the same id"},
		"two halls without a city":     {"INSERT INTO dance_hall (name, city, municipality, state) VALUES ('M/S Vågen', '', '(Båt)', '(Båt)')", "dance_hall", "SELECT max(id) FROM dance_hall", "another row has the same name, city, municipality, state"},
		"half a coordinate":            {"UPDATE dance_hall SET longitude = NULL WHERE id = 5001", "dance_hall", "SELECT 5001", "a coordinate needs"},
		"a band ignored twice":         {"ALTER TABLE ignored_band DROP CONSTRAINT ignored_band_subject_band_id_key; INSERT INTO ignored_band (subject, band_id) VALUES ('user 1', " + granz + ")", "ignored_band", "SELECT max(id) FROM ignored_band", "another row has the same subject, band_id"},
		"a municipality ignored twice": {"INSERT INTO ignored_municipality (subject, municipality) VALUES ('user 1', 'Malung-Sälen')", "ignored_municipality", "SELECT max(id) FROM ignored_municipality", "another row has the same subject, municipality"},
		"two of one text id":           {"ALTER TABLE ignored_city DROP CONSTRAINT ignored_city_pkey; UPDATE ignored_city SET id = '00000000-0000-4000-8000-000000000001' WHERE subject = 'user 1'", "ignored_city", "SELECT '00000000-0000-4000-8000-000000000001'", "another row has the same id"},
	} {
		t.Run(name+" is named, and the database stays as it was", func(t *testing.T) {
			t.Parallel()
			db := readviewtest.NewDatabase(t)
			legacytest.Fill(t, db.Pool, legacytest.Small)
			legacytest.Exec(t, db.Pool, test.change)
			before, rows := schemaOf(t, db), legacytest.Dump(t, db.Pool, "SELECT * FROM "+test.table)
			applied, err := migrations.Up(t.Context(), db.Pool)
			require.ErrorIs(t, err, migrations.ErrRows)
			require.Empty(t, applied)
			var atFault *migrations.RowsError
			require.ErrorAs(t, err, &atFault)
			require.NotZero(t, atFault.Total)
			var ids []string
			for _, fault := range atFault.Faults {
				require.Equal(t, test.table, fault.Table)
				require.Equal(t, test.says, fault.Problem[:min(len(test.says), len(fault.Problem))])
				require.Contains(t, fault.Row, `"created"`)
				ids = append(ids, "("+fault.ID+")")
			}
			require.Subset(t, ids, legacytest.Dump(t, db.Pool, test.id))
			require.Equal(t, before, schemaOf(t, db))
			require.Equal(t, rows, legacytest.Dump(t, db.Pool, "SELECT * FROM "+test.table))
			require.ErrorContains(t, err, test.table+", id "+atFault.Faults[0].ID+": "+test.says)
		})
	}
	t.Run("are counted when there are many", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		legacytest.Fill(t, db.Pool, legacytest.Small)
		legacytest.Exec(t, db.Pool, "ALTER TABLE event ALTER created DROP NOT NULL; UPDATE event SET created = NULL WHERE id IN (SELECT id FROM event LIMIT 33)")
		_, err := migrations.Up(t.Context(), db.Pool)
		require.ErrorContains(t, err, "(33)")
		require.ErrorContains(t, err, "and 13 more")
	})
}

func TestFailingSteps(t *testing.T) {
	t.Parallel()
	t.Run("leave the database as it was before the step", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		legacytest.Fill(t, db.Pool, legacytest.Small)
		_, err := migrations.UpTo(t.Context(), db.Pool, 3)
		require.NoError(t, err)
		legacytest.Exec(t, db.Pool, "CREATE TABLE other (x int); CREATE INDEX event_band_idx ON other (x)")
		before, answers := schemaOf(t, db), ask(t, db.Pool, 3)
		applied, err := migrations.Up(t.Context(), db.Pool)
		require.ErrorContains(t, err, "00004_no_foreign_keys.sql")
		require.ErrorContains(t, err, `"event_band_idx" already exists`)
		require.Empty(t, applied)
		require.Equal(t, before, schemaOf(t, db))
		require.Equal(t, answers, ask(t, db.Pool, 3))
		legacytest.Exec(t, db.Pool, "DROP TABLE other")
		applied, err = migrations.Up(t.Context(), db.Pool)
		require.NoError(t, err)
		require.Equal(t, names[3], applied[0])
	})
	t.Run("that are the first leave no table of versions", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		legacytest.Fill(t, db.Pool, legacytest.Small)
		role := "role_" + db.Schema
		legacytest.Exec(t, db.Pool, strings.NewReplacer("{role}", role, "{schema}", db.Schema).Replace(`CREATE ROLE {role};
			GRANT ALL ON SCHEMA {schema} TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}`))
		t.Cleanup(func() { execute(t, db, "DROP OWNED BY "+role+"; DROP ROLE "+role) })
		pool, err := pgxpool.New(t.Context(), db.URL+"&role="+role)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		before := schemaOf(t, db)
		applied, err := migrations.Up(t.Context(), pool)
		require.ErrorContains(t, err, "00002_event_uuids.sql")
		require.ErrorContains(t, err, "must be owner of table")
		require.Empty(t, applied)
		require.Equal(t, before, schemaOf(t, db))
	})
}

func TestLegacyMigratedByManyAtOnce(t *testing.T) {
	t.Parallel()
	db := readviewtest.NewDatabase(t)
	legacytest.Fill(t, db.Pool, legacytest.Small)
	want := ask(t, db.Pool, 1)
	var group sync.WaitGroup
	var applied [4][]string
	var errs [4]error
	for i := range applied {
		group.Go(func() { applied[i], errs[i] = migrations.Up(t.Context(), db.Pool) })
	}
	group.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	require.ElementsMatch(t, [][]string{all(t)[1:], nil, nil, nil}, applied, "one of them did it")
	require.Equal(t, want, ask(t, db.Pool, 6))
}

// A legacy database whose tables are in a schema that the URL does not name is not an empty one.
func TestTablesInASchemaThatNobodyChose(t *testing.T) {
	t.Parallel()
	db := readviewtest.NewDatabase(t)
	name := db.Schema + "_elsewhere"
	execute(t, db, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, db, "DROP DATABASE "+name+" WITH (FORCE)") })
	connect := func(searchPath string) *pgxpool.Pool {
		config := db.Pool.Config()
		config.ConnConfig.Database = name
		delete(config.ConnConfig.RuntimeParams, "search_path")
		delete(config.ConnConfig.RuntimeParams, "options") // which may set it, too
		if searchPath != "" {
			config.ConnConfig.RuntimeParams["search_path"] = searchPath
		}
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return pool
	}
	old := connect("old")
	legacytest.Exec(t, old, "CREATE SCHEMA old")
	legacytest.Fill(t, old, legacytest.Small)

	_, err := migrations.Up(t.Context(), connect(""))
	require.ErrorIs(t, err, migrations.ErrForeign)
	require.ErrorContains(t, err, "old.band, old.dance_hall, old.event")
	require.ErrorContains(t, err, "search_path")
	require.Empty(t, legacytest.Dump(t, old, "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace"))

	_, err = migrations.Up(t.Context(), old)
	require.NoError(t, err)
	_, err = migrations.Up(t.Context(), connect("public"))
	require.NoError(t, err, "that one is meant")
}
