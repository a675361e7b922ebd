package pipeline_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// handler handles the event n.
type handler func(ctx context.Context, turn *pipeline.Turn, n int) error

// does makes a handler of a statement, whose arguments are made of the number of the event.
func does(query string, args ...func(n int) any) handler {
	return func(ctx context.Context, turn *pipeline.Turn, n int) error {
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg(n)
		}
		_, err := turn.ExecContext(ctx, query, values...)
		return err
	}
}

func inTurn(handlers ...handler) handler {
	return func(ctx context.Context, turn *pipeline.Turn, n int) error {
		for _, handle := range handlers {
			if err := handle(ctx, turn, n); err != nil {
				return err
			}
		}
		return nil
	}
}

func number(n int) any             { return n }
func same(value any) func(int) any { return func(int) any { return value } }
func plus(add int) func(int) any   { return func(n int) any { return n + add } }

// times returns numbers below m, each of them once until all were there if they have no factor in common.
func times(factor, m int) func(int) any { return func(n int) any { return n * factor % m } }

func named(what string, number func(int) any) func(int) any {
	return func(n int) any { return fmt.Sprint(what, number(n)) }
}

// play has a handler handle events in one transaction, on tables of their own, and returns what is there then, or who
// failed and why; and how many statements have made the rows of cell which are left.
func (f *fixture) play(how pipeline.How, events int, ddl string, handle handler, look string) (outcome []string, statements int) {
	f.t.Helper()
	var schema string
	require.NoError(f.t, f.pool.QueryRow(f.t.Context(), `SELECT current_schema`).Scan(&schema))
	own := pgx.Identifier{fmt.Sprintf("%s_%x", schema, crc32.ChecksumIEEE([]byte(ddl)))}.Sanitize() // as statements are prepared once a path
	f.exec(`CREATE SCHEMA ` + own)
	defer f.exec(`SET search_path = ` + pgx.Identifier{schema}.Sanitize() + `; DROP SCHEMA ` + own + ` CASCADE`)
	f.exec(`SET search_path = ` + own)
	f.exec(ddl)
	tx := f.begin(pipeline.Options{How: how})
	for n := 0; n < events && f.declare != nil; n++ {
		f.declare(tx, n)
	}
	var err error
	for n := 0; n < events && err == nil; n++ {
		turn := tx.Turn(f.t.Context(), n)
		err = errors.Join(handle(f.t.Context(), turn, n), turn.End(false))
	}
	if err == nil {
		err = tx.Commit(events - 1)
	}
	if event, failed := tx.Failure(); failed != nil {
		err = fmt.Errorf("event %d: %w", event, failed)
	}
	tx.Close()
	if err != nil {
		return []string{err.Error()}, 0
	}
	rows, err := f.pool.Query(f.t.Context(), look)
	require.NoError(f.t, err)
	outcome, err = pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(f.t, err)
	if strings.Contains(ddl, "TABLE cell") {
		statements = f.int(`SELECT count(DISTINCT (xmin::text, cmin::text)) FROM cell WHERE n <> 0`)
	}
	return outcome, statements
}

// requireSame compares what is done together with what is done one by one.
func (f *fixture) requireSame(name string, events int, ddl string, handle handler, look string) (statements int) {
	f.t.Helper()
	want, _ := f.play(pipeline.OneByOne, events, ddl, handle, look)
	for range 2 { // what is prepared already is sent in another order
		var have []string
		have, statements = f.play(pipeline.Together, events, ddl, handle, look)
		require.Equal(f.t, want, have, name)
	}
	return statements
}

// Updates and deletes of keys go together with others of theirs.
func TestRowsThatAreFoundByTheirKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const (
		cells   = `CREATE TABLE cell (key BIGINT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0); INSERT INTO cell SELECT n FROM generate_series(0, 99) n`
		cell    = `SELECT key || ' ' || n FROM cell ORDER BY key`
		pairs   = `CREATE TABLE pair (a UUID, b DATE, n BIGINT DEFAULT 1, note VARCHAR(5), PRIMARY KEY (a, b))`
		places  = `CREATE TABLE place (id INT PRIMARY KEY, name TEXT NOT NULL UNIQUE, visits INT NOT NULL DEFAULT 0); INSERT INTO place SELECT n, 'place ' || n FROM generate_series(0, 199) n`
		place   = `SELECT concat_ws(' ', id, name, visits) FROM place ORDER BY id`
		numbers = `CREATE TABLE amount (n NUMERIC PRIMARY KEY, times INT NOT NULL DEFAULT 0); INSERT INTO amount VALUES (1)`
		codes   = `CREATE TABLE code (c VARCHAR(3) PRIMARY KEY, times INT NOT NULL DEFAULT 0)`
		names   = `CREATE TABLE name (id TEXT PRIMARY KEY, n BIGINT)`
		words   = `CREATE COLLATION loose (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
			CREATE TABLE word (w TEXT COLLATE loose PRIMARY KEY, times INT NOT NULL DEFAULT 0); INSERT INTO word VALUES ('ab')`
	)
	id := func(factor, m int) func(int) any {
		return func(n int) any {
			text := fmt.Sprintf("0000000a-0000-7000-8000-%012d", n*factor%m)
			if n%3 == 0 { // the same one
				text = strings.ToUpper(text)
			}
			return text
		}
	}
	moment := func(n int) any { return time.Date(2026, 11, 28, 0, 0, n*7%50, 0, time.UTC) }
	oneOf := func(values ...any) func(int) any { return func(n int) any { return values[n%len(values)] } }
	for name, c := range map[string]struct {
		ddl    string
		handle handler
		look   string
		most   int // statements that have made the rows; 0 for any
	}{
		"updates that read their row": {cells, does(`UPDATE cell SET n = n * 3 % 1000 + $2 WHERE key = $1`, times(1, 50), plus(1)), cell, 5},
		"several statements in turn": {cells, inTurn(
			does(`INSERT INTO cell (key, n) VALUES ($1, $2)`, plus(100), number),
			does(`UPDATE cell AS c SET n = c.n * 2 % 1009 + $1 WHERE c.key = $2`, number, times(7, 97)),
			does(`UPDATE cell SET n = $2 WHERE key = $1`, times(11, 230), number),
			does(`DELETE FROM cell WHERE key = $1`, times(13, 260)),
		), cell, 100},
		"a key that goes and comes": {cells, inTurn(
			does(`DELETE FROM cell WHERE key = $1`, times(3, 20)),
			does(`INSERT INTO cell AS c (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = c.n + EXCLUDED.n`, times(7, 20), number),
			does(`UPDATE cell SET n = n + 1 WHERE key = $1`, times(11, 20)),
		), cell, 0},
		"an upsert that sets the key": {cells, inTurn(
			does(`UPDATE cell SET n = n + 1 WHERE key = $1`, plus(999)), // of the event before
			does(`INSERT INTO cell AS c (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET key = c.key + 1000`, number, number),
		), cell, 0},
		"an update that sets the key": {cells, inTurn(
			does(`UPDATE cell SET n = n + 1 WHERE key = $1`, plus(999)),
			does(`UPDATE cell SET key = $2 WHERE key = $1`, times(3, 100), plus(1000)),
		), cell, 0},
		"a key of two columns, written one way or another": {pairs, inTurn(
			does(`INSERT INTO pair (a, b) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id(3, 20), same(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))),
			does(`UPDATE pair SET n = n * 2 % 1001 + $3 WHERE b = $2 AND a = $1`, id(7, 20), same(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)), number),
			does(`DELETE FROM pair WHERE a = $1 AND b = $2`, id(11, 20), same(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))),
		), `SELECT concat_ws(' ', a, b, n, note) FROM pair ORDER BY a`, 0},
		"a key that is given in part": {cells, does(`UPDATE cell SET n = n + 1 WHERE key = $1 AND n = $2`, times(1, 50), same(0)), cell, 0},
		"a column that is unique besides": {places, inTurn(
			does(`DELETE FROM place WHERE id = $1`, times(3, 170)),
			does(`INSERT INTO place (id, name) VALUES ($1, $2)`, plus(200), named("place ", times(3, 170))),
			does(`UPDATE place SET visits = visits + 1 WHERE name = $1`, named("place ", times(1, 100))),
			does(`UPDATE place SET visits = visits * 2 % 1009 WHERE id = $1`, times(7, 300)),
		), place, 0},
		"one key and another": {places, inTurn(
			does(`UPDATE place SET visits = visits + 1 WHERE name = $1`, named("place ", times(3, 20))),
			does(`UPDATE place SET visits = visits * 2 % 1009 WHERE id = $1`, times(7, 20)),
		), place, 0},
		"a column that becomes free": {places, inTurn(
			does(`INSERT INTO place (id, name) VALUES ($1, $2)`, plus(200), named("place ", func(n int) any { return (n - 1) * 3 % 170 })),
			does(`DELETE FROM place WHERE id = $1`, times(3, 170)),
		), place, 0},
		"a unique column that changes": {places, inTurn(
			does(`UPDATE place SET name = $2 WHERE id = $1`, times(1, 180), named("none ", number)),
			does(`UPDATE place SET id = $2 WHERE name = $1`, named("none ", plus(-1)), plus(1000)),
		), place, 0},
		"numbers that are equal and don't look it": {numbers, does(`UPDATE amount SET times = times + 1 WHERE n = $1`, oneOf("1", "1.0", "1.00", "1.000", "1.0000")),
			`SELECT times::text FROM amount`, 0},
		"texts that are cut to the same": {codes, inTurn(
			does(`UPDATE code SET times = times + 1 WHERE c = $1`, same("abc")),
			does(`INSERT INTO code AS o (c) VALUES ($1) ON CONFLICT (c) DO UPDATE SET times = o.times * 2 % 1009`, oneOf("abc ", "abc  ", "abc")),
		), `SELECT concat_ws(' ', c, times) FROM code`, 0},
		"texts that are equal and don't look it": {words, does(`UPDATE word SET times = times + 1 WHERE w = $1`, oneOf("ab", "Ab", "aB", "AB")), `SELECT times::text FROM word`, 0},
		"arguments in another order, and again": {cells + `; ALTER TABLE cell ADD made TIMESTAMPTZ, ADD changed TIMESTAMPTZ`, inTurn(
			does(`INSERT INTO cell (n, made, key, changed) VALUES ($2, $3, $1, $3) ON CONFLICT (key) DO UPDATE
				SET n = EXCLUDED.n, made = EXCLUDED.made, changed = greatest(cell.changed, EXCLUDED.changed)`, times(1, 140), number, moment),
			does(`UPDATE cell SET n = n * 2 % 1009 WHERE key = $1`, times(7, 139)),
		), `SELECT concat_ws(' ', key, n, made, changed) FROM cell ORDER BY key`, 60},
		"arguments that are given types": {cells, inTurn(
			does(`INSERT INTO cell (key, n) VALUES ($1::bigint, $2::int)`, plus(100), number),
			does(`UPDATE cell SET n = n * 2 % 1009 + $2::bigint WHERE key = $1::int`, times(7, 97), number),
			does(`DELETE FROM cell WHERE key = $1::smallint`, times(13, 260)),
		), cell, 100},
		"one that is made another type": {cells + `; ALTER TABLE cell ADD m NUMERIC DEFAULT 0`,
			does(`UPDATE cell SET m = m + $2, n = $2::int / 2 WHERE key = $1`, times(1, 100), number), `SELECT concat_ws(' ', key, n, m) FROM cell ORDER BY key`, 0},
		"texts in the statement": {places + `; ALTER TABLE place ADD state TEXT`, inTurn(
			does(`INSERT INTO place (id, name, visits, state) VALUES ($1, $2, $1, 'it''s new') ON CONFLICT (id) DO UPDATE SET state = place.state || ', again'`, plus(150), named("new ", number)),
			does(`UPDATE place SET state = CASE WHEN state IN ('a', 'b') THEN 'c' ELSE $2::text || 'd' END WHERE id = $1`, times(7, 300), named("", number)),
		), `SELECT concat_ws(' ', id, name, visits, state) FROM place ORDER BY id`, 0},
		"a text that is given as a number": {names, inTurn(
			does(`INSERT INTO name (id, n) VALUES ($1::int, 0)`, number),
			does(`UPDATE name SET n = n + 1 WHERE id = $1`, named("", plus(-1))),
			does(`DELETE FROM name WHERE id = $1`, named("", times(7, 150))),
		), `SELECT id || ' ' || n FROM name ORDER BY id`, 0},
		"one that is another type's, too": {names + `; ALTER TABLE name ADD of UUID`, inTurn(
			does(`INSERT INTO name (of, n, id) VALUES ($1::uuid, 0, $1::uuid) ON CONFLICT (id) DO UPDATE SET n = name.n * 2 % 1009 + 1`, id(3, 20)),
			does(`DELETE FROM name WHERE id = $1`, func(n int) any { return strings.ToLower(id(7, 20)(n).(string)) }),
		), `SELECT id || ' ' || n FROM name ORDER BY id`, 0},
		"one that is made somebody's type by a function that looks": {names + `; CREATE TYPE own AS (n BIGINT); ALTER TABLE name ADD m own;
			CREATE FUNCTION look(BIGINT) RETURNS own LANGUAGE sql STABLE AS 'SELECT ROW(count(*))::own FROM name'; CREATE CAST (BIGINT AS own) WITH FUNCTION look AS ASSIGNMENT`,
			does(`INSERT INTO name (n, id, m) VALUES ($1::bigint, $2, $1::bigint)`, number, named("", number)), `SELECT id || ' ' || m FROM name ORDER BY id`, 0},
		"NULL is no key": {cells, does(`UPDATE cell SET n = n + 1 WHERE key = $1`, oneOf(1, nil, 2, 3, nil, 4, 5, 6, 7)), cell, 0},
	} {
		statements := f.requireSame(name, 150, c.ddl, c.handle, c.look)
		if c.most > 0 {
			require.Less(t, statements, c.most, "%s: rows go together", name)
		}
	}
}

// A handler that asks for one row finds what was done to it, and ends no sets of others.
func TestQuestionsForOneRow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, c := range map[string]struct {
		ddl, find string
		most      int
	}{
		"by the key":             {`CREATE TABLE cell (key BIGINT PRIMARY KEY, n BIGINT)`, `SELECT n FROM cell AS c WHERE c.key = $1`, 60},
		"by another query":       {`CREATE TABLE cell (key BIGINT PRIMARY KEY, n BIGINT)`, `SELECT n FROM cell WHERE key + 0 = $1`, 0},
		"by one key of two":      {`CREATE TABLE cell (key BIGINT PRIMARY KEY, n BIGINT UNIQUE)`, `SELECT n FROM cell WHERE key = $1`, 0},
		"by no key":              {`CREATE TABLE cell (key BIGINT, n BIGINT)`, `SELECT n FROM cell WHERE key = $1`, 0},
		"of a view of the table": {`CREATE TABLE cell (key BIGINT PRIMARY KEY, n BIGINT); CREATE VIEW looks AS SELECT * FROM cell`, `SELECT n FROM looks WHERE key = $1`, 0},
	} {
		statements := f.requireSame(name, 150, c.ddl+`; CREATE TABLE seen (at BIGINT, n BIGINT)`, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if err := turn.Exec(ctx, `INSERT INTO cell (key, n) VALUES ($1, $2)`, n, n*7+1); err != nil || n%5 != 0 {
				return err
			}
			var found int64
			if err := turn.QueryRowContext(ctx, c.find, n*7%(n+1)).Scan(&found); err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			return errors.Join(turn.Exec(ctx, `INSERT INTO seen (at, n) VALUES ($1, $2)`, n, found), turn.Exec(ctx, `DELETE FROM cell WHERE key = $1`, n*3%(n+1)))
		}, `SELECT 'seen ' || at || ' ' || n FROM seen UNION ALL SELECT key || ' ' || n FROM cell ORDER BY 1`)
		if c.most > 0 {
			require.Less(t, statements, c.most, "%s: rows go together", name)
		}
	}
}

// Where a change looks at other rows, or somebody looks at it, changes don't go together.
func TestChangesThatSomebodyCouldTell(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const table = `CREATE TABLE cell (key BIGINT PRIMARY KEY, n BIGINT NOT NULL, m BIGINT); INSERT INTO cell SELECT n, n FROM generate_series(0, 9) n;
		CREATE FUNCTION total() RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT sum(n)::bigint FROM cell'; CREATE TABLE told (n BIGINT);`
	for name, ddl := range map[string]string{
		"a trigger":             `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.m = total(); RETURN NEW; END'; CREATE TRIGGER look BEFORE UPDATE ON cell FOR EACH ROW EXECUTE FUNCTION look()`,
		"one of statements":     `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO told SELECT total(); RETURN NULL; END'; CREATE TRIGGER look AFTER UPDATE OR DELETE ON cell EXECUTE FUNCTION look()`,
		"a check":               `ALTER TABLE cell ADD CHECK (total() < 300)`,
		"a generated column":    `ALTER FUNCTION total() IMMUTABLE; ALTER TABLE cell ADD g BIGINT GENERATED ALWAYS AS (total() + 0 * n) STORED`,
		"a rule":                `CREATE RULE look AS ON UPDATE TO cell WHERE NEW.n % 2 = 0 DO ALSO INSERT INTO told SELECT total()`,
		"row security":          `ALTER TABLE cell ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY few ON cell USING (total() < 300)`,
		"a key that cascades":   `CREATE TABLE part (of BIGINT REFERENCES cell ON DELETE CASCADE ON UPDATE CASCADE); INSERT INTO part SELECT key FROM cell`,
		"a deferrable key":      `ALTER TABLE cell ADD UNIQUE (n) DEFERRABLE INITIALLY IMMEDIATE`,
		"an excluded value":     `ALTER TABLE cell ADD EXCLUDE USING btree (n WITH =)`,
		"a unique expression":   `CREATE UNIQUE INDEX ON cell ((n + 1000 * key)) WHERE m IS NULL`,
		"a table that inherits": `CREATE TABLE more () INHERITS (cell); INSERT INTO more SELECT n, 7 FROM generate_series(0, 9) n`,
		"a partition":           `ALTER TABLE cell RENAME TO part; CREATE TABLE cell (LIKE part) PARTITION BY RANGE (key); ALTER TABLE cell ATTACH PARTITION part DEFAULT`,
		"a domain":              `CREATE DOMAIN few AS BIGINT CHECK (total() + VALUE < 300); ALTER TABLE cell ALTER n TYPE few`,
		"a type modifier":       `ALTER TABLE cell ADD x NUMERIC(4, 1)`,
		"nobody (control)":      ``,
	} {
		statements := f.requireSame(name, 40, table+ddl, inTurn(
			does(`UPDATE cell SET n = n * 2 % 101 + $2 WHERE key = $1`, times(1, 10), number),
			does(`DELETE FROM cell WHERE key = $1`, plus(-30))), `SELECT to_jsonb(c)::text FROM cell c UNION ALL SELECT concat('told ', n) FROM told ORDER BY 1`)
		if strings.Contains(name, "control") {
			require.Less(t, statements, 9)
		}
	}
}

// The plan of a statement for many rows is a look into the index for each, also where the table was empty when it was
// made, and has no statistics but that; and handlers find the settings of their connection.
func TestPlansOfManyRows(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const settings = `SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings WHERE name LIKE 'enable%' OR name = 'plan_cache_mode'`
	f.exec(`SET enable_mergejoin = off`)
	var want string
	require.NoError(t, f.pool.QueryRow(t.Context(), settings).Scan(&want))
	f.exec(`CREATE TABLE cell (key INT PRIMARY KEY, n INT NOT NULL); ANALYZE cell`)
	change := func(ctx context.Context, turn *pipeline.Turn, n int) (err error) {
		rows := n
		if n < 300 { // few at first
			rows = n % 10
		}
		if rows == n {
			err = does(`INSERT INTO cell (key, n) VALUES ($1, $2)`, number, number)(ctx, turn, n)
		}
		return errors.Join(err,
			does(`UPDATE cell SET n = n + $2 WHERE key = $1`, func(n int) any { return n * 7 % (rows + 1) }, number)(ctx, turn, n),
			does(`DELETE FROM cell WHERE key = $1`, func(n int) any { return n*11%(rows+1) + 10 })(ctx, turn, n))
	}
	tx := f.begin(pipeline.Options{How: pipeline.Together})
	for n := range 3000 {
		turn := tx.Turn(t.Context(), n)
		require.NoError(t, change(t.Context(), turn, n))
		if n%100 == 99 {
			var have string
			require.NoError(t, turn.QueryRowContext(t.Context(), settings).Scan(&have))
			require.Equal(t, want, have)
		}
		require.NoError(t, turn.End(false))
	}
	var read, looks int
	require.NoError(t, tx.Turn(t.Context(), 0).QueryRowContext(t.Context(), `SELECT seq_tup_read, idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'cell'::regclass`).Scan(&read, &looks))
	require.Greater(t, looks, 5000)
	require.Less(t, read, 100)
	require.NoError(t, tx.Commit(0))
}
