// Package testdb gives each test a database of its own: a fresh schema, or a fresh
// database, in the server named by TEST_DATABASE_URL, else by DATABASE_URL, else in
// a private server that starts with the first test of the process that wants one.
//
// A pool's connections are, where possible, sessions of the server that other tests of the process have
// left, cleaned, see reuse.go: to begin one costs more than most tests do with it.
//
// Tests, and the test processes of several packages, may run in parallel on one
// server. What a test made is dropped at its end. What a failed test made stays, so
// that one can look at it; later test processes drop such leftovers, and those of
// killed tests, once they are an hour old.
package testdb

import (
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// DB is a test's database. It is gone when the test ends.
type DB struct {
	// Pool has connections whose search_path is Schema only.
	Pool *pgxpool.Pool
	// URL opens the same database with the same search_path, also in a child
	// process and in psql.
	URL string
	// Schema is the test's schema; it is "public" in a database of its own.
	Schema string

	t testing.TB
}

// Option changes the pool that New and NewDatabase make.
type Option func(*pgxpool.Config)

// MaxConns bounds the connections of the pool. Defaults to 10.
func MaxConns(n int32) Option {
	return func(c *pgxpool.Config) { c.MaxConns = n }
}

// New returns a fresh, empty schema. It fails the test when there is no server.
func New(t testing.TB, options ...Option) *DB {
	t.Helper()
	server := theServer(t)
	name := newName()
	must(t, server.execute("CREATE SCHEMA "+name))
	return open(t, server, withSearchPath(parse(t, server.url), name), name, "DROP SCHEMA "+name+" CASCADE", options)
}

// NewDatabase returns a fresh database, for the test that changes what belongs to
// a whole database or that dumps it. It takes about ten times as long as New.
func NewDatabase(t testing.TB, options ...Option) *DB {
	t.Helper()
	server := theServer(t)
	name := newName()
	must(t, server.execute("CREATE DATABASE "+name+" TEMPLATE template0"))
	address := parse(t, server.url)
	address.Path = "/" + name
	return open(t, server, withSearchPath(address, "public"), "public", "DROP DATABASE "+name+" WITH (FORCE)", options)
}

// SQL returns the pool in the form of database/sql, closed at the end of the test.
func (db *DB) SQL() *sql.DB {
	handle := stdlib.OpenDBFromPool(db.Pool)
	db.t.Cleanup(func() { _ = handle.Close() })
	return handle
}

// open connects a pool to what was just made and arranges that drop unmakes it.
func open(t testing.TB, server *server, address, schema, drop string, options []Option) *DB {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("testdb: %s", server.keptNote(address))
		} else if err := server.execute(drop); err != nil {
			t.Errorf("testdb: %v", err)
		}
	})
	config, err := pgxpool.ParseConfig(address)
	must(t, err)
	config.MaxConns = 10
	config.ConnConfig.DialFunc = server.sessions.dial
	for _, option := range options {
		option(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(func() { closePool(t, pool) })
	return &DB{Pool: pool, URL: address, Schema: schema, t: t}
}

// closePool reports a connection that the test did not give back, for which Close
// would wait for ever.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Errorf("testdb: %d connections of the pool were not released: look for rows and transactions left open", pool.Stat().AcquiredConns())
	}
}

func parse(t testing.TB, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(parsed.Scheme, "postgres") {
		t.Fatalf("testdb: TEST_DATABASE_URL or DATABASE_URL is not of the form postgres://user:password@host:port/database")
	}
	return parsed
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
}

// withSearchPath sets search_path in the way that pgx and libpq both understand.
func withSearchPath(address *url.URL, schema string) string {
	query := address.Query()
	query.Set("options", strings.TrimSpace(query.Get("options")+" -csearch_path="+schema))
	result := *address
	result.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // libpq reads "+" as itself
	return result.String()
}

// keptNote says how to look at what a failed test left.
func (s *server) keptNote(address string) string {
	if s.private != nil {
		return "the test's data goes with the private server; to keep it, set TEST_DATABASE_URL to a server of your own"
	}
	return fmt.Sprintf("the test's data is kept for an hour, while the server runs: psql '%s'", address)
}
