// Package largelogtest has the log of ten million events that benchmarks ask as people do.
package largelogtest

import (
	_ "embed"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

//go:embed fill.sql
var fill string

// First is about the position of its first event.
const First = 1_795_000_000_000_000

// Pool returns connections to such a log: the one that BENCH_LOG is the URL of, which may be kept from run to run, else one
// that is filled now, which takes minutes and 7 GB.
func Pool(b *testing.B) *pgxpool.Pool {
	b.Helper()
	if url := os.Getenv("BENCH_LOG"); url != "" {
		pool, err := pgxpool.New(b.Context(), url)
		require.NoError(b, err)
		b.Cleanup(pool.Close)
		return pool
	}
	pool := testdb.NewDatabase(b).Pool
	require.NoError(b, migrate.Run(b.Context(), pool, migrate.Config{}, pgstore.Migrations()))
	for _, statements := range []string{fill, "VACUUM ANALYZE events"} {
		_, err := pool.Exec(b.Context(), statements)
		require.NoError(b, err)
	}
	return pool
}
