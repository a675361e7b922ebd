package testdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// Not parallel: nobody else takes the session that one test leaves to the other.
func TestSessionsAreUsedAgain(t *testing.T) {
	session := func(t *testing.T, work func(conn *pgx.Conn)) (pid uint32) {
		t.Run("test", func(t *testing.T) {
			db := testdb.New(t, testdb.MaxConns(1))
			conn, err := db.Pool.Acquire(t.Context())
			require.NoError(t, err)
			defer conn.Release()
			var path, name string
			var temporary *string
			require.NoError(t, conn.QueryRow(t.Context(), `SELECT current_setting('search_path'), current_setting('application_name'), to_regclass('pg_temp.t')::text`).Scan(&path, &name, &temporary))
			require.Equal(t, db.Schema, path)
			require.Empty(t, name)
			require.Nil(t, temporary)
			pid = conn.Conn().PgConn().PID()
			work(conn.Conn())
		})
		return pid
	}
	exec := func(sql string) func(*pgx.Conn) {
		return func(conn *pgx.Conn) {
			_, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
	}
	first := session(t, exec(`CREATE TEMP TABLE t (); SET application_name = 'other'; SELECT pg_advisory_lock(7); LISTEN x`))
	require.Equal(t, first, session(t, exec(`BEGIN; CREATE TABLE t ()`)), "and nothing is left of what was done in it")
	require.Equal(t, first, session(t, func(conn *pgx.Conn) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := conn.Exec(ctx, `SELECT pg_sleep(60)`)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}))
	var left *pgx.Conn
	second := session(t, func(conn *pgx.Conn) { left = conn })
	require.NotEqual(t, first, second, "what was cancelled may be cancelled late")
	require.Equal(t, second, session(t, func(conn *pgx.Conn) {
		go func() { _ = left.PgConn().CancelRequest(context.Background()) }()
		_, err := conn.Exec(t.Context(), `SELECT pg_sleep(0.2)`)
		require.NoError(t, err, "who had the session before cancels nothing in it")
		go func() { _ = conn.PgConn().CancelRequest(context.Background()) }()
		_, err = conn.Exec(t.Context(), `SELECT pg_sleep(60)`)
		require.ErrorContains(t, err, "canceling statement")
	}))
	require.NotEqual(t, second, session(t, func(*pgx.Conn) {}))
}

// A client that waits for the end of what it has cancelled waits for the server's end of it, as without testdb.
func TestWhatIsCancelledHasEnded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t, testdb.MaxConns(2))
	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, `DO $$BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(1); END$$`)
		ended <- err
	}()
	sleeps := func() (n int) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'`, conn.Conn().PgConn().PID()).Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return sleeps() == 1 }, time.Minute, 10*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	<-conn.Conn().PgConn().CleanupDone()
	require.Zero(t, sleeps())
}
