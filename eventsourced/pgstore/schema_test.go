package pgstore_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestSchemas(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	open(t, db) // one in the search path, two in schemas by name
	var stores []*pgstore.Store
	for _, name := range []string{db.Schema + `_"odd" Name`, db.Schema + "_two"} {
		store := pgstore.New(db.Pool, storetest.Registry(), pgstore.Config{Schema: name})
		t.Cleanup(store.Close)
		t.Cleanup(func() {
			_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), "DROP SCHEMA "+pgx.Identifier{name}.Sanitize()+" CASCADE")
			require.NoError(t, err)
		})
		require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{Schema: name}, pgstore.Migrations()))
		require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{Schema: name}, pgstore.Migrations()), "again changes nothing")
		stores = append(stores, store)
	}
	// A transaction that holds one log's lock does not hold the other's.
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = stores[0].AppendTx(t.Context(), tx, stream("a"), eventsourced.NoStream, encode(t, "x"))
	require.NoError(t, err)
	_, err = stores[1].Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "y", "z"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.Len(t, read(t, stores[0], eventsourced.LogQuery{}), 1)
	require.Len(t, read(t, stores[1], eventsourced.LogQuery{Names: []string{"Noted"}}), 2)
}

// Two logs of one database, each with a pool whose search path has its schema. named reaches the
// second by the first one's pool.
func TestLogsOfTwoSchemas(t *testing.T) {
	t.Parallel()
	one, two := testdb.New(t), testdb.New(t)
	first, second := open(t, one), open(t, two)
	named := pgstore.New(one.Pool, storetest.Registry(), pgstore.Config{Schema: two.Schema})
	t.Cleanup(named.Close)

	t.Run("don't see each other", func(t *testing.T) {
		same := encode(t, "1", "2")
		at, err := first.Append(t.Context(), stream("a"), eventsourced.NoStream, same)
		require.NoError(t, err)
		_, err = second.Append(t.Context(), stream("a"), eventsourced.NoStream, same)
		require.NoError(t, err, "neither its stream nor its ids are the other's")
		_, err = named.Append(t.Context(), stream("a"), eventsourced.AtVersion(2), encode(t, "3"))
		require.NoError(t, err)
		require.NoError(t, named.SaveSnapshot(t.Context(), stream("a"), eventsourced.Snapshot{Version: 3, SchemaVersion: 1, State: []byte("x")}))

		head, err := first.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, at, head)
		require.Len(t, read(t, first, eventsourced.LogQuery{Streams: []eventsourced.Stream{stream("a")}}), 2)
		snapshot, err := first.LoadSnapshot(t.Context(), stream("a"))
		require.NoError(t, err)
		require.Nil(t, snapshot)
		id, err := first.LogID(t.Context())
		require.NoError(t, err)
		for _, store := range []*pgstore.Store{second, named} {
			require.Len(t, read(t, store, eventsourced.LogQuery{AggregateName: "test.Note"}), 3)
			count, err := store.CountLog(t.Context(), eventsourced.LogQuery{Names: []string{"Noted"}})
			require.NoError(t, err)
			require.EqualValues(t, 3, count)
			snapshot, err := store.LoadSnapshot(t.Context(), stream("a"))
			require.NoError(t, err)
			require.NotNil(t, snapshot)
			other, err := store.LogID(t.Context())
			require.NoError(t, err)
			require.NotEqual(t, id, other)
		}
	})
	t.Run("don't wake each other", func(t *testing.T) {
		ofFirst := elsewhere(t, one.URL, pgstore.Config{}).Listen(t.Context())
		ofSecond := elsewhere(t, two.URL, pgstore.Config{}).Listen(t.Context())
		ofNamed := elsewhere(t, one.URL, pgstore.Config{Schema: two.Schema}).Listen(t.Context())
		for _, news := range []<-chan struct{}{ofFirst, ofSecond, ofNamed} {
			awaitNews(t, news) // it listens
		}
		for range 5 {
			appendTo(t, second)
			awaitNews(t, ofSecond)
			awaitNews(t, ofNamed)
		}
		select {
		case <-ofFirst:
			require.Fail(t, "it was woken by the other log")
		default:
		}
		appendTo(t, first)
		awaitNews(t, ofFirst)
	})
}

// elsewhere is a store of another process, as far as wake-ups go.
func elsewhere(t *testing.T, url string, config pgstore.Config) *pgstore.Store {
	t.Helper()
	store, _ := openURL(t, url, config)
	return store
}

func TestNewSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, `pgstore.New: the pool is nil
pgstore.New: the registry is nil
pgstore.New: Config.Schema is no name of a schema, which has at most 63 bytes of UTF-8
pgstore.New: Config.MaxPayload is negative
pgstore.New: Config.IdleTimeout is negative`, func() {
		pgstore.New(nil, nil, pgstore.Config{Schema: strings.Repeat("x", 64), MaxPayload: -1, IdleTimeout: -1})
	})
	pool, err := pgxpool.New(t.Context(), "postgres://localhost:1/nobody")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NotPanics(t, func() { pgstore.New(pool, storetest.Registry(), pgstore.Config{}).Close() })
}
