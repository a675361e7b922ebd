package pipeline_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// A look-up that is declared is one of a round trip for all, whatever is done to other keys meanwhile.
func TestRoundTripsOfDeclaredLookUps(t *testing.T) {
	t.Parallel()
	const (
		look   = `SELECT note FROM entry WHERE n = $1`
		update = `UPDATE entry SET note = $2 WHERE n = $1`
		other  = `INSERT INTO line (n) VALUES ($1) ON CONFLICT DO NOTHING`
		odd    = `UPDATE entry SET note = note WHERE n < $1`
	)
	f := newFixture(t)
	f.exec(`CREATE TABLE line (n INT PRIMARY KEY)`)
	for _, c := range []struct {
		name  string
		least int64
		most  int64
		key   func(n int) int
		then  func(ctx context.Context, turn *pipeline.Turn, n int) error
	}{
		{"each its own row", 0, 1, func(n int) int { return n }, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			return errors.Join(turn.Exec(ctx, update, n, "x"), turn.Exec(ctx, other, n))
		}},
		{"the row of the event before", 99, 99, func(n int) int { return n }, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			return turn.Exec(ctx, update, n+1, "x")
		}},
		{"a statement that is not understood, now and then", 3, 3, func(n int) int { return n }, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if n%30 == 29 {
				return turn.Exec(ctx, odd, n)
			}
			return nil
		}},
		{"a statement that is not understood, each time", 99, 99, func(n int) int { return n }, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			return turn.Exec(ctx, odd, n)
		}},
		{"a look-up of another table that is not declared", 100, 100, func(n int) int { return n }, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if err := turn.QueryRowContext(ctx, `SELECT n FROM line WHERE n = $1`, n).Scan(&n); !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			return nil
		}},
		{"rows that are not there", 0, 0, func(n int) int { return n + 1000 }, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			return turn.Exec(ctx, other, n)
		}},
	} {
		t.Run(c.name, func(t *testing.T) { //nolint:paralleltest // there is one connection
			f.exec(`TRUNCATE entry, line`)
			f.exec(`INSERT INTO entry SELECT n FROM generate_series(0, 200) n`)
			for _, again := range []bool{false, true} { // the second time all is prepared
				tx := f.begin(pipeline.Options{})
				defer tx.Close()
				for n := range 100 {
					tx.Foresee(n, look, []any{c.key(n)})
				}
				var before int64
				for n := range 100 {
					turn := tx.Turn(f.t.Context(), n)
					var note sql.NullString
					if err := turn.QueryRowContext(f.t.Context(), look, c.key(n)).Scan(&note); err != nil {
						require.ErrorIs(t, err, sql.ErrNoRows)
					}
					if n == 0 {
						before = f.sends.Load()
					}
					require.NoError(t, c.then(f.t.Context(), turn, n))
					require.NoError(t, turn.End(false))
				}
				trips := f.sends.Load() - before
				require.NoError(t, tx.Commit(0))
				tx.Close()
				if again {
					require.LessOrEqual(t, trips, c.most)
					require.GreaterOrEqual(t, trips, c.least)
				}
			}
		})
	}
}

// looks makes a handler that looks a row up, after it has declared that, and writes down what it has found.
func looks(query string, args ...func(n int) any) (declare func(tx *pipeline.Tx, n int), handle handler) {
	arguments := func(n int) []any {
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg(n)
		}
		return values
	}
	declare = func(tx *pipeline.Tx, n int) { tx.Foresee(n, query, arguments(n)) }
	handle = func(ctx context.Context, turn *pipeline.Turn, n int) error {
		rows, err := turn.QueryContext(ctx, query, arguments(n)...)
		if err != nil {
			return err
		}
		columns, err := rows.Columns()
		found := fmt.Sprint(n, " ", columns)
		for err == nil && rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			err = rows.Scan(into...)
			found += fmt.Sprintf(" %#v", values)
		}
		return errors.Join(err, rows.Err(), rows.Close(), turn.Exec(ctx, `INSERT INTO seen (what) VALUES ($1)`, found))
	}
	return declare, handle
}

// What a handler finds is what is there, whatever the page has done to it.
func TestDeclaredLookUpsSeeThePage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const (
		cells  = `CREATE TABLE cell (key BIGINT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0, note TEXT); INSERT INTO cell (key, n) SELECT n, n FROM generate_series(0, 99) n;`
		cell   = `SELECT n, note FROM cell WHERE key = $1`
		places = `CREATE TABLE cell (id INT PRIMARY KEY, name TEXT NOT NULL UNIQUE, n INT NOT NULL DEFAULT 0); INSERT INTO cell SELECT n, 'place ' || n, 0 FROM generate_series(0, 99) n;`
	)
	oneOf := func(values ...any) func(int) any { return func(n int) any { return values[n%len(values)] } }
	day := func(n int) any { return time.Date(2026, 11, 1+n%20, 0, 0, 0, 0, time.UTC) }
	id := func(n int) any {
		text := fmt.Sprintf("0000000a-0000-7000-8000-%012d", n%20)
		if n%3 == 0 {
			text = strings.ToUpper(text)
		}
		return text
	}
	for name, c := range map[string]struct {
		ddl   string
		query string
		args  []func(n int) any
		then  handler
	}{
		"updates of the row":       {cells, cell, []func(int) any{times(7, 50)}, does(`UPDATE cell SET n = n * 3 % 1000 + $2 WHERE key = $1`, times(7, 50), number)},
		"updates of another row":   {cells, cell, []func(int) any{times(7, 50)}, does(`UPDATE cell SET n = n * 3 % 1000 + $2 WHERE key = $1`, times(11, 50), number)},
		"upserts":                  {cells, cell, []func(int) any{times(7, 150)}, does(`INSERT INTO cell AS c (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = c.n + EXCLUDED.n`, times(11, 150), number)},
		"upserts that set the key": {cells, cell, []func(int) any{times(7, 150)}, does(`INSERT INTO cell AS c (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET key = c.key + 1000`, times(11, 150), number)},
		"inserts":                  {cells, cell, []func(int) any{func(n int) any { return 100 + n*7%(n+2) }}, does(`INSERT INTO cell (key, n) VALUES ($1, $2)`, plus(100), number)},
		"deletes and inserts":      {cells, cell, []func(int) any{times(7, 20)}, inTurn(does(`DELETE FROM cell WHERE key = $1`, times(3, 20)), does(`INSERT INTO cell (key, n) VALUES ($1, $2) ON CONFLICT DO NOTHING`, times(11, 20), number))},
		"updates of the key":       {cells, cell, []func(int) any{times(7, 150)}, does(`UPDATE cell SET key = $2 WHERE key = $1`, times(3, 100), plus(100))},
		"updates of many": {cells, cell, []func(int) any{times(7, 50)}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if n%10 > 0 {
				return nil
			}
			return does(`UPDATE cell SET n = n + 1 WHERE key > $1`, times(7, 50))(ctx, turn, n)
		}},
		"an emptied table": {cells, cell, []func(int) any{number}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if n != 30 {
				return nil
			}
			return does(`TRUNCATE cell`)(ctx, turn, n)
		}},
		"several in a text": {cells, cell, []func(int) any{times(7, 50)}, does(`UPDATE cell SET n = n + 1; DELETE FROM cell WHERE key = 13`)},
		"a write in a query": {cells, cell, []func(int) any{times(7, 50)}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			return turn.QueryRowContext(ctx, `UPDATE cell SET n = n + 1 WHERE key = $1 RETURNING n`, n*3%50).Scan(&n)
		}},
		"a write in a function": {cells + `CREATE FUNCTION hit(k BIGINT) RETURNS BIGINT LANGUAGE sql AS 'UPDATE cell SET n = n + 1 WHERE key = k RETURNING n'`, cell, []func(int) any{times(7, 50)}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			return turn.QueryRowContext(ctx, `SELECT hit($1)`, n*3%50).Scan(&n)
		}},
		"a write in a view": {cells + `CREATE FUNCTION hit(k BIGINT) RETURNS BIGINT LANGUAGE sql AS 'UPDATE cell SET n = n + 1 WHERE key = k + 1 RETURNING n'; CREATE VIEW look AS SELECT key, hit(key) AS n FROM cell`,
			cell, []func(int) any{times(7, 50)}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
				return turn.QueryRowContext(ctx, `SELECT n FROM look WHERE key = $1`, n*3%50).Scan(&n)
			}},
		"a prepared write": {cells, cell, []func(int) any{times(7, 50)}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			stmt, err := turn.PrepareContext(ctx, `UPDATE cell SET n = n + 1 WHERE key = $1`)
			if err != nil {
				return err
			}
			_, err = stmt.ExecContext(ctx, n*3%50)
			return errors.Join(err, stmt.Close())
		}},
		"a write of pgx": {cells, cell, []func(int) any{times(7, 50)}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if n%20 > 0 {
				return nil
			}
			_, err := turn.Pgx().Exec(ctx, `UPDATE cell SET n = n + 1`)
			return err
		}},
		"a write that is taken back": {cells, cell, []func(int) any{times(7, 50)}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if n%20 > 0 {
				return does(`UPDATE cell SET n = n + 1 WHERE key = $1`, times(3, 50))(ctx, turn, n)
			}
			return inTurn(does(`SAVEPOINT a`), does(`UPDATE cell SET n = n + 1 WHERE key = $1`, times(3, 50)), does(`ROLLBACK TO SAVEPOINT a`))(ctx, turn, n)
		}},
		"a write under another name": {cells, cell, []func(int) any{times(7, 50)}, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			var schema string
			if err := turn.QueryRowContext(ctx, `SELECT current_schema`).Scan(&schema); err != nil || n%10 == 0 {
				return err
			}
			return turn.Exec(ctx, `UPDATE "`+schema+`".cell SET n = n + 1 WHERE key = $1`, n*3%50)
		}},
		"writes of another table": {cells + `CREATE TABLE other (key BIGINT PRIMARY KEY, n BIGINT)`, cell, []func(int) any{times(7, 50)}, does(`INSERT INTO other (key, n) VALUES ($1, $2)`, number, number)},
		"a trigger of another table": {cells + `CREATE TABLE other (key BIGINT PRIMARY KEY); CREATE FUNCTION hit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE cell SET n = n + 1; RETURN NULL; END';
			CREATE TRIGGER hit AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION hit()`, cell, []func(int) any{times(7, 50)}, does(`INSERT INTO other (key) VALUES ($1)`, number)},
		"a rule of another table": {cells + `CREATE TABLE other (key BIGINT PRIMARY KEY); CREATE RULE hit AS ON INSERT TO other DO ALSO UPDATE cell SET n = n + 1`, cell, []func(int) any{times(7, 50)},
			does(`INSERT INTO other (key) VALUES ($1)`, number)},
		"a cascade": {cells + `CREATE TABLE other (key BIGINT PRIMARY KEY); INSERT INTO other SELECT key FROM cell; ALTER TABLE cell ADD FOREIGN KEY (key) REFERENCES other ON DELETE CASCADE`,
			cell, []func(int) any{times(7, 50)}, does(`DELETE FROM other WHERE key = $1`, times(3, 50))},
		"a trigger of the table": {cells + `CREATE FUNCTION hit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE cell SET n = n + 1; RETURN NULL; END';
			CREATE TRIGGER hit AFTER INSERT ON cell FOR EACH ROW EXECUTE FUNCTION hit()`, cell, []func(int) any{times(7, 50)}, does(`INSERT INTO cell (key) VALUES ($1)`, plus(100))},
		"a trigger that comes": {cells + `CREATE FUNCTION hit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE cell SET note = ''hit'' WHERE key <> NEW.key AND note IS NULL; RETURN NULL; END'`, cell, []func(int) any{times(7, 50)},
			func(ctx context.Context, turn *pipeline.Turn, n int) error {
				if n == 20 {
					return does(`CREATE TRIGGER hit AFTER UPDATE ON cell FOR EACH ROW EXECUTE FUNCTION hit()`)(ctx, turn, n)
				}
				return does(`UPDATE cell SET n = n + 1 WHERE key = $1`, times(3, 50))(ctx, turn, n)
			}},
		"a table that inherits": {cells + `CREATE TABLE more () INHERITS (cell); INSERT INTO more SELECT n, 7 FROM generate_series(0, 9) n`, cell, []func(int) any{times(7, 50)},
			does(`UPDATE more SET n = n + 1 WHERE key = $1`, times(3, 10))},
		"one key of two, the other one writes":          {places, `SELECT n FROM cell WHERE id = $1`, []func(int) any{times(7, 50)}, does(`UPDATE cell SET n = n + 1 WHERE name = $1`, named("place ", times(3, 50)))},
		"one key of two writes, the other one is asked": {places, `SELECT id, n FROM cell WHERE name = $1`, []func(int) any{named("place ", times(3, 50))}, does(`UPDATE cell SET n = n + 1 WHERE id = $1`, times(7, 50))},
		"a key that is taken over": {places, `SELECT id, n FROM cell WHERE name = $1`, []func(int) any{named("place ", times(3, 150))}, inTurn(
			does(`DELETE FROM cell WHERE id = $1`, times(3, 100)), does(`INSERT INTO cell (id, name) VALUES ($1, $2)`, plus(1000), named("place ", plus(100))))},
		"no key":                    {cells, `SELECT key, note FROM cell WHERE n = $1`, []func(int) any{times(7, 50)}, does(`UPDATE cell SET n = $2 WHERE key = $1`, times(3, 50), times(11, 50))},
		"NULL":                      {cells, cell, []func(int) any{oneOf(nil, 1, 2, nil, 3)}, does(`UPDATE cell SET n = n + 1 WHERE key = $1`, oneOf(1, nil, 2, 3))},
		"NULL is not an empty text": {`CREATE TABLE cell (key TEXT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0); INSERT INTO cell VALUES (''), ('a')`, `SELECT n FROM cell WHERE key = $1`, []func(int) any{oneOf(nil, "", "a", nil)}, does(`UPDATE cell SET n = n + 1 WHERE key = $1`, oneOf("", nil, "a"))},
		"all columns":               {cells, `SELECT *, c.*, c.n AS again FROM cell c WHERE c.key = $1; -- all`, []func(int) any{times(7, 50)}, does(`UPDATE cell SET n = n + 1, note = $2 WHERE key = $1`, times(3, 50), named("", number))},
		"columns of a name": {`CREATE TABLE cell (key BIGINT PRIMARY KEY, readview_1 BIGINT, readview_n BIGINT, readview_given TEXT, n BIGINT); INSERT INTO cell SELECT n, n + 1, 1, '', 0 FROM generate_series(0, 99) n`,
			`SELECT key, readview_1, readview_n, readview_given FROM cell WHERE key = $1`, []func(int) any{times(7, 150)}, does(`INSERT INTO cell (key, readview_1) VALUES ($1, $2)`, plus(100), number)},
		"a table of a name": {`CREATE TABLE readview_given (key BIGINT PRIMARY KEY, readview_1 BIGINT); INSERT INTO readview_given SELECT n, n + 1 FROM generate_series(0, 99) n`,
			`SELECT key, readview_1 FROM readview_given WHERE key = $1`, []func(int) any{times(7, 150)}, does(`INSERT INTO readview_given (key, readview_1) VALUES ($1, $2)`, plus(100), number)},
		"two columns, written one way or another": {`CREATE TABLE cell (a UUID, b DATE, n BIGINT DEFAULT 1, x BYTEA DEFAULT '', j JSONB DEFAULT '{"a": 1}', e TEXT DEFAULT '', PRIMARY KEY (a, b)); INSERT INTO cell (a, b)
				SELECT ('0000000a-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '2026-11-01'::date + n % 20 FROM generate_series(0, 15) n`,
			`SELECT * FROM cell WHERE b = $2 AND a = $1`, []func(int) any{id, day}, does(`UPDATE cell SET n = n * 2 % 1001 + $3 WHERE a = $1 AND b = $2`, id, day, number)},
		"numbers that are equal and don't look it": {`CREATE TABLE cell (key NUMERIC PRIMARY KEY, n INT NOT NULL DEFAULT 0); INSERT INTO cell VALUES (1)`, `SELECT n FROM cell WHERE key = $1`, []func(int) any{oneOf("1", "1.0", "1.00")},
			does(`UPDATE cell SET n = n + 1 WHERE key = $1`, oneOf("1.000", "1"))},
		"a text with a length": {`CREATE TABLE cell (key VARCHAR(3) PRIMARY KEY, n INT NOT NULL DEFAULT 0); INSERT INTO cell VALUES ('abc')`, `SELECT n FROM cell WHERE key = $1`, []func(int) any{oneOf("abc", "abc ", "ab")},
			does(`INSERT INTO cell AS o (key) VALUES ($1) ON CONFLICT (key) DO UPDATE SET n = o.n + 1`, oneOf("abc ", "abc"))},
		"other numbers of the types": {`CREATE TABLE cell (key SMALLINT PRIMARY KEY, n INT NOT NULL DEFAULT 0); INSERT INTO cell SELECT n FROM generate_series(-9, 9) n`, `SELECT n FROM cell WHERE key = $1`, []func(int) any{oneOf(-1, int64(1), "2", int16(3))},
			does(`UPDATE cell SET n = n + 1 WHERE key = $1`, oneOf(1, "-1", int64(3)))},
	} {
		declare, look := looks(c.query, c.args...)
		ddl := c.ddl + `; CREATE TABLE seen (id BIGINT GENERATED ALWAYS AS IDENTITY, what TEXT)`
		want, _ := f.play(pipeline.OneByOne, 80, ddl, inTurn(look, c.then), `SELECT what FROM seen ORDER BY id`)
		for _, all := range []bool{true, false} { // the second time all is prepared already
			f.declare = func(tx *pipeline.Tx, n int) {
				if all || n%3 > 0 {
					declare(tx, n)
				} else {
					declare(tx, n+1)
				}
			}
			have, _ := f.play(pipeline.Together, 80, ddl, inTurn(look, c.then), `SELECT what FROM seen ORDER BY id`)
			require.Equal(t, want, have, "%s, all of them declared: %v", name, all)
		}
		f.declare = nil
		require.Len(t, want, 80, name)
	}
}

// An answer that was fetched before is one all the same: it has to be read, and nothing else may be done meanwhile.
func TestDeclaredLookUpsAreRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`INSERT INTO entry SELECT n, NULLIF('', repeat(' ', n)) FROM generate_series(0, 9) n`)
	const look = `SELECT note FROM entry WHERE n = $1`
	begin := func() (*pipeline.Tx, *pipeline.Turn) {
		tx := f.begin(pipeline.Options{})
		for n := range 10 {
			tx.Foresee(n, look, []any{n})
		}
		turn := tx.Turn(t.Context(), 0)
		var note sql.NullString
		require.NoError(t, turn.QueryRowContext(t.Context(), look, 0).Scan(&note))
		require.False(t, note.Valid)
		require.NoError(t, turn.End(false))
		return tx, tx.Turn(t.Context(), 1)
	}
	const locks = `SELECT count(*) FROM pg_locks WHERE relation = 'entry'::regclass AND mode = 'RowExclusiveLock' AND pid = pg_backend_pid()`
	tx, turn := begin()
	var held int
	require.NoError(t, turn.QueryRowContext(t.Context(), locks).Scan(&held))
	require.Zero(t, held, "a table that is only read is not locked as one that is written")
	tx.Close()

	for _, one := range []bool{false, true} {
		tx, turn := begin()
		sends := f.sends.Load()
		if one {
			_ = turn.QueryRowContext(t.Context(), look, 1)
		} else {
			_, err := turn.QueryContext(t.Context(), look, 1) //nolint:rowserrcheck,sqlclosecheck // it leaves them open
			require.NoError(t, err)
		}
		require.Equal(t, sends, f.sends.Load())
		require.ErrorContains(t, turn.End(false), "left the rows of a query open")
		tx.Close()
	}

	tx, turn = begin()
	rows, err := turn.QueryContext(t.Context(), look, 2)
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.ErrorContains(t, turn.Exec(t.Context(), insert, 100), "while it reads the rows")
	require.Error(t, turn.End(false))
	tx.Close()

	tx, turn = begin()
	for range 2 { // none
		rows, err := turn.QueryContext(t.Context(), look, 11)
		require.NoError(t, err)
		require.False(t, rows.Next())
		require.NoError(t, rows.Err())
	}
	rows, err = turn.QueryContext(t.Context(), look, 3)
	require.NoError(t, err)
	for rows.Next() {
		var note sql.NullString
		require.NoError(t, rows.Scan(&note))
		require.Equal(t, sql.NullString{String: "", Valid: true}, note)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, turn.Exec(t.Context(), insert, 100))
	require.NoError(t, turn.End(false))
	require.NoError(t, tx.Turn(t.Context(), 4).QueryRowContext(t.Context(), locks).Scan(&held))
	require.Equal(t, 1, held)
	require.NoError(t, tx.Commit(4))
	tx.Close()
}

// Where look-ups can't be fetched together, the page is applied again without, and nothing is fetched from then on. What has failed
// before names its own event.
func TestLookUpsThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const look = `SELECT note FROM entry WHERE n = $1`
	page := func(first int) (found, together error) {
		tx := f.begin(pipeline.Options{})
		defer tx.Close()
		for n := range 10 {
			tx.Foresee(n, look, []any{n})
		}
		turn := tx.Turn(t.Context(), 0)
		require.NoError(t, turn.Exec(t.Context(), insert, first))
		var note sql.NullString
		found = turn.QueryRowContext(t.Context(), look, 1).Scan(&note)
		_ = turn.End(false)
		_, together = tx.Failure()
		return found, together
	}
	f.exec(`INSERT INTO entry SELECT n FROM generate_series(0, 9) n`)
	found, together := page(0)
	require.ErrorContains(t, found, "entry_pkey")
	require.NotErrorIs(t, together, pipeline.ErrTogether)

	var role string
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT 'reader_' || md5(current_database() || current_schema || random())`).Scan(&role))
	f.exec(`CREATE ROLE ` + role)
	defer f.exec(`RESET ROLE; DROP OWNED BY ` + role + `; DROP ROLE ` + role)
	f.exec(`DO $$BEGIN EXECUTE 'GRANT USAGE ON SCHEMA ' || quote_ident(current_schema) || ' TO ` + role + `'; END$$`)
	f.exec(`GRANT SELECT (n, note), INSERT ON entry TO ` + role + `; SET ROLE ` + role)
	found, together = page(100)
	require.ErrorContains(t, found, "permission denied")
	require.ErrorIs(t, together, pipeline.ErrTogether)
	found, together = page(100)
	require.NoError(t, errors.Join(found, together))
}
