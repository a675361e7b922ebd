package readview_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
)

// newCrashingBank is a bank on a server of its own, without tables of read views.
func newCrashingBank(t *testing.T, settings map[string]string) *bank {
	t.Helper()
	server, err := devservices.StartPostgres(t.Context(), devservices.PostgresConfig{Settings: settings})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	pool, err := pgxpool.New(t.Context(), server.URL()+"&pool_max_conns=20")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	store := pgstore.New(pool, registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	b := &bank{t: t, db: &testdb.DB{Pool: pool, URL: server.URL(), Schema: "public"}, pool: pool, store: store, accounts: newAccounts(store)}
	return b
}

// crash has the server lose all that is in its memory, with every session, as when its machine stops, and waits until it has
// recovered.
func (b *bank) crash() {
	ctx := context.WithoutCancel(b.t.Context())
	victim, err := pgx.Connect(ctx, b.db.URL)
	if !assert.NoError(b.t, err) {
		return
	}
	other, err := pgx.Connect(ctx, b.db.URL)
	if !assert.NoError(b.t, err) {
		return
	}
	assert.NoError(b.t, syscall.Kill(int(victim.PgConn().PID()), syscall.SIGKILL)) // the postmaster then ends all others, and recovers
	_ = victim.Close(ctx)
	_, err = other.Exec(ctx, `SELECT pg_sleep(60)`)
	assert.Error(b.t, err)
	assert.Eventually(b.t, func() bool {
		b.pool.Reset()
		return b.pool.Ping(ctx) == nil
	}, time.Minute, 50*time.Millisecond)
}

// The live tables are untouched or done after a crash of the server in any phase of a rebuild, which goes on: in its process, or
// in the next one when that has died along with the server.
func TestRebuildWhenTheServerCrashes(t *testing.T) {
	t.Parallel()
	b, live, _ := ledgerIn(newCrashingBank(t, nil), 20)
	points := map[readview.How][]string{readview.HowApply: {"applied rows"}} // each takes seconds
	dying := map[readview.How][]string{}
	if soak.On {
		points = map[readview.How][]string{
			readview.HowApply: {"building", "built", "shadow locked", "shadow applied", "shadow advanced", "shadow committed", "replayed", "indexed", "caught up", "held", "compared", "applied rows", "replaced", "concluded"},
			readview.HowSwap:  {"gate", "held", "locked tables", "swapped", "replaced", "concluded"},
		}
		dying = points
	}
	before := func() int64 {
		var n int64
		assert.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM ledger WHERE note = 'before'`).Scan(&n))
		return n
	}
	again := func(manager *readview.Manager, how readview.How) {
		t.Helper()
		_, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: how, Keep: -1})
		require.NoError(t, err)
		require.Zero(t, before())
	}
	requireDone := func(point string) {
		t.Helper()
		last := b.deposit(1)
		b.waitFor(live, last)
		b.requireLedger(last)
		_, err := live.Cleanup(t.Context(), "ledger", readview.CleanupOptions{Kept: true})
		require.NoError(t, err, point)
		b.requireNothingLeft()
	}
	for how, all := range points {
		for _, point := range all {
			b.exec(`UPDATE ledger SET note = 'before'`)
			rows := b.int(`SELECT count(*) FROM ledger`)
			manager, _ := b.manager(fast(), ledger())
			var crashed atomic.Bool
			readview.SetFailpoint(manager, func(at string) {
				if at != point || crashed.Swap(true) {
					return
				}
				b.crash()
				want := rows
				if point == "concluded" {
					want = 0
				}
				assert.Equal(t, want, before(), "%s %s", how, point)
			})
			again(manager, how)
			require.True(t, crashed.Load(), point)
			requireDone(point)
		}
	}
	for how, all := range dying {
		for _, point := range all {
			b.exec(`UPDATE ledger SET note = 'before'`)
			node := b.spawn(fmt.Sprintf("%s=rebuild %s", childDoes, how), fmt.Sprintf("%s=SIGKILL %s 1", childDies, point))
			require.ErrorContains(t, node.Wait(), "killed", point)
			b.crash()
			again(live, how)
			requireDone(point)
		}
	}
}
