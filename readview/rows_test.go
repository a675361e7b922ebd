package readview_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// Filled is an event whose row has a column of many types.
type Filled struct {
	eventsourced.BaseEvent
	N int
}

// newFilled returns a bank with a log of so many of them, the last one at 1000 + events,
// and a table.
func newFilled(t *testing.T, events int, ddl string) *bank {
	t.Helper()
	return newBank(t).filled(events, ddl)
}

func (b *bank) filled(events int, ddl string) *bank {
	t := b.t
	t.Helper()
	b.exec(ddl)
	registry, err := eventsourced.NewRegistry(eventsourced.Type[Filled]("Filled"))
	require.NoError(t, err)
	b.store = pgstore.New(b.pool, registry, pgstore.Config{})
	t.Cleanup(b.store.Close)
	b.exec(fmt.Sprintf(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT 1000 + n, gen_random_uuid(), 'Filled', 'a', n, 1, now(), json_build_object('N', n) FROM generate_series(1, %d) n`, events))
	return b
}

const allTypes = `CREATE TABLE filled (n INT PRIMARY KEY, id UUID, flag BOOL, small SMALLINT, big BIGINT, amount NUMERIC(10,2), ratio FLOAT8,
	at TIMESTAMPTZ, day DATE, raw BYTEA, doc JSONB, plain JSON, name VARCHAR(40), code CHAR(8), note TEXT, seen BIGINT GENERATED ALWAYS AS IDENTITY)`

func onFilled(ctx context.Context, tx readview.Tx, e *Filled) error {
	var note any = fmt.Sprintf(`{"%d", \ NULL, ''}`, e.N)
	if e.N%3 == 0 {
		note = nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO filled (n, id, flag, small, big, amount, ratio, at, day, raw, doc, plain, name, code, note)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		e.N, fmt.Sprintf("00000000-0000-7000-8000-%012d", e.N), e.N%2 == 0, int16(e.N), int64(e.N)<<40, fmt.Sprintf("%d.125", e.N), float64(e.N)/3,
		time.Unix(int64(e.N), 0), "2026-11-25", []byte{byte(e.N), 0, '"'}, fmt.Sprintf(`{"n": "\\ %d"}`, e.N), []byte(`[1, "a"]`),
		sql.NullString{String: "NULL", Valid: e.N%2 == 0}, "x", note)
	return err
}

// Rows that go together are what they are one by one, in columns of any type; and on
// a table whose triggers could tell the difference they don't go together.
func TestRowsOfSeveralEvents(t *testing.T) {
	t.Parallel()
	const events = 600
	play := func(pageEvents int, ddl string) (contents string, statements int64) {
		b := newFilled(t, events, ddl)
		config := fast()
		config.PageEvents = pageEvents
		manager, router := b.manager(config, readview.Projection{Name: "filled", Handlers: readview.Handlers{readview.On(onFilled)}})
		b.start(router)
		b.waitFor(manager, 1000+events, "filled")
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT string_agg(f::text, chr(10) ORDER BY seen) FROM filled f`).Scan(&contents))
		return contents, b.int(`SELECT count(*) FROM (SELECT DISTINCT xmin::text, cmin::text FROM filled) s`)
	}
	alone, statements := play(1, allTypes)
	require.EqualValues(t, events, statements)
	together, statements := play(events, allTypes)
	require.Equal(t, alone, together)
	require.Less(t, statements, int64(10))
	_, statements = play(events, allTypes+`; CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER look AFTER INSERT ON filled FOR EACH ROW EXECUTE FUNCTION look()`)
	require.EqualValues(t, events, statements)
}

// A table from which triggers were dropped is one without, and one that gets a trigger after that is
// noticed: what the catalogue says of its having some does not change by either.
func TestTableThatHadTriggers(t *testing.T) {
	t.Parallel()
	const events = 100
	b := newFilled(t, events, allTypes+`; CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER look AFTER INSERT ON filled FOR EACH ROW EXECUTE FUNCTION look(); DROP TRIGGER look ON filled`)
	manager, router := b.manager(fast(), readview.Projection{Name: "filled", Handlers: readview.Handlers{readview.On(onFilled)}, Reset: readview.Truncate("filled")})
	b.start(router)
	b.waitFor(manager, 1000+events, "filled")
	statements := func() int64 {
		return b.int(`SELECT count(*) FROM (SELECT DISTINCT xmin::text, cmin::text FROM filled) s`)
	}
	require.Less(t, statements(), int64(10))
	b.exec(`CREATE TRIGGER look AFTER INSERT ON filled FOR EACH ROW EXECUTE FUNCTION look()`)
	require.NoError(t, manager.ResetProjection(t.Context(), "filled"))
	b.waitFor(manager, 1000+events, "filled")
	require.EqualValues(t, events, statements())
}

// Rows of one key are of different statements, and none is lost between them.
func TestRowsOfOneKey(t *testing.T) {
	t.Parallel()
	for _, keys := range []int{1, 3, 300} {
		b := newFilled(t, 900, `CREATE TABLE tally (n INT PRIMARY KEY, times INT)`)
		onFilled := func(ctx context.Context, tx readview.Tx, e *Filled) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO tally AS t (n, times) VALUES ($1, $2)
				ON CONFLICT (n) DO UPDATE SET times = t.times + EXCLUDED.times`, e.N%keys, 1)
			return err
		}
		manager, router := b.manager(fast(), readview.Projection{Name: "filled", Handlers: readview.Handlers{readview.On(onFilled)}})
		b.start(router)
		b.waitFor(manager, 1900, "filled")
		require.Equal(t, []string{fmt.Sprint(keys, " ", 900/keys)}, b.rows(`SELECT count(*) || ' ' || times FROM tally GROUP BY times`))
	}
}

// What is in the way of an insert is rare: the others go together all the same.
func TestExecOr(t *testing.T) {
	t.Parallel()
	b := newFilled(t, 200, `CREATE TABLE place (n INT PRIMARY KEY, name TEXT NOT NULL UNIQUE);
		INSERT INTO place VALUES (5, 'in the way'), (-1, 'place 5'), (-2, 'place 60')`)
	onFilled := func(ctx context.Context, tx readview.Tx, e *Filled) error {
		const insert = `INSERT INTO place (n, name) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = EXCLUDED.n`
		name := fmt.Sprint("place ", e.N)
		return readview.ExecOr(ctx, tx, func() error {
			if err := readview.Exec(ctx, tx, `DELETE FROM place WHERE n = $1`, e.N); err != nil {
				return err
			}
			return readview.Exec(ctx, tx, insert, e.N, name)
		}, insert, e.N, name)
	}
	manager, router := b.manager(fast(), readview.Projection{Name: "filled", Handlers: readview.Handlers{readview.On(onFilled)}})
	b.start(router)
	b.waitFor(manager, 1200, "filled")
	require.EqualValues(t, 200, b.int(`SELECT count(*) FROM place WHERE name = 'place ' || n`))
	require.EqualValues(t, 200, b.int(`SELECT count(*) FROM place`))
	require.Less(t, b.int(`SELECT count(DISTINCT (xmin::text, cmin::text)) FROM place`), int64(30), "statements for 200 rows")
}

// What goes to the server in one statement is limited in bytes, so large rows need no
// more memory, here and there, than small ones.
func TestLargeRows(t *testing.T) {
	t.Parallel()
	const events, large = 64, 16 << 10
	b := newFilled(t, events, `CREATE TABLE filled (n INT PRIMARY KEY, note TEXT NOT NULL)`)
	onFilled := func(ctx context.Context, tx readview.Tx, e *Filled) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO filled (n, note) VALUES ($1, $2)`, e.N, strings.Repeat("x", large))
		return err
	}
	manager, router := b.manager(fast(), readview.Projection{Name: "filled", Handlers: readview.Handlers{readview.On(onFilled)}})
	b.start(router)
	b.waitFor(manager, 1000+events, "filled")
	require.EqualValues(t, events, b.int(`SELECT count(*) FROM filled`))
	require.EqualValues(t, 1, b.int(`SELECT count(DISTINCT xmin::text) FROM filled`), "one page")
	most := b.int(`SELECT max(n) FROM (SELECT count(*) AS n FROM filled GROUP BY cmin::text) s`)
	require.Greater(t, most, int64(1), "rows go together")
	require.LessOrEqual(t, (most-1)*large, int64(64<<10))
}
