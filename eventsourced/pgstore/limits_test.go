package pgstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// The server takes 0 for no timeout, and nothing above its limit.
func TestIdleTimeoutsBeyondTheServersLimits(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	appendTo(t, open(t, db))
	long, pool := openURL(t, db.URL, pgstore.Config{IdleTimeout: 1000 * time.Hour})
	tx, _ := hold(t, pool, long)
	var now string
	require.NoError(t, tx.QueryRow(t.Context(), "SHOW idle_in_transaction_session_timeout").Scan(&now))
	require.Equal(t, "2147483647ms", now)
	require.NoError(t, tx.Commit(t.Context()))

	short, pool := openURL(t, db.URL, pgstore.Config{IdleTimeout: 500 * time.Microsecond})
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	_, _ = short.AppendTx(t.Context(), tx, stream("short"), eventsourced.NoStream, encode(t, "x")) // it may be over already
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = long.Append(ctx, stream("a"), eventsourced.NoStream, encode(t, "x"))
	require.NoError(t, err, "an append behind a transaction that stands idle")
}

func TestCloseWaitsForAnAppendThatGoesAlone(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	tx, _ := hold(t, db.Pool, open(t, db))
	store, pool := openURL(t, db.URL, pgstore.Config{})
	appended, closed := make(chan error, 1), make(chan struct{})
	go func() {
		_, err := store.Append(t.Context(), stream("a"), eventsourced.NoStream, encode(t, "x"))
		appended <- err
	}()
	require.Eventually(t, func() bool { return pool.Stat().AcquiredConns() > 0 }, 10*time.Second, 5*time.Millisecond)
	go func() {
		store.Close()
		close(closed)
	}()
	select {
	case <-closed:
		require.Fail(t, "an append is under way")
	case <-time.After(300 * time.Millisecond):
	}
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-appended)
	<-closed
}
