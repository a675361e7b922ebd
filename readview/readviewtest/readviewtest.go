// Package readviewtest gives tests of projections a real PostgreSQL: the server
// that TEST_DATABASE_URL or DATABASE_URL names, otherwise a private one that is
// started with the first test and stopped with the last.
package readviewtest

import (
	"testing"

	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// Database is a test's own database: Pool, URL and SQL reach it. It is gone when
// the test ends.
type Database = testdb.DB

// NewDatabase returns an empty database. It fails the test when there is no
// server, and says how to get one.
func NewDatabase(t testing.TB) *Database {
	t.Helper()
	return testdb.New(t)
}

// Main is for TestMain of a package that uses [NewDatabase]: it runs the tests,
// stops the private server, and fails when a test has left a goroutine behind.
func Main(m *testing.M) { testdb.Main(m) }
