package peers_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/bench/peers"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func TestPeersDoTheAccountJob(t *testing.T) {
	t.Parallel()
	forEachPeer(t, func(t *testing.T, db *testdb.DB, peer peers.Peer) {
		for n := range 20 {
			require.NoError(t, peer.Append(t.Context(), account(n%3)))
		}
		for n, want := range []int64{7, 7, 6, 0} {
			balance, err := peer.Load(t.Context(), account(n))
			require.NoError(t, err)
			require.Equal(t, want, balance)
		}

		for range 2 {
			project(t, peer, 20)
			requireBalances(t, db, 6, 7, 7)
			require.NoError(t, peer.ResetProjection(t.Context()))
			requireBalances(t, db)
		}

		project(t, peer, 20)
		require.NoError(t, peer.AppendNew(t.Context(), account(3)))
		require.NoError(t, peer.Append(t.Context(), account(3)))
		project(t, peer, 2)
		requireBalances(t, db, 2, 6, 7, 7)
	})
}

func TestProjectReturnsWhatItAppliedWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	forEachPeer(t, func(t *testing.T, db *testdb.DB, peer peers.Peer) {
		require.NoError(t, peer.Append(t.Context(), account(0)))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		applied, err := peer.Project(ctx, 2)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, applied)
		requireBalances(t, db, 1)
	})
}

func TestProjectCommitsAPageWithItsPositionAndNothingOfAPageThatFailed(t *testing.T) {
	t.Parallel()
	forEachPeer(t, func(t *testing.T, db *testdb.DB, peer peers.Peer) {
		_, err := db.Pool.Exec(t.Context(), `ALTER TABLE balance ADD CONSTRAINT small CHECK (amount < 3)`)
		require.NoError(t, err)
		for n := range 1003 {
			require.NoError(t, peer.Append(t.Context(), account(n%1001)))
		}
		require.NoError(t, peer.Append(t.Context(), account(0)))
		applied, err := peer.Project(t.Context(), 1004)
		require.ErrorContains(t, err, "small")
		require.Equal(t, 1000, applied)
		requireTotal(t, db, 1000)

		_, err = db.Pool.Exec(t.Context(), `ALTER TABLE balance DROP CONSTRAINT small`)
		require.NoError(t, err)
		project(t, peer, 4)
		requireTotal(t, db, 1004)
	})
}

func TestConcurrentAppendsToOneAccountAreAllSaved(t *testing.T) {
	t.Parallel()
	forEachPeer(t, func(t *testing.T, db *testdb.DB, peer peers.Peer) {
		const writers, each = 8, 10
		var group sync.WaitGroup
		errs := make(chan error, writers*each)
		for range writers {
			group.Go(func() {
				for range each {
					errs <- peer.Append(t.Context(), account(0))
				}
			})
		}
		group.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		balance, err := peer.Load(t.Context(), account(0))
		require.NoError(t, err)
		require.EqualValues(t, writers*each, balance)
		project(t, peer, writers*each)
		requireBalances(t, db, writers*each)
	})
}

func TestAppendNewRefusesAnAccountThatExists(t *testing.T) {
	t.Parallel()
	forEachPeer(t, func(t *testing.T, _ *testdb.DB, peer peers.Peer) {
		require.NoError(t, peer.AppendNew(t.Context(), account(0)))
		require.Error(t, peer.AppendNew(t.Context(), account(0)))
	})
}

func TestOpenRefusesAnUnknownName(t *testing.T) {
	t.Parallel()
	_, err := peers.Open(t.Context(), "other", "")
	require.ErrorContains(t, err, `no peer "other"`)
}

func forEachPeer(t *testing.T, test func(*testing.T, *testdb.DB, peers.Peer)) {
	for _, name := range peers.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			peer, err := peers.Open(t.Context(), name, db.URL)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, peer.Close()) })
			test(t, db, peer)
		})
	}
}

func account(n int) string { return fmt.Sprint("account-", n) }

func project(t *testing.T, peer peers.Peer, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	applied, err := peer.Project(ctx, n)
	require.NoError(t, err)
	require.Equal(t, n, applied)
}

// requireBalances compares the read view, sorted by amount.
func requireBalances(t *testing.T, db *testdb.DB, want ...int64) {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), `SELECT amount FROM balance ORDER BY amount`)
	require.NoError(t, err)
	defer rows.Close()
	var got []int64
	for rows.Next() {
		var amount int64
		require.NoError(t, rows.Scan(&amount))
		got = append(got, amount)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, want, got)
}

func requireTotal(t *testing.T, db *testdb.DB, want int64) {
	t.Helper()
	var got int64
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT sum(amount)::bigint FROM balance`).Scan(&got))
	require.Equal(t, want, got)
}
