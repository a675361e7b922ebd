// Package legacytest makes databases as they were before DanceFinder's migrations, by
// another hand, for tests.
package legacytest

import (
	"context"
	_ "embed"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

//go:embed tables.sql
var tables string

//go:embed rows.sql
var rows string

// Size is how many rows a database gets, besides the awkward ones.
type Size struct{ Bands, Halls, Events, Users int }

// Full is a database as it is after some years.
var Full = Size{300, 1000, 20_000, 200}

// Small has the same awkward rows and few others.
var Small = Size{12, 20, 60, 5}

// Tables makes the empty tables in the first schema of the search path: other types,
// constraints with names of their own or without names, and without some that should be there.
func Tables(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	Exec(t, pool, tables)
}

// Fill makes the tables with rows in them, awkward ones among them: equal names in different case,
// values that are missing, dances over midnight, and references to what is gone.
func Fill(t testing.TB, pool *pgxpool.Pool, size Size) {
	t.Helper()
	Tables(t, pool)
	Exec(t, pool, fmt.Sprintf(`SET my.bands = %d; SET my.halls = %d; SET my.events = %d; SET my.users = %d;`,
		size.Bands, size.Halls, size.Events, size.Users)+rows+`; RESET my.bands; RESET my.halls; RESET my.events; RESET my.users; ANALYZE band, dance_hall, event, ignored_band`)
}

// Exec runs a script on one connection.
func Exec(t testing.TB, pool *pgxpool.Pool, script string) {
	t.Helper()
	require.NoError(t, pool.AcquireFunc(t.Context(), func(c *pgxpool.Conn) error {
		_, err := c.Conn().PgConn().Exec(t.Context(), script).ReadAll()
		return err
	}))
}

// Dump returns all that a query finds, a text for each row.
func Dump(t testing.TB, pool *pgxpool.Pool, query string) []string {
	t.Helper()
	got, err := texts(t.Context(), pool, "SELECT q::text FROM ("+query+") AS q ORDER BY 1")
	require.NoError(t, err, query)
	return got
}

func texts(ctx context.Context, pool *pgxpool.Pool, query string) ([]string, error) {
	rows, err := pool.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
