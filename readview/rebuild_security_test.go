package readview_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// as returns a manager of the ledger whose sessions have a role of their own.
func (b *bank) as(role string) *readview.Manager {
	b.t.Helper()
	config := b.db.Pool.Config().Copy()
	config.MaxConns = 4
	before := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if before != nil {
			if err := before(ctx, conn); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, `SET ROLE `+role)
		return err
	}
	pool, err := pgxpool.NewWithConfig(b.t.Context(), config)
	require.NoError(b.t, err)
	b.t.Cleanup(pool.Close)
	manager, err := readview.NewManager(nil, b.store, pool, fast(), ledger())
	require.NoError(b.t, err)
	return manager
}

// Whoever does not see all rows is refused before anything is made; for whom the policies don't count they stay as they are.
func TestRowLevelSecurity(t *testing.T) {
	t.Parallel()
	b := newLoneBank(t)
	b.exec(ledgerTables)
	last := b.deposit(20)
	live, router := b.manager(fast(), ledger())
	b.start(router)
	b.waitFor(live, last)
	id := strings.ReplaceAll(eventsourced.NewEventID().String(), "-", "")
	reader, owner := "reader_"+id, "owner_"+id
	do := func(statements string) {
		b.exec(strings.NewReplacer("{reader}", reader, "{owner}", owner, "{database}", pgx.Identifier{b.pool.Config().ConnConfig.Database}.Sanitize()).Replace(statements))
	}
	do(`CREATE ROLE {reader}; CREATE ROLE {owner};
		GRANT CREATE ON DATABASE {database} TO {reader}, {owner}; GRANT CREATE, USAGE ON SCHEMA public TO {reader}, {owner};
		GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON ALL TABLES IN SCHEMA public TO {reader}, {owner};
		GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {reader}, {owner};
		ALTER TABLE total OWNER TO {owner}; ALTER TABLE ledger OWNER TO {owner};
		CREATE POLICY mine ON ledger FOR ALL TO {reader} USING (account = 'account-1');
		ALTER TABLE ledger ENABLE ROW LEVEL SECURITY`)
	defer do(`DROP OWNED BY {reader}, {owner}; DROP ROLE {reader}, {owner}`)
	policies := `SELECT concat_ws(' ', polname, polrelid::regclass, relrowsecurity, relforcerowsecurity, pg_get_expr(polqual, polrelid), pg_get_userbyid(relowner)) FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE c.relnamespace = 'public'::regnamespace`
	before := b.rows(policies)
	seen := func() (n int64) { // by the reader
		require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE `+reader); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM ledger WHERE account <> 'account-1'`).Scan(&n)
		}))
		return n
	}
	refused := func(manager *readview.Manager) {
		t.Helper()
		_, planned := manager.PlanRebuild(t.Context(), "ledger", readview.RebuildOptions{})
		_, applied := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{})
		_, swapped := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: readview.HowSwap})
		_, verified := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
		_, explained := manager.Explain(t.Context(), "ledger", readview.ExplainOptions{Where: "amount = 77"})
		for _, err := range []error{planned, applied, swapped, verified, explained} {
			require.ErrorIs(t, err, readview.ErrImpossible)
			require.ErrorContains(t, err, "table ledger has row security that hides rows from this role")
		}
		b.requireNothingLeft()
	}
	refused(b.as(reader))
	do(`ALTER TABLE ledger FORCE ROW LEVEL SECURITY`)
	refused(b.as(owner))
	do(`ALTER TABLE ledger NO FORCE ROW LEVEL SECURITY`)

	manager := b.as(owner)
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
		b.exec(`UPDATE ledger SET amount = 77`)
		found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
		require.NoError(t, err)
		require.EqualValues(t, 20, found.Tables[1].Differing, "also what the policy hides from others")
		_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: how})
		require.NoError(t, err)
		b.requireLedger(last)
		require.Equal(t, before, b.rows(policies), how)
		require.Zero(t, seen(), how)
		_, err = manager.Rollback(t.Context(), "ledger", readview.RebuildOptions{})
		require.NoError(t, err)
		require.EqualValues(t, 20, b.int(`SELECT count(*) FROM ledger WHERE amount = 77`))
		require.Equal(t, before, b.rows(policies), how)
		require.Zero(t, seen(), how)
	}
	last = b.deposit(1)
	b.waitFor(live, last)
	require.EqualValues(t, 21, b.int(`SELECT count(*) FROM ledger`))
}
