package pipeline_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// fixture is a database with a table, reached by one connection.
type fixture struct {
	t     *testing.T
	pool  *pgxpool.Pool
	db    *pipeline.DB
	sends atomic.Int64 // pieces that went to the server

	declare func(tx *pipeline.Tx, n int) // called for each event that is played, before all; nil for nothing
}

func newFixture(t *testing.T, configure ...func(*pgxpool.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t}
	f.pool = testdb.New(t, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
		dial := c.ConnConfig.DialFunc
		c.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return countedConn{conn, &f.sends}, err
		}
		for _, change := range configure {
			change(c)
		}
	}).Pool
	f.exec(`CREATE TABLE entry (n INT PRIMARY KEY, note TEXT)`)
	f.db = pipeline.Open(f.pool)
	t.Cleanup(func() { require.NoError(t, f.db.Close()) })
	return f
}

type countedConn struct {
	net.Conn
	sends *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.sends.Add(1)
	return c.Conn.Write(p)
}

func (f *fixture) exec(query string, args ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), query, args...)
	require.NoError(f.t, err)
}

func (f *fixture) int(query string, args ...any) (n int) {
	f.t.Helper()
	require.NoError(f.t, f.pool.QueryRow(f.t.Context(), query, args...).Scan(&n))
	return n
}

func (f *fixture) begin(options pipeline.Options) *pipeline.Tx {
	f.t.Helper()
	tx, err := f.db.Begin(f.t.Context(), options)
	require.NoError(f.t, err)
	f.t.Cleanup(tx.Close)
	return tx
}

const insert = `INSERT INTO entry (n) VALUES ($1)`
