package pgstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// openURL returns the log that a pool of its own reaches, as another process does.
func openURL(t *testing.T, url string, config pgstore.Config, options ...func(*pgxpool.Config)) (*pgstore.Store, *pgxpool.Pool) {
	t.Helper()
	settings, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	for _, option := range options {
		option(settings)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), settings)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	store := pgstore.New(pool, storetest.Registry(), config)
	t.Cleanup(store.Close)
	return store, pool
}

// A client that falls silent while it sends an append has locked nothing, however it
// appends and wherever it stops in the data.
func TestSilentClientsStopNobody(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	large := strings.Repeat("x", size/2)
	one := func(ctx context.Context, t *testing.T, store *pgstore.Store, _ *pgxpool.Pool) error {
		_, err := store.Append(ctx, stream("large"), eventsourced.NoStream, encode(t, large+large))
		return err
	}
	group := func(ctx context.Context, t *testing.T, store *pgstore.Store, _ *pgxpool.Pool) error {
		_, err := store.Append(ctx, stream("large"), eventsourced.Any, encode(t, large, large))
		return err
	}
	inTx := func(ctx context.Context, t *testing.T, store *pgstore.Store, pool *pgxpool.Pool) error {
		tx, err := pool.Begin(ctx)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		_, err = store.AppendTx(ctx, tx, stream("large"), eventsourced.Any, encode(t, large, large))
		return err
	}
	for name, appendLarge := range map[string]func(context.Context, *testing.T, *pgstore.Store, *pgxpool.Pool) error{
		"with one event": one, "with several events": group, "in a transaction of its own": inTx,
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe} {
			for _, after := range []int64{1 << 20, size} {
				t.Run(fmt.Sprintf("%s, %s, after %d bytes", name, mode, after), func(t *testing.T) {
					t.Parallel()
					db := testdb.New(t)
					others := open(t, db)
					appendTo(t, others)
					proxy := newProxy(t, db.URL)
					store, pool := openURL(t, proxy.url, pgstore.Config{MaxPayload: 2 * size}, func(c *pgxpool.Config) {
						c.ConnConfig.DefaultQueryExecMode = mode
					})
					proxy.stall.Store(after)
					ctx, giveUp := context.WithCancel(t.Context())
					result := make(chan error, 1)
					go func() { result <- appendLarge(ctx, t, store, pool) }()
					<-proxy.silent
					limited, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					for range 30 {
						events := encode(t, "x")
						_, err := others.Append(limited, stream(events[0].ID.String()), eventsourced.NoStream, events)
						require.NoError(t, err, "others append meanwhile")
					}
					giveUp()
					select {
					case err := <-result:
						require.ErrorIs(t, err, context.Canceled)
					case <-time.After(5 * time.Second):
						require.Fail(t, "the append goes on after its context")
					}
					require.Len(t, read(t, others, eventsourced.LogQuery{}), 31)
				})
			}
		}
	}
}
