package testdb_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func TestNew(t *testing.T) {
	t.Parallel()
	first, second := testdb.New(t), testdb.New(t, testdb.MaxConns(2))
	require.EqualValues(t, 10, first.Pool.Config().MaxConns)
	require.EqualValues(t, 2, second.Pool.Config().MaxConns)

	for i, db := range []*testdb.DB{first, second} {
		_, err := db.Pool.Exec(t.Context(), "CREATE TABLE t AS SELECT $1::int AS n", i)
		require.NoError(t, err)
	}
	for i, db := range []*testdb.DB{first, second} {
		var n int
		require.NoError(t, db.SQL().QueryRowContext(t.Context(), "SELECT n FROM t").Scan(&n))
		require.Equal(t, i, n)

		var path string
		require.NoError(t, connect(t, db.URL).QueryRow(t.Context(), "SELECT n, current_setting('search_path') FROM t").Scan(&n, &path))
		require.Equal(t, i, n)
		require.Equal(t, db.Schema, path)
	}
}

func TestNewDatabase(t *testing.T) {
	t.Parallel()
	db, other := testdb.NewDatabase(t), testdb.New(t)
	const query = "SELECT current_database(), current_schema()"
	var database, schema, otherDatabase, otherSchema string
	require.NoError(t, connect(t, db.URL).QueryRow(t.Context(), query).Scan(&database, &schema))
	require.NoError(t, other.Pool.QueryRow(t.Context(), query).Scan(&otherDatabase, &otherSchema))
	require.NotEqual(t, otherDatabase, database)
	require.Equal(t, "public", schema)
	require.Equal(t, db.Schema, schema)
	require.Equal(t, other.Schema, otherSchema)
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	watcher := testdb.New(t)

	passing := &fakeTest{TB: t}
	schema := testdb.New(passing).Schema
	database := databaseOf(t, testdb.NewDatabase(passing))
	require.True(t, exists(t, watcher, schema))
	require.True(t, exists(t, watcher, database))
	passing.end()
	require.False(t, exists(t, watcher, schema))
	require.False(t, exists(t, watcher, database))
	require.Empty(t, passing.log)

	failing := &fakeTest{TB: t, failed: true}
	kept := testdb.New(failing)
	failing.end()
	require.True(t, exists(t, watcher, kept.Schema), "a failed test keeps its schema")
	if os.Getenv("TEST_DATABASE_URL") != "" {
		require.Contains(t, failing.log, "psql '"+kept.URL+"'")
	} else {
		require.Contains(t, failing.log, "TEST_DATABASE_URL")
	}
	_, err := watcher.Pool.Exec(t.Context(), "DROP SCHEMA "+kept.Schema)
	require.NoError(t, err)
}

// Not parallel: another process may drop leftovers, another test of this may not.
func TestDropLeftovers(t *testing.T) {
	db := testdb.New(t)
	name := func(age time.Duration) string {
		return fmt.Sprintf("testdb_%d_%s", time.Now().Add(-age).Unix(), strings.ToLower(db.Schema[len(db.Schema)-16:]))
	}
	young, old, oldDatabase := name(50*time.Minute), name(70*time.Minute), name(80*time.Minute)
	for _, statement := range []string{"CREATE SCHEMA " + young, "CREATE SCHEMA " + old, "CREATE DATABASE " + oldDatabase} {
		_, err := db.Pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		require.NoError(t, testdb.DropLeftovers(t))
		return !exists(t, db, old) && !exists(t, db, oldDatabase)
	}, 10*time.Second, 10*time.Millisecond, "the lock may be taken for a moment")
	require.True(t, exists(t, db, young))
	require.True(t, exists(t, db, db.Schema))
	_, err := db.Pool.Exec(t.Context(), "DROP SCHEMA "+young)
	require.NoError(t, err)
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNew$")
	command.Env = append(os.Environ(), "TEST_DATABASE_URL=postgres://127.0.0.1:1/nobody")
	output, err := command.CombinedOutput()
	require.Error(t, err, "a missing server must fail the test")
	require.Contains(t, string(output), "testdb: the server of TEST_DATABASE_URL or DATABASE_URL: ")
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func databaseOf(t *testing.T, db *testdb.DB) (name string) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&name))
	return name
}

// exists tells whether there is a schema or a database of this name.
func exists(t *testing.T, db *testdb.DB, name string) (found bool) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		"SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) OR EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&found))
	return found
}

// fakeTest is a test within a test, with its own outcome, log and end.
type fakeTest struct {
	testing.TB
	failed   bool
	log      string
	cleanups []func()
}

func (f *fakeTest) Failed() bool                    { return f.failed }
func (f *fakeTest) Logf(format string, args ...any) { f.log += fmt.Sprintf(format, args...) }
func (f *fakeTest) Cleanup(cleanup func())          { f.cleanups = append(f.cleanups, cleanup) }

func (f *fakeTest) end() {
	for len(f.cleanups) > 0 {
		last := len(f.cleanups) - 1
		cleanup := f.cleanups[last]
		f.cleanups = f.cleanups[:last]
		cleanup()
	}
}
