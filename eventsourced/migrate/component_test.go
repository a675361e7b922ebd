package migrate_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func component(name, sql string, needs ...migrate.Component) migrate.Component {
	return migrate.Component{Name: name, Files: fstest.MapFS{"0001_" + name + ".sql": {Data: []byte(sql)}}, Needs: needs}
}

func TestComponents(t *testing.T) {
	t.Parallel()
	goods := component("goods", "CREATE TABLE goods (id INT PRIMARY KEY)")
	prices := component("prices", "CREATE TABLE price (goods INT REFERENCES goods)", goods)
	orders := component("orders", "CREATE TABLE orders (goods INT REFERENCES goods)", goods)
	t.Run("are migrated after what they need, each once", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		require.Equal(t, []string{"goods/0001_goods.sql", "prices/0001_prices.sql", "orders/0001_orders.sql"}, pending(t, db.Pool, "", prices, goods, orders))
		require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, prices, goods, orders))
		require.Empty(t, pending(t, db.Pool, "", prices, goods, orders))
		require.Zero(t, number(t, db.Pool, "SELECT count(*) FROM price NATURAL JOIN orders"))
	})
	t.Run("are migrated all or none", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		err := migrate.Run(t.Context(), db.Pool, migrate.Config{}, goods, component("wrong", "CREATE TABLE"))
		require.ErrorContains(t, err, "migrate wrong: 0001_wrong.sql: ")
		require.Zero(t, tables(t, db))
	})
	t.Run("that are newer are all named", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, prices))
		_, err := db.Pool.Exec(t.Context(), "INSERT INTO eventsourcing_migrations VALUES ('goods', '0002_x.sql'), ('prices', '0002_y.sql')")
		require.NoError(t, err)
		err = migrate.Run(t.Context(), db.Pool, migrate.Config{}, orders, prices)
		require.ErrorIs(t, err, migrate.ErrNewer)
		require.ErrorContains(t, err, "0002_x.sql")
		require.ErrorContains(t, err, "0002_y.sql")
	})
	t.Run("that are wrong are all named, and nothing is done", func(t *testing.T) {
		t.Parallel()
		wrong := []migrate.Component{{}, {Name: "a"}, {Name: "b", Files: fstest.MapFS{"migrations/0001.sql": {}}}, goods, component("goods", "SELECT 1")}
		err := migrate.Run(t.Context(), nil, migrate.Config{Schema: "\xff"}, wrong...)
		require.EqualError(t, err, `migrate: the pool is nil
Config.Schema is no name of a schema, which has at most 63 bytes of UTF-8
a component has no Name
component a: Files is nil
component b: its Files have no .sql file in their root
two components are called "goods"`)
		_, err = migrate.Pending(t.Context(), nil, migrate.Config{}, wrong...)
		require.ErrorContains(t, err, "the pool is nil\n")
	})
}
