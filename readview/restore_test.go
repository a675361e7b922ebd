package readview_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// A dump that is restored into a fresh cluster, with its own transaction ids and
// clock, goes on where the old one was: positions ascend, nothing is applied
// twice.
func TestDumpAndRestore(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	middle := b.deposit(20)
	b.waitFor(manager, middle)
	stop()
	b.deposit(5) // in the log, not yet in the read view
	dump, err := exec.CommandContext(t.Context(), "pg_dump", "--no-owner", "--schema="+b.db.Schema, b.db.URL).Output()
	require.NoError(t, err)

	server, err := devservices.StartPostgres(t.Context(), devservices.PostgresConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	restore := exec.CommandContext(t.Context(), "psql", "--quiet", "--set=ON_ERROR_STOP=1", server.URL())
	restore.Stdin = strings.NewReader(string(dump))
	out, err := restore.CombinedOutput()
	require.NoError(t, err, string(out))

	config, err := pgxpool.ParseConfig(server.URL())
	require.NoError(t, err)
	config.ConnConfig.RuntimeParams["search_path"] = b.db.Schema
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	store := pgstore.New(pool, registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{}, pgstore.Migrations()), "it knows what it has")
	require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{}, readview.Migrations()))

	restored := &bank{t: t, pool: pool, store: store, accounts: newAccounts(store)}
	manager, router = restored.manager(fast(), balances())
	require.Equal(t, middle, restored.status(manager, "balances").Position)
	restored.start(router)
	last := restored.deposit(5)
	require.Greater(t, last, middle)
	restored.waitFor(manager, last)
	restored.requireExact(last)
	require.EqualValues(t, 30, restored.int(`SELECT count(*) FROM journal`))
}
