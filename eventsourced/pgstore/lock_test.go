package pgstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// lines is a logger's output.
type lines struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(line)
}

func (l *lines) all() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buffer.String()) {
		all = append(all, line)
	}
	return all
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// hold takes the log's lock by an AppendTx and returns its transaction and process id.
func hold(t *testing.T, pool *pgxpool.Pool, store *pgstore.Store) (pgx.Tx, int) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	events := encode(t, "held")
	_, err = store.AppendTx(t.Context(), tx, stream(events[0].ID.String()), eventsourced.NoStream, events)
	require.NoError(t, err)
	return tx, int(tx.Conn().PgConn().PID())
}

func requireHolder(t *testing.T, err error, pid int) {
	t.Helper()
	require.ErrorIs(t, err, pgstore.ErrLockTimeout)
	var lockErr *pgstore.LockError
	require.ErrorAs(t, err, &lockErr)
	require.NotNil(t, lockErr.Holder, err)
	require.Equal(t, pid, lockErr.Holder.PID)
	require.Equal(t, "idle in transaction", lockErr.Holder.State)
	require.Regexp(t, `waited [0-9.]+m?s for the log's lock, held by pid \d+, state idle in transaction, query /\* eventsourced \*/ WITH clock`, err.Error())
}

func TestWhoeverWaitsForTheLockIsToldForWhom(t *testing.T) {
	t.Parallel()
	t.Run("at its deadline, and once in the log, however many wait", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		holder := open(t, db)
		_, pid := hold(t, db.Pool, holder)
		var log lines
		store, pool := openURL(t, db.URL, pgstore.Config{Logger: log.logger()})
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		var group sync.WaitGroup
		failures := make(chan error, 9)
		for i := range 8 {
			events := encode(t, make([]string, 1+i%2)...)
			group.Go(func() {
				_, err := store.Append(ctx, stream(fmt.Sprint(i%5)), eventsourced.Any, events)
				failures <- err
			})
		}
		events := encode(t, "x")
		group.Go(func() {
			_, err := store.AppendTx(ctx, tx, stream("tx"), eventsourced.Any, events)
			failures <- err
		})
		group.Wait()
		_ = tx.Rollback(t.Context())
		for range cap(failures) {
			err := <-failures
			require.ErrorIs(t, err, context.DeadlineExceeded)
			requireHolder(t, err, pid)
		}
		require.Greater(t, store.Appends().LockWait(1), time.Second, "who gave up has waited, too")
		require.Len(t, log.all(), 1)
		require.Contains(t, log.all()[0], "an append waits for the log's lock")
		require.Contains(t, log.all()[0], fmt.Sprint("pid=", pid))
	})
	t.Run("also if the pool has no connection to spare", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		_, pid := hold(t, db.Pool, open(t, db))
		store, _ := openURL(t, db.URL, pgstore.Config{Logger: slog.New(slog.DiscardHandler)}, func(c *pgxpool.Config) { c.MaxConns = 1 })
		ctx, cancel := context.WithTimeout(t.Context(), 5000*time.Millisecond)
		defer cancel()
		_, err := store.Append(ctx, stream("a"), eventsourced.NoStream, encode(t, "x"))
		requireHolder(t, err, pid)
	})
	for _, setting := range []string{"lock_timeout", "statement_timeout"} {
		t.Run("with one error for all who waited, by a role's "+setting, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			_, pid := hold(t, db.Pool, open(t, db))
			store, _ := openURL(t, db.URL, pgstore.Config{Logger: slog.New(slog.DiscardHandler)}, func(c *pgxpool.Config) {
				c.ConnConfig.RuntimeParams[setting] = "800"
			})
			began := time.Now()
			var group sync.WaitGroup
			failures := make(chan error, 30)
			for i := range cap(failures) {
				events := encode(t, "x")
				group.Go(func() {
					_, err := store.Append(t.Context(), stream(fmt.Sprint(i%15)), eventsourced.Any, events)
					failures <- err
				})
			}
			group.Wait()
			require.Less(t, time.Since(began), 5*time.Second, "two waits, and not thirty")
			for range cap(failures) {
				requireHolder(t, <-failures, pid)
			}
		})
	}
	t.Run("and nobody is blamed for a wait for something else", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		open(t, db)
		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		_, err = tx.Exec(t.Context(), `LOCK TABLE events`)
		require.NoError(t, err)
		var log lines
		store, _ := openURL(t, db.URL, pgstore.Config{Logger: log.logger()})
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_, err = store.Append(ctx, stream("a"), eventsourced.NoStream, encode(t, "x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, pgstore.ErrLockTimeout)
		require.Empty(t, log.all())
	})
}

func TestIdleTransactionsLoseTheLock(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	open(t, db)
	store, pool := openURL(t, db.URL, pgstore.Config{IdleTimeout: 300 * time.Millisecond})
	tx, _ := hold(t, pool, store)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := store.Append(ctx, stream("a"), eventsourced.NoStream, encode(t, "x"))
	require.NoError(t, err, "an append behind a transaction that stands idle")
	require.Error(t, tx.Commit(t.Context()))
	require.Len(t, read(t, store, eventsourced.LogQuery{}), 1)
}

func TestIdleTimeoutOfATransaction(t *testing.T) {
	t.Parallel()
	const name = "idle_in_transaction_session_timeout"
	for before, during := range map[string]string{"0": "30s", "5s": "5s", "1500ms": "1500ms", "31s": "30s", "1d": "30s"} {
		t.Run(fmt.Sprintf("that has %s is %s, and %s after it", before, during, before), func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t, func(c *pgxpool.Config) {
				c.MaxConns = 1
				c.ConnConfig.RuntimeParams[name] = before
				c.ConnConfig.RuntimeParams["IntervalStyle"] = "iso_8601"
			})
			store := open(t, db)
			tx, _ := hold(t, db.Pool, store)
			var now string
			require.NoError(t, tx.QueryRow(t.Context(), "SHOW "+name).Scan(&now))
			require.Equal(t, during, now)
			require.NoError(t, tx.Commit(t.Context()))
			require.NoError(t, db.Pool.QueryRow(t.Context(), "SHOW "+name).Scan(&now))
			require.Equal(t, before, now)
		})
	}
}

// A prepared transaction keeps its locks without a session and across restarts.
func TestPreparedTransactions(t *testing.T) {
	t.Parallel()
	server, err := devservices.StartPostgres(t.Context(), devservices.PostgresConfig{Settings: map[string]string{"max_prepared_transactions": "5"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	store, pool := openURL(t, server.URL(), pgstore.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{}, pgstore.Migrations()))
	for range 2 { // the session may have the lock that it keeps
		tx, _ := hold(t, pool, store)
		_, err = tx.Exec(t.Context(), `PREPARE TRANSACTION 'refused'`)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "0A000", refused.Code, refused.Message)
		require.NoError(t, tx.Rollback(t.Context()))
	}
	// By hand, as an AppendTx of an older version.
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(1702260334, 'events'::regclass::oid::int)`)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `PREPARE TRANSACTION 'forgotten'`)
	require.NoError(t, err)
	_ = tx.Rollback(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	_, err = store.Append(ctx, stream("a"), eventsourced.NoStream, encode(t, "x"))
	require.ErrorContains(t, err, `held by the prepared transaction "forgotten", user postgres`)
	_, err = pool.Exec(t.Context(), `ROLLBACK PREPARED 'forgotten'`)
	require.NoError(t, err)
	appendTo(t, store)
}

// An AppendTx whose context ends while it waits has lost its transaction, and leaves
// nobody in line.
func TestAppendTxThatGivesUp(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	holder, _ := hold(t, db.Pool, store)
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = store.AppendTx(ctx, tx, stream("a"), eventsourced.NoStream, encode(t, "x"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 2*time.Second)
	require.Error(t, tx.Commit(t.Context()))
	require.NoError(t, holder.Commit(t.Context()))
	require.Eventually(t, func() bool {
		var waiting int
		err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 'events'::regclass
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waiting)
		return err == nil && waiting == 0
	}, 10*time.Second, 5*time.Millisecond)
	_, err = store.AppendTx(t.Context(), holder, stream("a"), eventsourced.NoStream, encode(t, "x"))
	require.ErrorIs(t, err, pgx.ErrTxClosed, "its connection is somebody else's")
	require.Len(t, read(t, store, eventsourced.LogQuery{}), 1)
}

type caller struct{}

// spans has the callers whose contexts it saw, and whether their spans have ended.
type spans struct {
	mu   sync.Mutex
	open map[any]int
	seen map[any]int
}

func (s *spans) start(ctx context.Context) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[ctx.Value(caller{})]++
	s.seen[ctx.Value(caller{})]++
	return ctx
}

func (s *spans) end(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[ctx.Value(caller{})]--
}

// of returns how many spans a caller had, and how many of them have not ended.
func (s *spans) of(caller any) (seen, open int) {
	s.mu.Lock() // the store's own queries go on
	defer s.mu.Unlock()
	return s.seen[caller], s.open[caller]
}

type querySpans struct{ *spans }

func (s querySpans) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !strings.Contains(data.SQL, "INSERT INTO events") {
		return context.WithValue(ctx, caller{}, nil)
	}
	return s.start(ctx)
}

func (s querySpans) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	s.end(ctx)
}

type batchSpans struct{ querySpans }

func (s batchSpans) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if data.Batch.Len() != 2 {
		panic("want the lock and the insert")
	}
	return s.start(ctx)
}

func (s batchSpans) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s batchSpans) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) {
	s.end(ctx)
}

// A caller finds its append in its trace, also if it went with others.
func TestEachAppendHasASpan(t *testing.T) {
	t.Parallel()
	for name, batches := range map[string]bool{"of a batch": true, "of a query, from a tracer that knows no batches": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &spans{open: map[any]int{}, seen: map[any]int{}}
			db := testdb.New(t, func(c *pgxpool.Config) {
				c.ConnConfig.Tracer = querySpans{seen}
				if batches {
					c.ConnConfig.Tracer = batchSpans{querySpans{seen}}
				}
			})
			require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations()))
			other, pool := openURL(t, db.URL, pgstore.Config{})
			holder, _ := hold(t, pool, other)
			store := pgstore.New(db.Pool, storetest.Registry(), pgstore.Config{})
			t.Cleanup(store.Close)
			var group sync.WaitGroup
			for i := range 10 {
				events := encode(t, make([]string, 1+i%2)...)
				group.Go(func() {
					if _, err := store.Append(context.WithValue(t.Context(), caller{}, i), stream(fmt.Sprint(i)), eventsourced.NoStream, events); err != nil {
						t.Error(err)
					}
				})
			}
			w := &workshop{t: t, db: db}
			w.awaitBlocked(2, "two go alone, eight together")
			require.NoError(t, holder.Commit(t.Context()))
			group.Wait()
			for i := range 10 {
				began, open := seen.of(i)
				require.Equal(t, 1, began, "caller %d", i)
				require.Zero(t, open, "caller %d", i)
			}
		})
	}
}

// What one request of a group is to blame for does not touch the others: also what only
// the server refuses, by a trigger or for its depth.
func TestTheServersRefusalIsOnesOwn(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	_, err := db.Pool.Exec(t.Context(), `
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no %', NEW.name; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.name = 'Unnoted') EXECUTE FUNCTION refuse()`)
	require.NoError(t, err)
	holder, _ := hold(t, db.Pool, store)
	var group sync.WaitGroup
	failures := make([]error, 10)
	for i := range failures {
		events := encode(t, "x")
		if i == 7 {
			events[0].Name = "Unnoted"
		}
		group.Go(func() { _, failures[i] = store.Append(t.Context(), stream(fmt.Sprint(i)), eventsourced.Any, events) })
	}
	w := &workshop{t: t, db: db}
	w.awaitBlocked(2, "two go alone, eight together")
	require.NoError(t, holder.Commit(t.Context()))
	group.Wait()
	require.ErrorContains(t, failures[7], "no Unnoted")
	failures[7] = nil
	require.NoError(t, errors.Join(failures...))
}
