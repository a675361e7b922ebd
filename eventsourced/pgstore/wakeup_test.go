package pgstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestCloseEndsTheListening(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	writer := open(t, db)
	pool, err := pgxpool.New(t.Context(), db.URL)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	store := pgstore.New(pool, storetest.Registry(), pgstore.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	news := store.Listen(ctx)
	awaitNews(t, news)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		store.Close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		require.Fail(t, "Close hangs while somebody listens")
	}
	drain(news)
	store.Wake()
	later := store.Listen(ctx)
	appendTo(t, writer)
	select {
	case <-news:
		require.Fail(t, "a value, or the end, after Close and before that of the context")
	case <-later:
		require.Fail(t, "a value, or the end, after Close and before that of the context")
	default:
	}
	require.Eventually(t, func() bool { return listeners(t, db) == 0 }, 10*time.Second, 5*time.Millisecond, "the server notices that the connection is closed")
	cancel()
	_, isOpen := <-news
	require.False(t, isOpen)
	_, isOpen = <-later
	require.False(t, isOpen)
}

// listeners counts the sessions that show that they listen.
func listeners(t *testing.T, db *testdb.DB) (n int) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1702260335
		AND objid = 'events'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n))
	return n
}

// A pooler's connection would keep the lock of a listener that gets nothing.
func TestListenerBehindAPooler(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	open(t, db)
	proxy := newProxy(t, db.URL, func(p *proxy) { p.pooler = true })
	var log lines
	store, _ := openURL(t, proxy.url, pgstore.Config{Logger: log.logger()}, func(c *pgxpool.Config) {
		c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	})
	news := store.Listen(t.Context())
	require.Eventually(t, func() bool { return len(log.all()) > 0 }, 10*time.Second, 5*time.Millisecond)
	require.Zero(t, listeners(t, db))
	require.Len(t, log.all(), 1)
	require.Contains(t, log.all()[0], "level=WARN")
	require.Contains(t, log.all()[0], "pooler")
	drain(news)
	appendTo(t, store)
	awaitNews(t, news) // in the process itself
}

// What never works is said, once for each error until it works again.
func TestWakeUpsThatDoNotWorkAreLogged(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	open(t, db)
	first := func(c *pgxpool.Config) {
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SET search_path = "+db.Schema+", pg_catalog") // the test's functions before the server's
			return err
		}
	}
	breakIt := func(function, code string) {
		_, err := db.Pool.Exec(t.Context(), fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = '%s'; END $$`, function, code))
		require.NoError(t, err)
	}
	repair := func(function string) { // not dropped: who is about to call it would get an error of its own
		name, _, _ := strings.Cut(function, "(")
		_, err := db.Pool.Exec(t.Context(), fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.%s($1, $2); END $$`, function, name))
		require.NoError(t, err)
	}
	const listen, notify = "pg_advisory_lock_shared(int, int)", "pg_notify(text, text)"
	var log, written lines
	awaitLog := func(log *lines, lines int, what ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return len(log.all()) >= lines }, 10*time.Second, 5*time.Millisecond)
		require.Len(t, log.all(), lines)
		for _, word := range what {
			require.Contains(t, log.all()[lines-1], word)
		}
	}
	breakIt(listen, "42501")
	reader, _ := openURL(t, db.URL, pgstore.Config{Logger: log.logger()}, first)
	news := reader.Listen(t.Context())
	awaitLog(&log, 1, "LISTEN", "42501", "level=WARN")
	breakIt(listen, "53200")
	awaitLog(&log, 2, "LISTEN", "53200")
	breakIt(listen, "42501")
	repair(listen)
	awaitNews(t, news)
	require.Len(t, log.all(), 2)
	breakIt(listen, "42501")
	_, err := db.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN "eventsourced_' || 'events'::regclass::oid || '"'`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(strings.Join(log.all()[2:], ""), "42501")
	}, 10*time.Second, 5*time.Millisecond, "again, after it had worked")
	repair(listen)

	require.Eventually(t, func() bool { return listeners(t, db) == 1 }, 10*time.Second, 5*time.Millisecond)
	breakIt(notify, "42501")
	writer, _ := openURL(t, db.URL, pgstore.Config{Logger: written.logger()}, first)
	appendTo(t, writer)
	awaitLog(&written, 1, "NOTIFY", "42501")
	for range 3 {
		appendTo(t, writer)
	}
	repair(notify)
	drain(news)
	appendTo(t, writer)
	awaitNews(t, news)
	require.Len(t, written.all(), 1)
}

// Who polls rarely is woken for every event: also for one that is appended while the
// wake-up for the one before is under way.
func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	writer := open(t, db)
	reader, _ := openURL(t, db.URL, pgstore.Config{})
	await := func(news <-chan struct{}, position eventsourced.Position, story string) {
		t.Helper()
		deadline := time.After(10 * time.Second)
		for {
			head, err := reader.Head(t.Context())
			require.NoError(t, err)
			if head >= position {
				return
			}
			select {
			case <-news:
			case <-deadline:
				require.Fail(t, "a wake-up was lost", story)
			}
		}
	}
	news := reader.Listen(t.Context())
	awaitNews(t, news)
	for i := range 30 {
		drain(news)
		appendTo(t, writer)
		awaitNews(t, news) // the next one falls into the pause after this NOTIFY
		drain(news)
		last := appendTo(t, writer)
		awaitNews(t, news)
		await(news, last, fmt.Sprint("round ", i))
	}
}

// A wake-up before the commit would find nothing, and the next one may be far off.
func TestWakeUpsComeAfterTheCommit(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	news := store.Listen(t.Context())
	awaitNews(t, news)
	require.Eventually(t, func() bool { return listeners(t, db) == 1 }, 10*time.Second, 5*time.Millisecond)
	for _, texts := range [][]string{{"one"}, {"two", "three"}} {
		holder, _ := hold(t, db.Pool, store)
		drain(news)
		events, appended := encode(t, texts...), make(chan error, 1)
		go func() {
			_, err := store.Append(t.Context(), stream(events[0].ID.String()), eventsourced.NoStream, events)
			appended <- err
		}()
		(&workshop{t: t, db: db}).awaitBlocked(1, "it waits for the lock")
		require.Empty(t, news, "no wake-up before the commit")
		require.NoError(t, holder.Rollback(t.Context()))
		require.NoError(t, <-appended)
		awaitNews(t, news)
		log := read(t, store, eventsourced.LogQuery{})
		require.Equal(t, events[len(events)-1].ID, log[len(log)-1].ID)
	}
}
