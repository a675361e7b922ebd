package pipeline_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// Of upserts that replace the row of a key only the last one is sent.
func TestRowsThatAreReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`CREATE TABLE cell (key INT PRIMARY KEY, n INT NOT NULL, note TEXT, at TIMESTAMPTZ DEFAULT now()); CREATE INDEX ON cell (n)`)
	tx := f.begin(pipeline.Options{})
	for n := range 200 {
		turn := tx.Turn(t.Context(), n)
		require.NoError(t, turn.ExecOne(t.Context(), `INSERT INTO cell (key, n, note) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.n, note = EXCLUDED.note`, n%10, n, "note"))
		require.NoError(t, turn.End(false))
	}
	var writes, sum int
	turn := tx.Turn(t.Context(), 200)
	require.NoError(t, turn.QueryRowContext(t.Context(), `SELECT sum(n) FROM cell`).Scan(&sum))
	require.NoError(t, turn.QueryRowContext(t.Context(), `SELECT n_tup_ins + n_tup_upd FROM pg_stat_xact_user_tables WHERE relid = 'cell'::regclass`).Scan(&writes))
	require.NoError(t, turn.End(false))
	require.NoError(t, tx.Commit(200))
	require.Equal(t, 1945, sum)
	require.LessOrEqual(t, writes, 30)
}

// Nobody can tell that a row was replaced: the tables are the same, and what would have been refused is.
func TestRowsThatAreReplacedAreNotMissed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const (
		cells   = `CREATE TABLE cell (key INT PRIMARY KEY, n INT, note TEXT); `
		replace = `INSERT INTO cell (key, n, note) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.n, note = EXCLUDED.note`
		look    = `SELECT to_jsonb(c)::text FROM cell c ORDER BY 1`
	)
	once := func(value any) func(int) any { // among others of its key
		return func(n int) any {
			if n == 21 {
				return value
			}
			return n
		}
	}
	text := func(value any) func(int) any {
		return func(n int) any {
			if n == 21 {
				return value
			}
			return "text"
		}
	}
	with := func(n, note func(int) any) handler { return does(replace, times(7, 5), n, note) }
	later := func(query string) handler { // rows that come one after the other
		return does(query, func(n int) any { return n / 3 }, number, named("", number))
	}
	failing := 0
	for name, c := range map[string]struct {
		ddl    string
		handle handler
	}{
		"all of the row":              {cells, with(number, named("", number))},
		"with NULL":                   {cells, with(once(nil), text(nil))},
		"NULL where that must not be": {cells + `ALTER TABLE cell ALTER n SET NOT NULL`, with(once(nil), text("x"))},
		"a check":                     {cells + `ALTER TABLE cell ADD CHECK (n <> 1000)`, with(once(1000), text("x"))},
		"a domain":                    {cells + `CREATE DOMAIN few AS INT CHECK (VALUE <> 1000); ALTER TABLE cell ALTER n TYPE few`, with(once(1000), text("x"))},
		"a length":                    {cells + `ALTER TABLE cell ALTER note TYPE VARCHAR(5)`, with(number, text("longer than that"))},
		"a text that is none":         {cells, with(number, text("a\x00b"))},
		"another one":                 {cells, with(number, text("a\xffb"))},
		"json that is none": {cells + `ALTER TABLE cell ALTER note TYPE JSONB USING note::jsonb`, with(number, func(n int) any {
			if n == 21 {
				return "{"
			}
			return "{}"
		})},
		"a moment that is none": {cells + `ALTER TABLE cell ALTER note TYPE TIMESTAMPTZ USING now()`, with(number, func(n int) any {
			if n == 21 {
				return time.Unix(math.MaxInt32*6000, 0)
			}
			return time.Unix(int64(n), 0)
		})},
		"an index of a long text":       {cells + `CREATE INDEX ON cell (note)`, with(number, text(strings.Repeat("many different words ", 20000)))},
		"an index of an expression":     {cells + `CREATE INDEX ON cell ((1 / (n - 1000)))`, with(once(1000), text("x"))},
		"an index of some":              {cells + `CREATE INDEX ON cell (n) WHERE 1 / (n - 1000) < 5`, with(once(1000), text("x"))},
		"a generated column":            {cells + `ALTER TABLE cell ADD g INT GENERATED ALWAYS AS (1 / (n - 1000)) STORED`, with(once(1000), text("x"))},
		"another column that is unique": {cells + `ALTER TABLE cell ADD UNIQUE (n); INSERT INTO cell VALUES (100, 1000)`, with(once(1000), text("x"))},
		"a number from a sequence":      {cells + `ALTER TABLE cell ADD id INT GENERATED ALWAYS AS IDENTITY`, later(replace)},
		"a default of a sequence":       {cells + `CREATE SEQUENCE s; ALTER TABLE cell ADD id INT DEFAULT nextval('s')`, later(replace)},
		"a trigger":                     {cells + `CREATE TABLE told (n INT); CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.n = 1000 THEN RAISE ''no''; END IF; RETURN NEW; END'; CREATE TRIGGER tell BEFORE INSERT ON cell FOR EACH ROW EXECUTE FUNCTION tell()`, with(once(1000), text("x"))},
		"a column that is not set":      {cells, does(`INSERT INTO cell (key, n, note) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.n`, times(7, 5), number, named("", number))},
		"another value": {cells + `ALTER TABLE cell ADD m INT`, does(`INSERT INTO cell (key, n, m) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.m, m = EXCLUDED.n`,
			func(n int) any { return n / 3 }, number, plus(1000))},
		"a sum":      {cells, does(`INSERT INTO cell AS c (key, n, note) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET n = c.n + EXCLUDED.n, note = EXCLUDED.note`, times(7, 5), number, named("", number))},
		"a constant": {cells, does(`INSERT INTO cell (key, n, note) VALUES ($1, $2, NULL) ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.n, note = EXCLUDED.note`, times(7, 5), number)},
		"too large for another column": {cells + `ALTER TABLE cell ADD m SMALLINT`, does(`INSERT INTO cell (key, n, note, m) VALUES ($1, $2::int, $3, $2::int)
			ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.n, note = EXCLUDED.note, m = EXCLUDED.m`, times(7, 5), once(100_000), text("x"))},
		"a condition":     {cells, does(`INSERT INTO cell AS c (key, n, note) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.n, note = EXCLUDED.note WHERE c.n < 20`, times(7, 5), number, named("", number))},
		"changes between": {cells, inTurn(with(number, named("", number)), does(`UPDATE cell SET n = n * 2 % 1009 WHERE key = $1`, times(3, 5)), does(`DELETE FROM cell WHERE key = $1`, times(11, 7)))},
		"questions between": {cells, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if err := with(number, named("", number))(ctx, turn, n); err != nil || n%4 > 0 {
				return err
			}
			var found int
			if err := turn.QueryRowContext(ctx, `SELECT sum(n) FROM cell`).Scan(&found); err != nil {
				return err
			}
			return turn.Exec(ctx, replace, 1000+n, found, "")
		}},
	} {
		want, _ := f.play(pipeline.OneByOne, 60, c.ddl, c.handle, look)
		have, _ := f.play(pipeline.Together, 60, c.ddl, c.handle, look)
		if len(want) == 1 && strings.HasPrefix(want[0], "event 21: ") {
			failing++
			require.Contains(t, have[0], "event ", name)
			continue
		}
		require.NotContains(t, want[0], "ERROR", name)
		require.Equal(t, want, have, name)
	}
	require.Equal(t, 15, failing)
}
