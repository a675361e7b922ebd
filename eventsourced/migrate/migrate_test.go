package migrate_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// files are the migrations of a component, each in its version.
func files(names ...string) migrate.Component {
	all := fstest.MapFS{}
	scripts := map[string]string{
		"0001_goods.sql": "CREATE TABLE goods (id INT PRIMARY KEY); INSERT INTO goods VALUES (1)",
		"0002_price.sql": "ALTER TABLE goods ADD COLUMN price INT",
		"0003_wrong.sql": "ALTER TABLE nothing ADD COLUMN price INT",
	}
	for _, name := range names {
		all[name] = &fstest.MapFile{Data: []byte(scripts[name])}
	}
	return migrate.Component{Name: "shop", Files: all}
}

func number(t *testing.T, pool *pgxpool.Pool, query string) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), query).Scan(&n))
	return n
}

func pending(t *testing.T, pool *pgxpool.Pool, schema string, all ...migrate.Component) []string {
	t.Helper()
	names, err := migrate.Pending(t.Context(), pool, migrate.Config{Schema: schema}, all...)
	require.NoError(t, err)
	return names
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"", "named"} {
		t.Run("brings the schema "+schema+" up to date, step by step", func(t *testing.T) {
			t.Parallel()
			db := testdb.NewDatabase(t)
			table := "public.goods"
			if schema != "" {
				table = schema + ".goods"
			}
			one, both := files("0001_goods.sql"), files("0001_goods.sql", "0002_price.sql")
			require.Equal(t, []string{"shop/0001_goods.sql", "shop/0002_price.sql"}, pending(t, db.Pool, schema, both))
			require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{Schema: schema}, one))
			require.Equal(t, []string{"shop/0002_price.sql"}, pending(t, db.Pool, schema, both))
			require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{Schema: schema}, both))
			require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{Schema: schema}, both))
			require.Empty(t, pending(t, db.Pool, schema, both))
			require.Equal(t, 1, number(t, db.Pool, "SELECT count(*) FROM "+table+" WHERE price IS NULL"))
		})
	}
	t.Run("leaves nothing of what fails", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		all := files("0001_goods.sql", "0003_wrong.sql")
		err := migrate.Run(t.Context(), db.Pool, migrate.Config{}, all)
		require.ErrorContains(t, err, "migrate shop: 0003_wrong.sql: ")
		require.Len(t, pending(t, db.Pool, "", all), 2)
		require.Zero(t, tables(t, db))
	})
	t.Run("does the first schema of the search path, whatever the others have", func(t *testing.T) {
		t.Parallel()
		db, all := testdb.NewDatabase(t), files("0001_goods.sql")
		require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, all))
		_, err := db.Pool.Exec(t.Context(), "CREATE SCHEMA first")
		require.NoError(t, err)
		pool := with(t, db, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["options"] = "-csearch_path=first,public" })
		require.Len(t, pending(t, pool, "", all), 1)
		require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{}, all))
		require.Equal(t, 1, number(t, pool, "SELECT count(*) FROM first.goods"))
	})
	t.Run("may be called by several processes at once, at any isolation level", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		pool := with(t, db, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
			c.ConnConfig.RuntimeParams["application_name"] = db.Schema
		})
		gate, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = gate.Rollback(context.WithoutCancel(t.Context())) })
		_, err = gate.Exec(t.Context(), "SELECT pg_advisory_xact_lock(435778055796)") // migrate's own
		require.NoError(t, err)
		var all sync.WaitGroup
		var errs [4]error
		for i := range errs {
			all.Go(func() {
				errs[i] = migrate.Run(t.Context(), pool, migrate.Config{}, files("0001_goods.sql", "0002_price.sql"))
			})
		}
		require.Eventually(t, func() bool {
			return number(t, db.Pool, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND application_name = '"+db.Schema+"'") == len(errs)
		}, 30*time.Second, 25*time.Millisecond)
		require.NoError(t, gate.Commit(t.Context()))
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, 1, number(t, db.Pool, "SELECT count(*) FROM goods"))
	})
}

func TestNewerTables(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	newer, older := files("0001_goods.sql", "0002_price.sql"), files("0001_goods.sql")
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, newer))
	t.Run("are noticed by the older program, and named", func(t *testing.T) {
		for _, err := range []error{
			migrate.Run(t.Context(), db.Pool, migrate.Config{}, older),
			second(migrate.Pending(t.Context(), db.Pool, migrate.Config{}, older)),
		} {
			require.ErrorIs(t, err, migrate.ErrNewer)
			require.EqualError(t, err, "migrations of shop: the database's tables are newer than this program: it does not know 0002_price.sql")
		}
	})
	t.Run("are not touched, also where something is missing", func(t *testing.T) {
		other := files("0001_goods.sql", "0003_wrong.sql")
		require.ErrorIs(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, other), migrate.ErrNewer)
		names, err := migrate.Pending(t.Context(), db.Pool, migrate.Config{}, other)
		require.ErrorIs(t, err, migrate.ErrNewer)
		require.Equal(t, []string{"shop/0003_wrong.sql"}, names)
	})
	t.Run("of another component are no matter", func(t *testing.T) {
		require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, component("warehouse", "CREATE TABLE shelf (id INT PRIMARY KEY)")))
	})
}

// A program runs with a role that may read and write, and no more.
func TestRoleWithoutTheRightToCreate(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"", "named"} {
		t.Run("may start in the schema "+schema+" when there is nothing to do", func(t *testing.T) {
			t.Parallel()
			db := testdb.NewDatabase(t)
			one, both := files("0001_goods.sql"), files("0001_goods.sql", "0002_price.sql")
			require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{Schema: schema}, one))
			used := schema
			if used == "" {
				used = db.Schema
			}
			pool := as(t, db, "GRANT USAGE ON SCHEMA "+used+" TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+used+" TO {role}")
			require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{Schema: schema}, one))
			require.Empty(t, pending(t, pool, schema, one))

			require.Equal(t, []string{"shop/0002_price.sql"}, pending(t, pool, schema, both))
			require.ErrorContains(t, migrate.Run(t.Context(), pool, migrate.Config{Schema: schema}, both), "0002_price.sql")
			require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{Schema: schema}, both))
			require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{Schema: schema}, both))
		})
	}
	t.Run("is told so when there is something to do", func(t *testing.T) {
		t.Parallel()
		db := testdb.NewDatabase(t)
		pool := as(t, db, "REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {role}")
		require.ErrorContains(t, migrate.Run(t.Context(), pool, migrate.Config{}, files("0001_goods.sql")), "permission denied")
		require.Zero(t, tables(t, db))
	})
	t.Run("may look where there is nothing at all", func(t *testing.T) {
		t.Parallel()
		db := testdb.NewDatabase(t)
		require.Len(t, pending(t, as(t, db, "SELECT 1"), "named", files("0001_goods.sql")), 1)
	})
	t.Run("may own the schema without being let make others", func(t *testing.T) {
		t.Parallel()
		db := testdb.NewDatabase(t)
		pool := as(t, db, "CREATE SCHEMA named AUTHORIZATION {role}")
		require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{Schema: "named"}, files("0001_goods.sql")))
	})
}

func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	db, one := testdb.New(t), files("0001_goods.sql")
	pool := with(t, db, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on" })
	require.Len(t, pending(t, pool, "", one), 1, "a look is enough to tell")
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, one))
	require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{}, one))
}

func tables(t *testing.T, db *testdb.DB) int {
	t.Helper()
	return number(t, db.Pool, "SELECT count(*) FROM pg_tables WHERE schemaname = '"+db.Schema+"'")
}

func second(_ []string, err error) error { return err }

// with returns another pool on the database.
func with(t *testing.T, db *testdb.DB, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config := db.Pool.Config()
	change(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// as returns a pool whose connections are a role of its own, after grants.
func as(t *testing.T, db *testdb.DB, grants string) *pgxpool.Pool {
	t.Helper()
	role := "role_" + strings.ToLower(strings.NewReplacer("-", "").Replace(uuid(t, db)))
	_, err := db.Pool.Exec(t.Context(), "CREATE ROLE "+role+"; "+strings.ReplaceAll(grants, "{role}", role))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role)
		require.NoError(t, err)
	})
	return with(t, db, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["role"] = role })
}

func uuid(t *testing.T, db *testdb.DB) (id string) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT gen_random_uuid()").Scan(&id))
	return id
}
