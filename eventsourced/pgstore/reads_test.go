package pgstore_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// reads are the ways to read several events.
func reads(store *pgstore.Store) map[string]func(context.Context) iter.Seq2[eventsourced.Recorded, error] {
	log := func(names ...string) func(context.Context) iter.Seq2[eventsourced.Recorded, error] {
		return func(ctx context.Context) iter.Seq2[eventsourced.Recorded, error] {
			return store.ReadLog(ctx, eventsourced.LogQuery{Names: names})
		}
	}
	return map[string]func(context.Context) iter.Seq2[eventsourced.Recorded, error]{
		"the log": log(), "one name": log("Noted"), "several names": log("Unnoted", "Noted"),
		"a stream": func(ctx context.Context) iter.Seq2[eventsourced.Recorded, error] {
			return store.ReadStream(ctx, stream("a"), 0)
		},
	}
}

// A read whose connection is cut is an error after what was there, or begins anew if
// nothing was there: nobody takes a part for the whole, and nothing comes twice.
func TestReadsThatAreCut(t *testing.T) {
	t.Parallel()
	const events = 400
	for name := range reads(nil) {
		t.Run("of "+name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			direct := open(t, db)
			_, err := direct.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, slices.Repeat([]string{strings.Repeat("x", 1000)}, events)...))
			require.NoError(t, err)
			want := read(t, direct, eventsourced.LogQuery{})
			proxy := newProxy(t, db.URL)
			store, _ := openURL(t, proxy.url, pgstore.Config{}, func(c *pgxpool.Config) { c.MaxConns = 1 })
			again, broken := 0, 0
			for _, after := range []int64{1, 7, 50, 700, 3_000, 60_000, 200_000, 400_000} {
				for range reads(store)[name](t.Context()) { // it is prepared now
				}
				proxy.answers.Store(after)
				var got []eventsourced.Recorded
				var failures []error
				for event, err := range reads(store)[name](t.Context()) {
					if err != nil {
						failures = append(failures, err)
						continue
					}
					require.Empty(t, failures, "nothing comes after an error")
					got = append(got, event)
				}
				require.Zero(t, proxy.answers.Load(), "it was cut")
				if len(failures) == 0 {
					require.Equal(t, want, got, "cut after %d bytes", after)
					again++
					continue
				}
				require.Len(t, failures, 1)
				require.NotEmpty(t, got, "with nothing yielded it begins anew")
				require.Equal(t, want[:len(got)], got, "cut after %d bytes", after)
				broken++
			}
			require.Positive(t, again)
			require.Positive(t, broken)
		})
	}
}

// The order of what is read is asked for, not an accident of a plan or of where rows lie.
func TestReadsAreInOrderByAnyPlan(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, func(c *pgxpool.Config) {
		for _, scan := range []string{"enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"} {
			c.ConnConfig.RuntimeParams[scan] = "off"
		}
	})
	store := open(t, db)
	_, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, make([]string, 20)...))
	require.NoError(t, err)
	for tuple := range 10 { // the table's order is another one now
		_, err := db.Pool.Exec(t.Context(), `UPDATE events SET name = CASE WHEN version % 2 = 0 THEN 'Noted' ELSE 'Unnoted' END WHERE version % 10 = $1`, (tuple*7)%10)
		require.NoError(t, err)
	}
	for name, from := range reads(store) {
		var last eventsourced.Version
		for event, err := range from(t.Context()) {
			require.NoError(t, err)
			require.Greater(t, event.Version, last, name)
			last = event.Version
		}
		require.GreaterOrEqual(t, last, eventsourced.Version(19), name)
	}
	require.Regexp(t, `ORDER BY version$`, pgstore.ReadStreamSQL(store))
	for _, query := range []eventsourced.LogQuery{{}, {Names: []string{"a"}}, {Names: []string{"a", "b"}}, {Streams: []eventsourced.Stream{stream("a")}}} {
		sql, _ := pgstore.SelectionSQL(store, query)
		require.Regexp(t, `ORDER BY (e.name, )?(e\.)?tstamp( LIMIT \$3)?$`, sql)
		query.Backwards = true
		sql, _ = pgstore.SelectionSQL(store, query)
		require.Regexp(t, `ORDER BY (e.name DESC, )?(e\.)?tstamp DESC( LIMIT \$3)?$`, sql)
	}
}

// Somebody may deallocate what a connection has prepared, and somebody may spread a
// session's statements.
func TestForgottenStatements(t *testing.T) {
	t.Parallel()
	t.Run("are prepared again", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t, testdb.MaxConns(1))
		store := open(t, db)
		forget := func() {
			_, err := db.Pool.Exec(t.Context(), `DEALLOCATE ALL`, pgx.QueryExecModeSimpleProtocol)
			require.NoError(t, err)
		}
		for i := range 3 {
			appendTo(t, store)
			forget()
			appendTo(t, store)
			_, err := store.Append(t.Context(), stream(fmt.Sprint(i)), eventsourced.NoStream, encode(t, "1", "2"))
			require.NoError(t, err)
			forget()
			_, err = store.Append(t.Context(), stream(fmt.Sprint(i)), eventsourced.Any, encode(t, "1", "2"))
			require.NoError(t, err)
			read(t, store, eventsourced.LogQuery{})
			forget()
			require.Len(t, read(t, store, eventsourced.LogQuery{}), 6*(i+1))
		}
	})
	t.Run("are reported with what to do", func(t *testing.T) {
		t.Parallel()
		db := testdb.New(t)
		direct := open(t, db)
		digest := sha256.Sum256([]byte(pgstore.LockSQL(direct)))
		store, _ := openURL(t, db.URL, pgstore.Config{}, func(c *pgxpool.Config) {
			c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { // as if it were another client's
				_, err := conn.Exec(ctx, "PREPARE stmt_"+hex.EncodeToString(digest[:24])+" AS SELECT 1")
				return err
			}
		})
		_, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "x"))
		require.ErrorContains(t, err, "default_query_exec_mode=cache_describe")
	})
}

// After a failover the connections of a pool may lead to what is a replica now.
func TestConnectionsThatBecameReadOnlyAreGivenUp(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.MaxConns(4))
	store := open(t, db)
	failOver := func() {
		var all []*pgxpool.Conn
		for range 4 {
			conn, err := db.Pool.Acquire(t.Context())
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), `SET default_transaction_read_only = on`)
			require.NoError(t, err)
			all = append(all, conn)
		}
		for _, conn := range all {
			conn.Release()
		}
	}
	for name, write := range map[string]func() error{
		"an append of one event": func() error {
			_, err := store.Append(t.Context(), stream("one"), eventsourced.Any, encode(t, "x"))
			return err
		},
		"an append of one event to a new stream": func() error {
			_, err := store.Append(t.Context(), stream("new"), eventsourced.NoStream, encode(t, "x"))
			return err
		},
		"an append of several events": func() error {
			_, err := store.Append(t.Context(), stream("several"), eventsourced.Any, encode(t, "x", "y"))
			return err
		},
		"a snapshot": func() error {
			return store.SaveSnapshot(t.Context(), stream("one"), eventsourced.Snapshot{Version: 1, SchemaVersion: 1, State: []byte("x")})
		},
	} {
		failOver()
		require.NoError(t, write(), name)
	}
	failOver()
	inTx := func() error {
		return pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
			_, err := store.AppendTx(t.Context(), tx, stream("tx"), eventsourced.Any, encode(t, "x"))
			return err
		})
	}
	require.Error(t, inTx(), "its transaction is the caller's")
	require.NoError(t, inTx(), "who tries again, on another connection")
}

// The clock may step back while an append's transaction is open, before and after the
// last event: positions stay unique, and ascend in the order of commits.
func TestClockThatGoesBackInATransaction(t *testing.T) {
	t.Parallel()
	at := func(second int) string { return time.Unix(2_000_000_000+int64(second), 0).UTC().Format(time.RFC3339) }
	position := func(second int) eventsourced.Position { return eventsourced.Position(2_000_000_000+second) * 1_000_000 }
	for name, c := range map[string]struct{ last, began, now, want int }{
		"a clock that goes on":                       {0, 10, 20, 20},
		"back to before the transaction":             {0, 10, -20, 10},
		"back to before the last event":              {0, 10, 0, 10},
		"and the last event is from its very moment": {10, 10, -20, 10}, // and one more
		"and the last event came since":              {15, 10, -20, 15},
		"the clock has not gone on since":            {10, 5, 10, 10},
		"it began before the last event":             {10, -5, 5, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			open(t, db)
			_, err := db.Pool.Exec(t.Context(), fmt.Sprintf(`
				CREATE FUNCTION now() RETURNS timestamptz STABLE LANGUAGE sql AS $$ SELECT timestamptz '%s' $$;
				CREATE FUNCTION clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS $$ SELECT timestamptz '%s' $$`, at(c.began), at(c.now)))
			require.NoError(t, err)
			store, pool := openURL(t, db.URL, pgstore.Config{}, func(p *pgxpool.Config) {
				p.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
					_, err := conn.Exec(ctx, "SET search_path = "+db.Schema+", pg_catalog") // the test's clock before the server's
					return err
				}
			})
			w := &workshop{t: t, db: &testdb.DB{Pool: pool}, store: store}
			for i, way := range []struct {
				expected eventsourced.Expected
				texts    []string
				inTx     bool
			}{
				{eventsourced.NoStream, []string{"a"}, false}, {eventsourced.AtVersion(1), []string{"a"}, false},
				{eventsourced.Any, []string{"a", "b"}, false}, {eventsourced.Any, []string{"a", "b"}, true},
			} {
				if way.expected != eventsourced.AtVersion(1) {
					_, err = db.Pool.Exec(t.Context(), `DELETE FROM events`)
					require.NoError(t, err)
				}
				_, err = db.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
					SELECT $1, gen_random_uuid(), 'Noted', 'other', $1::bigint, 1, pg_catalog.now(), '{}' WHERE NOT EXISTS (SELECT FROM events WHERE tstamp = $1)`, int64(position(c.last)))
				require.NoError(t, err)
				head, err := store.Head(t.Context())
				require.NoError(t, err)
				first, err := w.append(stream("a"), way.expected, encode(t, way.texts...), way.inTx)
				require.NoError(t, err)
				want := max(position(c.want), head+1)
				require.Equal(t, want+eventsourced.Position(len(way.texts)-1), first, "way %d", i)
			}
		})
	}
}
