package readview_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview"
)

// fill inserts a row for each event, with nothing but its number.
func fill(ctx context.Context, tx readview.Tx, e *Filled) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO filled (n) VALUES ($1)`, e.N)
	return err
}

// playFilled projects so many events in pages of a size, and returns the manager.
func playFilled(b *bank, pageEvents int, handler func(context.Context, readview.Tx, *Filled) error) *readview.Manager {
	config := fast()
	config.PageEvents, config.Attempts = pageEvents, 1
	manager, router := b.manager(config, readview.Projection{Name: "filled", Handlers: readview.Handlers{readview.On(handler)}})
	b.start(router)
	return manager
}

// Where a row looks at the rows before it, rows don't go together: the outcome is that
// of pages of one event.
func TestRowsThatLookAtTheirTable(t *testing.T) {
	t.Parallel()
	const rows = `CREATE FUNCTION rows() RETURNS BIGINT LANGUAGE %s %s AS 'SELECT count(*) FROM filled';`
	stable := fmt.Sprintf(rows, "sql", "STABLE")
	lying := fmt.Sprintf(rows, "sql", "IMMUTABLE")
	volatile := `CREATE FUNCTION rows() RETURNS BIGINT LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM filled); END';`
	for name, ddl := range map[string]string{
		"a default":                       `CREATE TABLE filled (n BIGINT, m BIGINT); ` + stable + `ALTER TABLE filled ALTER m SET DEFAULT rows() + 1`,
		"a default that is volatile":      `CREATE TABLE filled (n BIGINT, m BIGINT); ` + volatile + `ALTER TABLE filled ALTER m SET DEFAULT rows() + 1`,
		"a default inside another's":      `CREATE TABLE filled (n BIGINT, m BIGINT); ` + stable + `ALTER TABLE filled ALTER m SET DEFAULT coalesce(nullif(rows() + 1, 0), 7)`,
		"a builtin that looks":            `CREATE TABLE filled (n BIGINT, m BIGINT DEFAULT 0); ` + stable + `ALTER TABLE filled ALTER m SET DEFAULT (xpath('count(//row)', query_to_xml('SELECT n FROM filled', false, false, '')))[1]::text::numeric::bigint + 1`,
		"a check":                         `CREATE TABLE filled (n BIGINT); ` + stable + `ALTER TABLE filled ADD CHECK (rows() < 5)`,
		"a check of a column":             `CREATE TABLE filled (n BIGINT); ` + lying + `ALTER TABLE filled ADD CONSTRAINT five CHECK (n > 0 AND rows() < 5)`,
		"a domain":                        `CREATE TABLE filled (); ` + stable + `CREATE DOMAIN few AS BIGINT CHECK (rows() < 5); ALTER TABLE filled ADD n few`,
		"a domain over a domain":          `CREATE TABLE filled (); ` + stable + `CREATE DOMAIN few AS BIGINT CHECK (rows() < 5); CREATE DOMAIN fewer AS few; ALTER TABLE filled ADD n fewer`,
		"a domain of another column":      `CREATE TABLE filled (n BIGINT); ` + stable + `CREATE DOMAIN few AS BIGINT DEFAULT 1 CHECK (rows() < 5); ALTER TABLE filled ADD m few`,
		"an index of some rows":           `CREATE TABLE filled (n BIGINT); CREATE FUNCTION few(BIGINT) RETURNS BOOL LANGUAGE sql IMMUTABLE AS 'SELECT count(*) > 4 FROM filled'; CREATE UNIQUE INDEX ON filled ((1)) WHERE few(n)`,
		"a generated column":              `CREATE TABLE filled (n BIGINT); CREATE FUNCTION few(BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS 'SELECT count(*) FROM filled'; ALTER TABLE filled ADD m BIGINT GENERATED ALWAYS AS (few(n) + 1) STORED`,
		"an operator of ours":             `CREATE TABLE filled (n BIGINT, m BIGINT); CREATE FUNCTION few(BIGINT, BIGINT) RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT $1 + $2 + count(*) FROM filled'; CREATE OPERATOR |+| (LEFTARG = BIGINT, RIGHTARG = BIGINT, FUNCTION = few); ALTER TABLE filled ALTER m SET DEFAULT 1::bigint |+| 0::bigint`,
		"a trigger":                       `CREATE TABLE filled (n BIGINT, m BIGINT); CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.m = (SELECT count(*) + 1 FROM filled); RETURN NEW; END'; CREATE TRIGGER few BEFORE INSERT ON filled FOR EACH ROW EXECUTE FUNCTION few()`,
		"a rule":                          `CREATE TABLE filled (n BIGINT, m BIGINT); CREATE RULE few AS ON INSERT TO filled WHERE NEW.n % 2 = 0 DO INSTEAD UPDATE filled SET m = coalesce(m, 0) + 1`,
		"row security":                    `CREATE TABLE filled (n BIGINT, m BIGINT); ALTER TABLE filled ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY few ON filled USING ((SELECT count(*) FROM filled) < 5)`,
		"a view":                          `CREATE TABLE really (n BIGINT, m BIGINT DEFAULT 1); CREATE VIEW filled AS SELECT n, m FROM really`,
		"what looks at nothing (control)": `CREATE TABLE filled (n BIGINT CHECK (n < abs(-7)), m BIGINT DEFAULT abs(-3), at TIMESTAMPTZ DEFAULT now(), day DATE DEFAULT CURRENT_DATE); CREATE INDEX ON filled (n) WHERE n > 3`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var outcomes [][]string
			for _, pageEvents := range []int{1, 1000} {
				b := newFilled(t, 8, ddl)
				manager := playFilled(b, pageEvents, fill)
				err := manager.WaitFor(t.Context(), 1008, "filled")
				outcome := b.rows(`SELECT (to_jsonb(f) - 'at' - 'day')::text FROM (SELECT * FROM filled) f ORDER BY 1`)
				outcomes = append(outcomes, append(outcome, fmt.Sprint(err != nil, b.int(`SELECT position FROM readviews`))))
			}
			require.Equal(t, outcomes[0], outcomes[1])
		})
	}
}

// A table that changes while connections are open is looked at anew.
func TestTablesThatChange(t *testing.T) {
	t.Parallel()
	const rows = `CREATE FUNCTION rows() RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT count(*) FROM filled';`
	for name, ddl := range map[string]string{
		"a default":   rows + `ALTER TABLE filled ALTER m SET DEFAULT rows() + 1`,
		"a trigger":   `CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.m = (SELECT count(*) + 1 FROM filled); RETURN NEW; END'; CREATE TRIGGER few BEFORE INSERT ON filled FOR EACH ROW EXECUTE FUNCTION few()`,
		"another one": rows + `DROP TABLE filled; CREATE TABLE filled (n BIGINT, m BIGINT DEFAULT rows() + 1)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFilled(t, 50, `CREATE TABLE filled (n BIGINT, m BIGINT)`)
			manager := playFilled(b, 1000, fill)
			b.waitFor(manager, 1050, "filled")
			require.EqualValues(t, 50, b.int(`SELECT count(*) FROM filled`))
			b.exec(`TRUNCATE filled`)
			b.exec(ddl)
			require.NoError(t, manager.Pause(t.Context(), "filled"))
			b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
				SELECT 2000 + n, gen_random_uuid(), 'Filled', 'b', n, 1, now(), json_build_object('N', n) FROM generate_series(1, 6) n`)
			require.NoError(t, manager.Resume(t.Context(), "filled"))
			b.waitFor(manager, 2006, "filled")
			require.Equal(t, []string{"1 1", "2 2", "3 3", "4 4", "5 5", "6 6"}, b.rows(`SELECT n || ' ' || m FROM filled ORDER BY n`))
		})
	}
}

// A handler that changes a table finds the change in its next statements.
func TestAHandlerThatChangesItsTable(t *testing.T) {
	t.Parallel()
	b := newFilled(t, 8, `CREATE TABLE filled (n BIGINT, m BIGINT); CREATE FUNCTION rows() RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT count(*) FROM filled'`)
	manager := playFilled(b, 1000, func(ctx context.Context, tx readview.Tx, e *Filled) error {
		if e.N == 4 {
			if _, err := tx.ExecContext(ctx, `ALTER TABLE filled ALTER m SET DEFAULT rows() + 1`); err != nil {
				return err
			}
		}
		return fill(ctx, tx, e)
	})
	b.waitFor(manager, 1008, "filled")
	require.Equal(t, []string{"1 -", "2 -", "3 -", "4 4", "5 5", "6 6", "7 7", "8 8"}, b.rows(`SELECT n || ' ' || coalesce(m::text, '-') FROM filled ORDER BY n`))
}

// What can't go together is found out once: pages don't run twice for ever.
func TestWhatCanNotGoTogetherIsFoundOutOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ddl    string
		insert string
		value  func(n int) any
		calls  int
	}{
		"a composite type": {`CREATE TYPE pair AS (a INT, b TEXT); CREATE TABLE filled (n pair)`, `INSERT INTO filled (n) VALUES ($1)`,
			func(n int) any { return pair{n, "b"} }, 100},
		"keys that are equal and don't look it": {`CREATE TABLE filled (n NUMERIC PRIMARY KEY, m INT)`, `INSERT INTO filled AS f (n, m) VALUES ($1, 1) ON CONFLICT (n) DO UPDATE SET m = f.m + 1`,
			func(n int) any { return []string{"1", "1.0", "1.00"}[n%3] }, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t, func(config *pgxpool.Config) {
				config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
					if dataType, err := conn.LoadType(ctx, "pair"); err == nil {
						conn.TypeMap().RegisterType(dataType)
					}
					return nil
				}
			})
			b = b.filled(100, c.ddl)
			b.pool.Reset() // for connections that know the type
			calls := 0
			manager := playFilled(b, 10, func(ctx context.Context, tx readview.Tx, e *Filled) error {
				calls++
				_, err := tx.ExecContext(ctx, c.insert, c.value(e.N))
				return err
			})
			b.waitFor(manager, 1100, "filled")
			require.LessOrEqual(t, calls, c.calls+30)
		})
	}
}

type pair struct {
	A int
	B string
}

// A pool's connections may be set to types of their own; a semicolon or a comment takes
// nothing of the speed.
func TestInsertsWithAnEnd(t *testing.T) {
	t.Parallel()
	for _, query := range []string{`INSERT INTO filled (n) VALUES ($1);`, "INSERT INTO filled (n) -- one\nVALUES ($1) /* row */ ; -- each"} {
		b := newFilled(t, 100, `CREATE TABLE filled (n BIGINT)`)
		manager := playFilled(b, 1000, func(ctx context.Context, tx readview.Tx, e *Filled) error {
			_, err := tx.ExecContext(ctx, query, e.N)
			return err
		})
		b.waitFor(manager, 1100, "filled")
		require.Less(t, b.int(`SELECT count(*) FROM (SELECT DISTINCT cmin::text FROM filled) s`), int64(5), "rows go together")
	}
}
