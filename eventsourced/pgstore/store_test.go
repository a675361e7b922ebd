package pgstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// open returns an empty log in a schema of its own.
func open(t *testing.T, db *testdb.DB) *pgstore.Store {
	t.Helper()
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations()))
	store := pgstore.New(db.Pool, storetest.Registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	return store
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.TestStore(t, func(t *testing.T) eventsourced.LogStore { return open(t, testdb.New(t)) })
}

func TestStoreBehindAPooler(t *testing.T) {
	t.Parallel()
	storetest.TestStore(t, func(t *testing.T) eventsourced.LogStore {
		return open(t, testdb.New(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe }))
	})
}

func TestOtherProtocolsAreRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		db := testdb.New(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
		store := open(t, db)
		_, err := store.Append(t.Context(), stream("a"), eventsourced.Any, encode(t, "x"))
		require.ErrorIs(t, err, pgstore.ErrProtocol)
		for _, err := range store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
			require.ErrorIs(t, err, pgstore.ErrProtocol)
		}
	}
}

func encode(t *testing.T, texts ...string) []eventsourced.EventData {
	t.Helper()
	events := make([]eventsourced.Event, len(texts))
	for i, text := range texts {
		events[i] = &storetest.Noted{Text: text}
	}
	encoded, err := storetest.Registry().Encode(t.Context(), events...)
	require.NoError(t, err)
	return encoded
}

func stream(id string) eventsourced.Stream {
	return eventsourced.Stream{AggregateName: "test.Note", AggregateID: id}
}

// appendTo appends one event to a stream of its own.
func appendTo(t *testing.T, store *pgstore.Store) eventsourced.Position {
	t.Helper()
	events := encode(t, "x")
	position, err := store.Append(t.Context(), stream(events[0].ID.String()), eventsourced.NoStream, events)
	require.NoError(t, err)
	return position
}

func TestOpenTransactionsStallNobody(t *testing.T) {
	t.Parallel()
	db, elsewhere := testdb.New(t), testdb.NewDatabase(t)
	store := open(t, db)
	for _, other := range []*testdb.DB{db, elsewhere} {
		_, err := other.Pool.Exec(t.Context(), `CREATE TABLE other (n BIGINT)`)
		require.NoError(t, err)
		tx, err := other.Pool.Begin(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
		_, err = tx.Exec(t.Context(), `INSERT INTO other VALUES (1)`) // now it has a transaction id
		require.NoError(t, err)
	}
	position := appendTo(t, store)
	log := read(t, store, eventsourced.LogQuery{})
	require.Len(t, log, 1)
	require.Equal(t, position, log[0].Position)
}

func TestIsolationLevels(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		tx, err := db.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
		require.NoError(t, err)
		_, err = store.AppendTx(t.Context(), tx, stream("a"), eventsourced.Any, encode(t, "x"))
		require.ErrorIs(t, err, pgstore.ErrIsolation)
		require.ErrorContains(t, err, string(level))
		_, err = tx.Exec(t.Context(), `SELECT 1`)
		require.NoError(t, err, "the caller's transaction is unharmed")
		require.NoError(t, tx.Commit(t.Context()))
	}
	strict := testdb.New(t, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
	})
	for _, expected := range []eventsourced.Expected{eventsourced.Any, eventsourced.NoStream} {
		_, err := open(t, strict).Append(t.Context(), stream("a"), expected, encode(t, "x"))
		require.ErrorIs(t, err, pgstore.ErrIsolation)
	}
	require.Empty(t, read(t, store, eventsourced.LogQuery{}))
}

func TestAppendTx(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	inTx := func(end func(pgx.Tx) error) eventsourced.Position {
		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = store.AppendTx(t.Context(), tx, stream("a"), eventsourced.AtVersion(7), encode(t, "conflict"))
		require.ErrorIs(t, err, eventsourced.ErrConflict)
		position, err := store.AppendTx(t.Context(), tx, stream("a"), eventsourced.NoStream, encode(t, "1", "2"))
		require.NoError(t, err, "a conflict leaves the transaction usable")
		require.Empty(t, read(t, store, eventsourced.LogQuery{}), "not before the commit")
		require.NoError(t, end(tx))
		return position
	}
	inTx(func(tx pgx.Tx) error { return tx.Rollback(t.Context()) })
	require.Empty(t, read(t, store, eventsourced.LogQuery{}))
	position := inTx(func(tx pgx.Tx) error { return tx.Commit(t.Context()) })
	log := read(t, store, eventsourced.LogQuery{})
	require.Len(t, log, 2)
	require.Equal(t, position, log[1].Position)
}

func TestClockThatGoesBack(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	appendTo(t, store)
	// As if the last event had come from a clock an hour ahead.
	_, err := db.Pool.Exec(t.Context(), `UPDATE events SET tstamp = tstamp + 3600000000`)
	require.NoError(t, err)
	before := read(t, store, eventsourced.LogQuery{})[0].Position
	require.Equal(t, before+1, appendTo(t, store))
	require.Equal(t, before+2, appendTo(t, store))
	position, err := store.Append(t.Context(), stream("a"), eventsourced.Any, encode(t, "x", "y"))
	require.NoError(t, err)
	require.Equal(t, before+4, position)
}

// tracer counts the batches that it sees.
type tracer struct{ batches atomic.Int32 }

func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (t *tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (t *tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	t.batches.Add(1)
	return ctx
}

func (t *tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (t *tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func TestTracerSeesAppends(t *testing.T) {
	t.Parallel()
	seen := &tracer{}
	db := testdb.New(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = seen })
	store := open(t, db)
	before := seen.batches.Load()
	appendTo(t, store)
	require.Equal(t, before+1, seen.batches.Load())
}

// What a statement fails with is in the server's log, where an event's content does
// not belong.
func TestConflictsDoNotTellTheEvent(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var failures []string
	store := open(t, testdb.New(t, func(c *pgxpool.Config) {
		c.ConnConfig.OnPgError = func(_ *pgconn.PgConn, err *pgconn.PgError) bool {
			mu.Lock()
			defer mu.Unlock()
			failures = append(failures, fmt.Sprintf("%+v", *err))
			return true
		}
	}))
	_, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "first", "second"))
	require.NoError(t, err)
	for _, expected := range []eventsourced.Expected{eventsourced.NoStream, eventsourced.AtVersion(1), eventsourced.AtVersion(3)} {
		_, err := store.Append(t.Context(), stream("a"), expected, encode(t, "confidential"))
		require.ErrorIs(t, err, eventsourced.ErrConflict)
	}
	require.Len(t, failures, 3)
	require.NotContains(t, strings.Join(failures, "\n"), "confidential")
}

func TestLogID(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	id, err := open(t, db).LogID(t.Context())
	require.NoError(t, err)
	require.Len(t, id, 36)
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations()))
	again, err := open(t, db).LogID(t.Context())
	require.NoError(t, err)
	require.Equal(t, id, again, "it stays with the tables")
	other, err := open(t, testdb.New(t)).LogID(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, id, other)

	_, err = db.Pool.Exec(t.Context(), "DELETE FROM log_identity")
	require.NoError(t, err)
	_, err = open(t, db).LogID(t.Context())
	require.ErrorContains(t, err, "INSERT INTO log_identity DEFAULT VALUES")
	_, err = db.Pool.Exec(t.Context(), "INSERT INTO log_identity DEFAULT VALUES")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "INSERT INTO log_identity DEFAULT VALUES")
	require.ErrorContains(t, err, "duplicate key", "a log has one")
}

func TestMigrateByManyAtOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	appendTo(t, open(t, db))
}

func TestMissingTablesSayWhatToDo(t *testing.T) {
	t.Parallel()
	store := pgstore.New(testdb.New(t).Pool, storetest.Registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	_, err := store.Append(t.Context(), stream("a"), eventsourced.Any, encode(t, "x"))
	require.ErrorContains(t, err, "pgstore.Migrations")
	_, err = store.Head(t.Context())
	require.ErrorContains(t, err, "pgstore.Migrations")
}

func TestPayloadLimit(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	open(t, db)
	store := pgstore.New(db.Pool, storetest.Registry(), pgstore.Config{MaxPayload: 20})
	t.Cleanup(store.Close)
	_, err := store.Append(t.Context(), stream("a"), eventsourced.Any, encode(t, "", "more than twenty bytes"))
	require.ErrorIs(t, err, eventsourced.ErrInvalid)
	require.ErrorContains(t, err, "event 1, Noted")
	require.ErrorContains(t, err, "the limit is 20")
}

func TestWakeUpOfAnotherProcess(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	writer := open(t, db)
	pool, err := pgxpool.New(t.Context(), db.URL) // as another process has it
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	reader := pgstore.New(pool, storetest.Registry(), pgstore.Config{})
	t.Cleanup(reader.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	news := reader.Listen(ctx)
	awaitNews(t, news) // it listens from here on
	drain(news)
	appendTo(t, writer)
	awaitNews(t, news)

	// And again, when the listening connection was lost.
	_, err = db.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN "eventsourced_' || 'events'::regclass::oid || '"'`)
	require.NoError(t, err)
	awaitNews(t, news)
	drain(news)
	appendTo(t, writer)
	awaitNews(t, news)
}

func awaitNews(t *testing.T, news <-chan struct{}) {
	t.Helper()
	select {
	case <-news:
	case <-time.After(20 * time.Second):
		require.Fail(t, "no wake-up")
	}
}

func drain(news <-chan struct{}) {
	select {
	case <-news:
	default:
	}
}

// An append of one event does without settings once no plan would scan the log: it
// keeps its order and its outcomes.
func TestAppendsToALargeLog(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT n, gen_random_uuid(), 'Noted', 'Note', 'old-' || n, 1, now(), '{}' FROM generate_series(1, 20000) n`)
	require.NoError(t, err)
	var last eventsourced.Position
	for version := range eventsourced.Version(3) {
		position, err := store.Append(t.Context(), stream("a"), eventsourced.AtVersion(version), encode(t, "a"))
		require.NoError(t, err)
		require.Greater(t, position, last)
		last = position
	}
	_, err = store.Append(t.Context(), stream("a"), eventsourced.AtVersion(2), encode(t, "a"))
	require.ErrorIs(t, err, eventsourced.ErrConflict)
	_, err = store.Append(t.Context(), stream("a"), eventsourced.AtVersion(7), encode(t, "a"))
	require.ErrorIs(t, err, eventsourced.ErrConflict)
	_, err = store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "a"))
	require.ErrorIs(t, err, eventsourced.ErrConflict)
}
