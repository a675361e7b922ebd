package readview_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// What a handler sets is gone with its event, whatever the page's size, and the
// framework's own statements find their tables all the same.
func TestNothingThatAHandlerSetsOutlivesItsEvent(t *testing.T) {
	t.Parallel()
	const ddl = `
		CREATE TABLE note (what TEXT);
		CREATE FUNCTION become(tenant TEXT) RETURNS VOID LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', tenant, true); END $$;
		CREATE TABLE tenant_note (tenant TEXT);
		CREATE FUNCTION becoming() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', NEW.tenant, true); RETURN NEW; END $$;
		CREATE TRIGGER becoming BEFORE INSERT ON tenant_note FOR EACH ROW EXECUTE FUNCTION becoming();
		CREATE TABLE seen (projection TEXT, n BIGINT, settings TEXT)`
	const tenantDDL = `CREATE SCHEMA {tenant}; CREATE TABLE {tenant}.note (what TEXT)`
	const look = `INSERT INTO {schema}.seen (projection, n, settings) SELECT '{projection}', $1, concat_ws(' ', current_setting('search_path') = $2, current_user, current_setting('timezone'),
		current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), current_setting('work_mem'),
		(SELECT count(*) FROM pg_cursors WHERE name = 'c'), (SELECT count(*) FROM pg_prepared_statements WHERE name = 'p'),
		to_regclass('pg_temp.t') IS NULL, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = 7),
		current_setting('transaction_isolation'), coalesce(current_setting('my.setting', true), '') = '')`
	whatTheySet := map[string][]string{
		"a search path for the transaction":    {`SET LOCAL search_path = {tenant}`, `INSERT INTO note VALUES ('tenant')`},
		"a search path, by a function":         {`SELECT set_config('search_path', '{tenant}', true)`, `INSERT INTO note VALUES ('tenant')`},
		"a search path, by a function of ours": {`SELECT {schema}.become('{tenant}')`, `INSERT INTO note VALUES ('tenant')`},
		"a search path, by a trigger":          {`INSERT INTO {schema}.tenant_note VALUES ('{tenant}')`, `INSERT INTO note VALUES ('tenant')`},
		"a search path for the session":        {`SET search_path = {tenant}`, `INSERT INTO note VALUES ('tenant')`},
		"a path to nowhere":                    {`SET LOCAL search_path = pg_catalog`},
		"a role":                               {`SET LOCAL ROLE pg_monitor`},
		"a role for the session":               {`SET ROLE pg_monitor`},
		"a time zone":                          {`SET LOCAL TIME ZONE 'Asia/Tokyo'`},
		"a time zone for the session":          {`SET TIME ZONE 'Asia/Tokyo'`},
		"timeouts":                             {`SET LOCAL statement_timeout = '20s'`, `SET LOCAL lock_timeout = '1s'`, `SET idle_in_transaction_session_timeout = 0`},
		"memory":                               {`SET work_mem = '7MB'; SELECT 1`},
		"a cursor":                             {`DECLARE c CURSOR FOR SELECT 1`, `FETCH c`},
		"a cursor that is held":                {`DECLARE c CURSOR WITH HOLD FOR SELECT 1`},
		"a temporary table":                    {`CREATE TEMPORARY TABLE t (n INT)`, `INSERT INTO t VALUES (1)`},
		"a temporary table until the commit":   {`CREATE TEMP TABLE t (n INT) ON COMMIT DROP`},
		"a temporary table of a query":         {`SELECT 1 AS n INTO TEMP t`},
		"a prepared statement":                 {`PREPARE p AS SELECT 1`, `EXECUTE p`},
		"a lock of the session":                {`SELECT pg_advisory_lock(7, 1)`},
		"a setting of its own":                 {`SELECT set_config('my.setting', 'mine', false)`},
		"a block":                              {`DO $$ BEGIN PERFORM set_config('work_mem', '7MB', true); END $$`},
		"prepared statements given up":         {`DEALLOCATE ALL`},
		"everything given up":                  {`DISCARD PLANS`},
	}
	for _, pageEvents := range []int{1, 1000} {
		t.Run(fmt.Sprintf("in pages of %d", pageEvents), func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.exec(ddl)
			b.deposit(4)
			b.record("account-9", &Deposited{Amount: 99})
			b.deposit(4)
			b.record("account-9", &Deposited{Amount: 99})
			last := b.deposit(4)
			config := fast()
			config.PageEvents = pageEvents
			var all []readview.Projection // on connections of one pool
			for name, statements := range whatTheySet {
				tenant := fmt.Sprintf("%s_tenant_%d", b.db.Schema, len(all))
				text := strings.NewReplacer("{tenant}", tenant, "{schema}", b.db.Schema, "{projection}", name).Replace
				b.exec(text(tenantDDL))
				t.Cleanup(func() { _, _ = b.pool.Exec(context.Background(), text(`DROP SCHEMA {tenant} CASCADE`)) })
				n := 0
				all = append(all, readview.Projection{Name: name, Handlers: readview.Handlers{readview.On(
					func(ctx context.Context, tx readview.Tx, e *Deposited) error {
						if e.Amount != 99 {
							if err := readview.Exec(ctx, tx, text(look), n, b.db.Schema); err != nil {
								return err
							}
							return readview.Exec(ctx, tx, `INSERT INTO note (what) VALUES ($1)`, "own of "+name)
						}
						for _, statement := range statements {
							if err := readview.Exec(ctx, tx, text(statement)); err != nil {
								return err
							}
						}
						return nil
					})}})
			}
			manager, router := b.manager(config, all...)
			b.start(router)
			for name := range whatTheySet {
				b.waitFor(manager, last, name)
				require.Equal(t, []string{"12"}, b.rows(`SELECT count(*)::text FROM note WHERE what = 'own of `+name+`'`), name)
				require.Equal(t, []string{"t postgres " + b.rows(`SHOW timezone`)[0] + " 0 0 2s 4MB 0 0 t 0 read committed t"},
					b.rows(`SELECT DISTINCT trim(settings) FROM seen WHERE projection = '`+name+`'`), name)
			}
			require.Zero(t, b.int(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = '`+b.application+`')`))
		})
	}
}

// A handler's error does not cost its connection.
func TestAHandlersErrorKeepsItsConnection(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`CREATE TABLE backend (pid INT)`)
	config := fast()
	config.Attempts = 6
	calls := 0
	manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if err := onDeposited(ctx, tx, e); err != nil {
			return err
		}
		if e.Amount == 99 {
			if calls++; calls < 5 {
				return fmt.Errorf("not yet")
			}
		}
		return nil
	})))
	b.start(router)
	b.waitFor(manager, b.deposit(10))
	var all []*pgxpool.Conn
	for range b.pool.Config().MaxConns - 2 { // the projection and the listener may have theirs
		c, err := b.pool.Acquire(t.Context())
		require.NoError(t, err)
		all = append(all, c)
	}
	for _, c := range all {
		c.Release()
	}
	opened := b.pool.Stat().NewConnsCount()
	b.record("account-9", &Deposited{Amount: 99})
	last := b.deposit(10)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.LessOrEqual(t, b.pool.Stat().NewConnsCount()-opened, int64(1))
}

// A statement under a context of the handler's own ends with that.
func TestTheHandlersOwnContextCounts(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.record("account-9", &Deposited{Amount: 99})
	config := fast()
	config.Attempts, config.RetryFor = 1, 1
	manager, router := b.manager(config, balances(misuse(func(ctx context.Context, tx readview.Tx) error {
		ctx, cancel := context.WithTimeout(ctx, 50_000_000)
		defer cancel()
		_, err := tx.ExecContext(ctx, `SELECT pg_sleep(60) FROM generate_series(1, $1)`, 1)
		return err
	})))
	b.start(router)
	b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
	require.Contains(t, b.status(manager, "balances").Failure.Error, "deadline exceeded")
}

// tracer notes the statements that it sees begin and end.
type tracer struct {
	mu           sync.Mutex
	began, ended map[string]int
}

func (r *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began[data.SQL]++
	return context.WithValue(ctx, r, data.SQL)
}

func (r *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if query, ok := ctx.Value(r).(string); ok { // pgx ends what is in a batch without a beginning
		r.ended[query]++
	}
}

func TestAPoolsTracerSeesWhatHandlersWrite(t *testing.T) {
	t.Parallel()
	seen := &tracer{began: map[string]int{}, ended: map[string]int{}}
	b := newBank(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = seen })
	last := b.deposit(300)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	b.waitFor(manager, last)
	seen.mu.Lock()
	defer seen.mu.Unlock()
	const journal = `INSERT INTO journal (position, amount) VALUES ($1, $2)`
	require.Equal(t, 300, seen.began[journal])
	require.Equal(t, 300, seen.ended[journal])
}

// More texts than a connection keeps prepared are queued all the same.
func TestManyStatements(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	last := b.deposit(600)
	n := 0
	manager, router := b.manager(fast(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		n++
		for range 2 { // the second time it is known, and queued
			result, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO audit (audits) VALUES ($1 + %d)`, n%300), 0)
			if err != nil {
				return err
			}
			if fmt.Sprintf("%T", result) == "driver.RowsAffected" {
				return fmt.Errorf("statement %d was waited for", n)
			}
		}
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.EqualValues(t, 1200, b.int(`SELECT count(*) FROM audit`))
}
