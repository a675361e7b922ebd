package migrations_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/internal/legacytest"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

// questions are what people ask, by name. In them {id} is a row's lasting id, {band} and {hall} are how a row
// refers, {band.key} and {hall.key} to what.
var questions = map[string]string{
	"all dances": `SELECT e.{id} IS NULL, e.event_date, e.start_time, e.end_time, coalesce(e.extra_info, ''), b.name, h.name AS hall,
		coalesce(h.city, ''), coalesce(h.municipality, ''), coalesce(h.state, ''), h.latitude, h.longitude, e.created, coalesce(e.updated, e.created)
		FROM event e LEFT JOIN band b ON b.{band.key} = e.{band} LEFT JOIN dance_hall h ON h.{hall.key} = e.{hall}`,
	"their lasting ids": `SELECT e.{id}, e.event_date FROM event e WHERE e.{id} IS NOT NULL`,
	"bands and halls": `SELECT {id}, name, created FROM band WHERE name <> 'Utan uuid' UNION ALL
		SELECT {id}, name || coalesce(city, '') || coalesce(municipality, '') || coalesce(state, '') || coalesce(latitude || ' ' || longitude, ''), created FROM dance_hall`,
	"where a band plays": `SELECT h.name, e.event_date FROM event e JOIN band b ON b.{band.key} = e.{band} JOIN dance_hall h ON h.{hall.key} = e.{hall}
		WHERE b.name = 'BO GRANZ'`,
	"what unknown bands play": `SELECT count(*) FROM event e LEFT JOIN band b ON b.{band.key} = e.{band} WHERE b.name IS NULL GROUP BY e.{band}`,
	"what users do not want to see": `SELECT i.subject, b.name, i.created FROM ignored_band i LEFT JOIN band b ON b.{band.key} = i.{band} UNION ALL
		SELECT i.subject, h.name || coalesce(h.state, ''), i.created FROM ignored_dance_hall i LEFT JOIN dance_hall h ON h.{hall.key} = i.{hall} UNION ALL
		SELECT subject, city, created FROM ignored_city UNION ALL
		SELECT subject, municipality, created FROM ignored_municipality UNION ALL
		SELECT subject, state, created FROM ignored_state`,
	"the same unknown band, in both tables": `SELECT i.subject, e.extra_info FROM ignored_band i JOIN event e ON e.{band} = i.{band} WHERE i.{band} NOT IN (SELECT {band.key} FROM band)`,
	"what is near a user": `SELECT e.event_date, h.name FROM origin o JOIN dance_hall h ON abs(h.latitude - o.latitude) < 0.5 JOIN event e ON e.{hall} = h.{hall.key}
		WHERE o.subject IN ('user 2', 'user 4') AND NOT EXISTS (SELECT FROM ignored_band i WHERE i.subject = o.subject AND i.{band} = e.{band})`,
	"origins": `SELECT subject, origin, latitude, longitude, created FROM origin`,
	"others":  `SELECT * FROM schema_migrations`,
}

// wording is how the questions are put to the tables as each step leaves them.
var wording = []*strings.Replacer{
	1: strings.NewReplacer("{id}", "uuid", "{band}", "band_id", "{hall}", "dance_hall_id", "{band.key}", "id", "{hall.key}", "id"),
	2: strings.NewReplacer("{id}", "uuid", "{band}", "band_uuid", "{hall}", "dance_hall_uuid", "{band.key}", "uuid", "{hall.key}", "uuid"),
	3: strings.NewReplacer("{id}", "id", "{band}", "band_id", "{hall}", "dance_hall_id", "{band.key}", "id", "{hall.key}", "id"),
}

func ask(t *testing.T, pool *pgxpool.Pool, step int) map[string][]string {
	t.Helper()
	answers := map[string][]string{}
	for name, question := range questions {
		answers[name] = legacytest.Dump(t, pool, wording[min(step, 3)].Replace(question))
	}
	return answers
}

func TestLegacyDatabase(t *testing.T) {
	t.Parallel()
	t.Run("answers the same questions after each step", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		legacytest.Fill(t, db.Pool, legacytest.Full)
		want := ask(t, db.Pool, 1)
		for name, answers := range want {
			require.NotEmpty(t, answers, name)
		}
		require.Greater(t, len(want["all dances"]), 20_000)
		for step := 1; step <= len(names); step++ {
			applied, err := migrations.UpTo(t.Context(), db.Pool, int64(step))
			require.NoError(t, err)
			if step == 1 {
				require.Empty(t, applied, "it is there already")
			} else {
				require.Equal(t, names[step-1], applied[0])
			}
			for name, answers := range ask(t, db.Pool, step) {
				require.Equal(t, want[name], answers, "%s, after step %d", name, step)
			}
			if step >= 2 {
				require.Empty(t, legacytest.Dump(t, db.Pool, "SELECT FROM band WHERE "+map[bool]string{true: "uuid", false: "id"}[step == 2]+" IS NULL"))
			}
		}
		require.Empty(t, legacytest.Dump(t, db.Pool, "SELECT FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"))
	})
	t.Run("gets the tables that a new one has", func(t *testing.T) {
		t.Parallel()
		fresh := readviewtest.NewDatabase(t)
		_, err := migrations.Up(t.Context(), fresh.Pool)
		require.NoError(t, err)
		want := schemaOf(t, fresh)

		written := readviewtest.NewDatabase(t)
		_, err = migrations.Up(t.Context(), written.Pool)
		require.NoError(t, err)
		legacytest.Exec(t, written.Pool, "DROP TABLE "+strings.Join(readViews, ", ")+";"+readFile(t, "schema/read_views.sql"))
		require.Equal(t, want, schemaOf(t, written), "schema/read_views.sql")

		legacy := readviewtest.NewDatabase(t)
		legacytest.Fill(t, legacy.Pool, legacytest.Small)
		_, err = migrations.Up(t.Context(), legacy.Pool)
		require.NoError(t, err)
		legacytest.Exec(t, legacy.Pool, "DROP TABLE schema_migrations; DROP INDEX ix_event_created") // a plain index does no harm, and stays
		require.Equal(t, want, schemaOf(t, legacy))
	})
	t.Run("is taken on from where it is", func(t *testing.T) {
		t.Parallel()
		fresh := readviewtest.NewDatabase(t)
		_, err := migrations.Up(t.Context(), fresh.Pool)
		require.NoError(t, err)
		schema := schemaOf(t, fresh)
		for name, test := range map[string]struct {
			step   int64
			change string
			want   int // of the names, the first that is applied
		}{
			"the legacy tables":             {1, "", 2},
			"after the first step":          {2, "", 3},
			"without the integers it wrote": {2, "ALTER TABLE event DROP COLUMN band_id, DROP COLUMN dance_hall_id", 3},
			"with references that are not filled": {2, `ALTER TABLE event ALTER band_uuid DROP NOT NULL; UPDATE event SET band_uuid = NULL;
				ALTER TABLE ignored_dance_hall ALTER dance_hall_uuid DROP NOT NULL,
					ADD CONSTRAINT late FOREIGN KEY (dance_hall_uuid) REFERENCES dance_hall (uuid) DEFERRABLE INITIALLY DEFERRED;
				UPDATE ignored_dance_hall SET dance_hall_uuid = NULL`, 3},
			"with ids renamed, references not": {3, `ALTER TABLE event RENAME band_id TO band_uuid; ALTER TABLE event RENAME dance_hall_id TO dance_hall_uuid;
				ALTER TABLE ignored_band RENAME band_id TO band_uuid; ALTER TABLE ignored_dance_hall RENAME dance_hall_id TO dance_hall_uuid`, 3},
			"after the second step":                      {3, "", 4},
			"without a constraint that a step has lost":  {3, "ALTER TABLE ignored_band DROP CONSTRAINT ignored_band_subject_band_id_key", 3},
			"after the third step":                       {4, "", 4},
			"with the foreign keys gone and defaults on": {4, "ALTER TABLE band ALTER created SET DEFAULT now(), ALTER id SET DEFAULT gen_random_uuid()", 3},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db := readviewtest.NewDatabase(t)
				legacytest.Fill(t, db.Pool, legacytest.Small)
				want := ask(t, db.Pool, 1)
				_, err := migrations.UpTo(t.Context(), db.Pool, test.step)
				require.NoError(t, err)
				legacytest.Exec(t, db.Pool, "DROP TABLE IF EXISTS goose_db_version;"+test.change)
				before := schemaOf(t, db)
				all, err := migrations.Status(t.Context(), db.Pool)
				require.NoError(t, err)
				require.Equal(t, before, schemaOf(t, db))
				require.Equal(t, names[test.want-1], migrations.Pending(all)[0])
				applied, err := migrations.Up(t.Context(), db.Pool)
				require.NoError(t, err)
				require.Equal(t, migrations.Pending(all), applied)
				require.Equal(t, want, ask(t, db.Pool, 6))
				legacytest.Exec(t, db.Pool, "DROP TABLE schema_migrations; DROP INDEX ix_event_created")
				require.Equal(t, schema, schemaOf(t, db))
			})
		}
	})
	t.Run("may be in another schema than public, under any name", func(t *testing.T) {
		t.Parallel()
		db := readviewtest.NewDatabase(t)
		config := db.Pool.Config()
		schema := db.Schema + ` "Å`
		quoted := `"` + strings.ReplaceAll(schema, `"`, `""`) + `"`
		config.ConnConfig.RuntimeParams["search_path"] = quoted + ", " + db.Schema
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		legacytest.Exec(t, db.Pool, "CREATE TABLE band (x int); CREATE SCHEMA "+quoted)
		t.Cleanup(func() { execute(t, db, "DROP SCHEMA "+quoted+" CASCADE") })
		legacytest.Fill(t, pool, legacytest.Small)
		want := ask(t, pool, 1)
		_, err = migrations.Up(t.Context(), pool)
		require.NoError(t, err)
		require.Equal(t, want, ask(t, pool, 6))
		require.Equal(t, []string{"band"}, tablesOf(t, db), "what is further down the path is not touched")
	})
}
