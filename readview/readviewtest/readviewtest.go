// Package readviewtest gives tests of projections a real PostgreSQL: the server
// that TEST_DATABASE_URL or DATABASE_URL names, otherwise a private one that is
// started with the first test and stopped with the last. It also has the conformance suite
// of position stores; that is not in storetest, as the write side knows nothing of the
// read side.
package readviewtest

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// Database is a test's own database: a schema of one that all tests on the server share, and the
// only one in its search path. Give another schema, as in a Schema of a configuration, a name that
// begins with that one's, so that no other test has it, and drop it at the end. The
// database is gone when the test ends; that of a test which has failed is kept for an hour, and the
// test says how to look at it.
type Database struct {
	// Pool reaches it, with at most ten connections.
	Pool *pgxpool.Pool

	// URL opens it as well, also in a child process and in psql.
	URL string

	// Schema is the only one in its search path.
	Schema string

	db *testdb.DB
}

// NewDatabase returns an empty database. It fails the test when there is no
// server, and says how to get one. Tests that run at the same time have one each.
func NewDatabase(t testing.TB) *Database {
	t.Helper()
	db := testdb.New(t)
	return &Database{Pool: db.Pool, URL: db.URL, Schema: db.Schema, db: db}
}

// SQL returns the database in the form of database/sql: its transactions are what a
// handler may be called with. It is closed when the test ends.
func (d *Database) SQL() *sql.DB { return d.db.SQL() }

// Main is for TestMain of a package that uses [NewDatabase]: it runs the tests,
// stops the private server, and fails when a test has left a goroutine behind.
func Main(m *testing.M) { testdb.Main(m) }
