package readview_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// A savepoint ends with the event whose handler has set it: another one's ROLLBACK TO
// finds none, and takes no rows of others with it.
func TestASavepointEndsWithItsEvent(t *testing.T) {
	t.Parallel()
	for _, pageEvents := range []int{1, 1000} {
		b := newBank(t)
		b.deposit(2)
		b.record("account-9", &Deposited{Amount: 98})
		before := b.deposit(3)
		b.record("account-9", &Deposited{Amount: 99})
		b.deposit(3)
		config := fast()
		config.PageEvents, config.Attempts = pageEvents, 1
		manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			if e.Amount == 98 {
				if _, err := tx.ExecContext(ctx, `SAVEPOINT s`); err != nil {
					return err
				}
			}
			if err := onDeposited(ctx, tx, e); err != nil || e.Amount != 99 {
				return err
			}
			_, err := tx.ExecContext(ctx, `ROLLBACK TO s`)
			return err
		})))
		b.start(router)
		b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
		require.Contains(t, b.status(manager, "balances").Failure.Error, "savepoint")
		b.requireExact(before)
	}
}

type scanning func()

func (s scanning) Scan(any) error {
	s()
	return nil
}

// nilError panics when anybody looks at it.
type nilError struct{ err error }

func (e *nilError) Error() string { return e.err.Error() }
func (e *nilError) Unwrap() error { return e.err }

// What a handler does in odd places ends on record at its event, and the router ends.
func TestHandlersThatFailInOddPlaces(t *testing.T) {
	t.Parallel()
	rows := func(f func()) func(context.Context, readview.Tx) error {
		return func(ctx context.Context, tx readview.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT generate_series(1, 1000)`)
			if err != nil {
				return err
			}
			rows.Next()
			return rows.Scan(scanning(f))
		}
	}
	for name, wrong := range map[string]func(context.Context, readview.Tx) error{
		"a panic in a Scan of rows": rows(func() { panic("in a scan") }),
		"a Goexit in a Scan":        rows(runtime.Goexit),
		"an error that panics": func(context.Context, readview.Tx) error {
			var none *nilError
			return none
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			before := b.deposit(3)
			position := b.record("account-9", &Deposited{Amount: 99})
			b.deposit(3)
			config := fast()
			config.Attempts, config.DrainTimeout = 2, 200*time.Millisecond
			manager, router := b.manager(config, balances(misuse(wrong)))
			stop := b.start(router)
			b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
			require.Equal(t, position, b.status(manager, "balances").Failure.Position)
			b.requireExact(before)
			stop()
		})
	}
}

// A failure is on record whatever the pool's mode is.
func TestFailuresInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			config, err := pgxpool.ParseConfig(b.db.URL)
			require.NoError(t, err)
			config.ConnConfig.DefaultQueryExecMode = mode
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			before := b.deposit(3)
			b.record("account-9", &Deposited{Amount: 99})
			store := b.store
			b.pool = pool
			b.store = store
			manager, router := b.manager(fast(), balances(misuse(func(context.Context, readview.Tx) error { return errors.New("mine") })))
			b.start(router)
			b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
			require.Equal(t, "Deposited", b.status(manager, "balances").Failure.EventName)
			b.requireExact(before)
		})
	}
}

// Retry outside of Timeout calls again with a context that has ended: the error stays the
// handler's.
func TestRetryOutsideOfTimeout(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	before := b.deposit(3)
	b.record("account-9", &Deposited{Amount: 99})
	manager, router := b.manager(fast(), balances(misuse(func(context.Context, readview.Tx) error { return errors.New("mine") })))
	router.AddMiddleware(middleware.Retry{MaxRetries: 3, InitialInterval: time.Millisecond}.Middleware, middleware.Timeout(time.Second))
	b.start(router)
	b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
	require.Contains(t, b.status(manager, "balances").Failure.Error, "mine")
	b.requireExact(before)
}

// A reset handler can't end the reset's transaction.
func TestResetHandlersThatEndTheirTransaction(t *testing.T) {
	t.Parallel()
	for _, query := range []string{`ROLLBACK; TRUNCATE journal`, `TRUNCATE journal; COMMIT; SELECT 1/0`} {
		b := newBank(t)
		projection := balances()
		projection.Reset = readview.ResetFunc(func(ctx context.Context, tx readview.Tx) error {
			_, _ = tx.ExecContext(ctx, query)
			return nil
		})
		manager, router := b.manager(fast(), projection)
		b.start(router)
		last := b.deposit(3)
		b.waitFor(manager, last)
		require.ErrorContains(t, manager.ResetProjection(t.Context(), "balances"), "ended its transaction")
		b.requireExact(last)
		require.Equal(t, last, b.status(manager, "balances").Position)
	}
}

// A program that handles less came and went: the one that still runs goes on.
func TestProgramThatCameAndWent(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), both(true))
	b.start(router)
	b.waitFor(manager, b.deposit(2))
	less := both(true)
	less.Handlers = readview.Handlers{readview.On(onAudited)}
	canary, canaryRouter := b.manager(fast(), less)
	stop := b.start(canaryRouter)
	b.waitFor(canary, b.record("account-1", &Audited{}))
	b.eventually("the other one says why it stands by", func() bool {
		status := b.status(manager, "balances")
		return status.State == consumer.Standby && status.Failure != nil
	})
	stop()
	b.waitFor(manager, b.record("account-1", &Deposited{Amount: 1}, &Audited{}))
	require.EqualValues(t, 2, b.int(`SELECT count(*) FROM audit`))
}

// Rows whose upserts look at the table by other ways than its definition.
func TestUpsertsThatLookAtTheirTable(t *testing.T) {
	t.Parallel()
	const ddl = `CREATE TABLE filled (n BIGINT PRIMARY KEY, m BIGINT NOT NULL DEFAULT 1);
		CREATE FUNCTION plus(BIGINT, BIGINT) RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT $1 + $2 + sum(m)::bigint FROM filled';
		CREATE FUNCTION less(BIGINT, BIGINT) RETURNS BOOL LANGUAGE sql STABLE AS 'SELECT $1 - $2 < sum(m) AND sum(m) < 9 FROM filled';
		CREATE OPERATOR |+| (LEFTARG = BIGINT, RIGHTARG = BIGINT, FUNCTION = plus);
		CREATE OPERATOR <<< (LEFTARG = BIGINT, RIGHTARG = BIGINT, FUNCTION = less);
		CREATE FUNCTION total(filled) RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT sum(m)::bigint FROM filled'`
	for name, set := range map[string]string{
		"an operator of ours":             `SET m = f.m |+| EXCLUDED.m`,
		"an operator of ours in a WHERE":  `SET m = f.m + 1 WHERE f.m <<< EXCLUDED.m`,
		"a function that is no column":    `SET m = f.total + EXCLUDED.m`,
		"what looks at nothing (control)": `SET m = f.m + EXCLUDED.m WHERE f.m < 100`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var outcomes [][]string
			for _, pageEvents := range []int{1, 1000} {
				b := newFilled(t, 16, ddl)
				manager := playFilled(b, pageEvents, func(ctx context.Context, tx readview.Tx, e *Filled) error {
					_, err := tx.ExecContext(ctx, `INSERT INTO filled AS f (n, m) VALUES ($1, $2) ON CONFLICT (n) DO UPDATE `+set, e.N%4, 1)
					return err
				})
				b.waitFor(manager, 1016, "filled")
				outcomes = append(outcomes, b.rows(`SELECT n || ' ' || m FROM filled ORDER BY n`))
			}
			require.Equal(t, outcomes[0], outcomes[1])
		})
	}
}

// A table that handlers change twice in a page, or by a function.
func TestHandlersThatChangeTheirTableAgain(t *testing.T) {
	t.Parallel()
	const ddl = `CREATE TABLE filled (n BIGINT, m BIGINT); CREATE FUNCTION rows() RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT count(*) FROM filled';
		CREATE FUNCTION change() RETURNS VOID LANGUAGE plpgsql AS 'BEGIN ALTER TABLE filled ALTER m SET DEFAULT rows() + 1; END'`
	for name, changes := range map[string]map[int]string{
		"twice":         {2: `ALTER TABLE filled ALTER m SET DEFAULT 7`, 6: `ALTER TABLE filled ALTER m SET DEFAULT rows() + 1`},
		"by a function": {4: `SELECT change()`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var outcomes [][]string
			for _, pageEvents := range []int{1, 1000} {
				b := newFilled(t, 8, ddl)
				manager := playFilled(b, pageEvents, func(ctx context.Context, tx readview.Tx, e *Filled) error {
					if change := changes[e.N]; change != "" {
						if _, err := tx.ExecContext(ctx, change); err != nil {
							return err
						}
					}
					return fill(ctx, tx, e)
				})
				b.waitFor(manager, 1008, "filled")
				outcomes = append(outcomes, b.rows(`SELECT n || ' ' || coalesce(m, 0) FROM filled ORDER BY n`))
			}
			require.Equal(t, outcomes[0], outcomes[1])
		})
	}
}

// More ways to set something, which a look at the statement alone does not show.
func TestSettingsThatDoNotShow(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"a computed third argument":  `SELECT set_config('work_mem', '7MB', not true)`,
		"a temporary schema":         `CREATE TABLE pg_temp.t (n INT)`,
		"into a temporary table":     `SELECT 1 AS n INTO LOCAL TEMP t`,
		"a function with SET":        `SELECT {f}_set()`,
		"a function with a new body": `SELECT {f}_atomic()`,
		"a function of a name":       `SELECT {schema}.set()`,
		"a query in XML":             `SELECT query_to_xml('SELECT set_config(''work_mem'', ''7MB'', false)', false, false, '')`,
		"a function that opens":      `SELECT {f}_open()`,
		"a function that declares":   `SELECT {f}_cursor()`,
		"a function with a comment":  `SELECT {f}_comment()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			// Functions of the database are looked up by name in all schemas: these are of this test alone.
			text := strings.NewReplacer("{f}", "f"+b.db.Schema, "{schema}", b.db.Schema).Replace
			b.exec(text(`CREATE TABLE seen (settings TEXT);
				CREATE FUNCTION {f}_set() RETURNS VOID LANGUAGE plpgsql AS $$ BEGIN SET work_mem = '7MB'; END $$;
				CREATE FUNCTION {f}_atomic() RETURNS TEXT LANGUAGE sql BEGIN ATOMIC SELECT set_config('work_mem', '7MB', true); END;
				CREATE FUNCTION {schema}.set() RETURNS TEXT LANGUAGE sql AS $$ SELECT set_config('work_mem', '7MB', true) $$;
				CREATE FUNCTION {f}_open() RETURNS VOID LANGUAGE plpgsql AS $$ DECLARE c REFCURSOR := 'c'; BEGIN OPEN c FOR SELECT 1; END $$;
				CREATE FUNCTION {f}_cursor() RETURNS TEXT LANGUAGE sql AS $$ DECLARE c NO SCROLL CURSOR FOR SELECT 1; SELECT 'a' $$;
				CREATE FUNCTION {f}_comment() RETURNS VOID LANGUAGE plpgsql AS $$ DECLARE n INT; BEGIN -- for the rest
					/* of it */ SET LOCAL work_mem = '7MB'; END $$`))
			b.deposit(2)
			b.record("account-9", &Deposited{Amount: 99})
			last := b.deposit(3)
			manager, router := b.manager(fast(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
				query := `INSERT INTO seen SELECT concat_ws(' ', current_setting('work_mem'), (SELECT count(*) FROM pg_cursors WHERE name = 'c'), to_regclass('pg_temp.t') IS NULL)`
				if e.Amount == 99 {
					query = text(statement)
				}
				_, err := tx.ExecContext(ctx, query)
				return err
			})))
			b.start(router)
			b.waitFor(manager, last)
			require.Equal(t, []string{"4MB 0 t"}, b.rows(`SELECT DISTINCT settings FROM seen`))
		})
	}
}

// A function with variables of its own sets nothing by that: it goes with others.
func TestFunctionsWithVariables(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"called":       `INSERT INTO counted (n) SELECT {f}_next($1)`,
		"of a trigger": `INSERT INTO watched (n) VALUES ($1)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			text := strings.NewReplacer("{f}", "f"+b.db.Schema).Replace
			b.filled(100, text(`CREATE TABLE counted (n INT); CREATE TABLE watched (n INT);
				CREATE FUNCTION {f}_next(n INT) RETURNS INT LANGUAGE plpgsql AS $$ DECLARE more INT := n + 1; BEGIN RETURN more; END $$;
				CREATE FUNCTION {f}_watch() RETURNS TRIGGER LANGUAGE plpgsql AS $$
					DECLARE
						more INT;
					BEGIN
						more := NEW.n + 1;
						INSERT INTO counted (n) VALUES (more);
						RETURN NEW;
					END $$;
				CREATE TRIGGER watch BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION {f}_watch()`))
			manager := playFilled(b, 100, func(ctx context.Context, tx readview.Tx, e *Filled) error {
				_, err := tx.ExecContext(ctx, text(statement), e.N)
				return err
			})
			b.waitFor(manager, 1100, "filled")
			require.EqualValues(t, 100, b.int(`SELECT count(*) FROM counted`))
			require.EqualValues(t, 1, b.int(`SELECT count(DISTINCT xmin::text) FROM counted`), "one page, one transaction")
		})
	}
}
