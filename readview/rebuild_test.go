package readview_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

// The tables of the projection that is rebuilt: they equal the log, and each other.
const ledgerTables = `
	CREATE TABLE total (account TEXT PRIMARY KEY, amount BIGINT NOT NULL, deposits BIGINT NOT NULL);
	CREATE TABLE ledger (position BIGINT PRIMARY KEY, account TEXT NOT NULL REFERENCES total, amount BIGINT NOT NULL, note TEXT);
	CREATE INDEX ledger_account ON ledger (account);`

func onLedger(ctx context.Context, tx readview.Tx, e *Deposited) error {
	err := readview.Exec(ctx, tx, `INSERT INTO total AS t (account, amount, deposits) VALUES ($1, $2, 1)
		ON CONFLICT ON CONSTRAINT total_pkey DO UPDATE SET amount = t.amount + EXCLUDED.amount, deposits = t.deposits + 1`, e.AggregateID(), e.Amount)
	if err != nil {
		return err
	}
	return readview.Exec(ctx, tx, `INSERT INTO ledger (position, account, amount) VALUES ($1, $2, $3)`,
		int64(eventsourced.FromContext(ctx).Position), e.AggregateID(), e.Amount)
}

func ledger(handlers ...readview.Handler) readview.Projection {
	if handlers == nil {
		handlers = readview.Handlers{readview.On(onLedger)}
	}
	return readview.Projection{Name: "ledger", Handlers: handlers, Tables: []string{"total", "ledger"}}
}

// ledgerBank is a bank whose ledger has n deposits.
func ledgerBank(t *testing.T, n int) (*bank, *readview.Manager, eventsourced.Position) {
	t.Helper()
	return ledgerIn(newBank(t), n)
}

// ledgerFor is a bank whose ledger has n deposits, for rebuilds of a kind.
func ledgerFor(t *testing.T, how readview.How, n int) (*bank, *readview.Manager, eventsourced.Position) {
	t.Helper()
	if how == readview.HowSwap {
		return ledgerIn(newLoneBank(t), n)
	}
	return ledgerIn(newBank(t), n)
}

func ledgerIn(b *bank, n int) (*bank, *readview.Manager, eventsourced.Position) {
	b.t.Helper()
	b.exec(ledgerTables)
	last := b.deposit(n)
	manager, router := b.manager(fast(), ledger())
	b.start(router)
	b.waitFor(manager, last)
	return b, manager, last
}

// requireLedger fails unless the ledger equals the log.
func (b *bank) requireLedger(position eventsourced.Position) {
	b.t.Helper()
	require.Equal(b.t,
		b.rows(`SELECT tstamp || ' ' || aggregate_id || ' ' || (payload->>'Amount') FROM events WHERE name = 'Deposited' AND tstamp <= $1 ORDER BY tstamp`, int64(position)),
		b.rows(`SELECT concat_ws(' ', position, account, amount, note) FROM ledger ORDER BY position`))
	require.Equal(b.t,
		b.rows(`SELECT aggregate_id || ' ' || sum((payload->>'Amount')::bigint) || ' ' || count(*) FROM events WHERE name = 'Deposited' AND tstamp <= $1 GROUP BY aggregate_id ORDER BY aggregate_id`, int64(position)),
		b.rows(`SELECT concat_ws(' ', account, amount, deposits) FROM total ORDER BY account`))
}

// tamper changes rows of the ledger by hand.
func (b *bank) tamper() {
	b.exec(`UPDATE ledger SET amount = 77 WHERE position = (SELECT min(position) FROM ledger)`)
	b.exec(`DELETE FROM ledger WHERE position = (SELECT max(position) FROM ledger)`)
	b.exec(`INSERT INTO total VALUES ('nobody', 3, 1)`)
	b.exec(`INSERT INTO ledger VALUES (17, 'nobody', 3)`)
}

// requireNothingLeft fails when there is a schema of a rebuild or a verification.
func (b *bank) requireNothingLeft(but ...string) {
	b.t.Helper()
	require.Equal(b.t, but, b.rows(`SELECT split_part(obj_description(oid, 'pg_namespace'), ' ', 2) FROM pg_namespace
		WHERE obj_description(oid, 'pg_namespace') LIKE 'readview % of %, whose position is in schema ' || current_schema() ORDER BY 1`))
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
		t.Run(string(how)+" gives the tables what a replay gives", func(t *testing.T) {
			t.Parallel()
			b, manager, last := ledgerFor(t, how, 30)
			b.tamper()
			done, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: how, Keep: -1})
			require.NoError(t, err)
			require.Equal(t, how, done.How)
			require.EqualValues(t, 30, done.Events)
			require.Equal(t, last, done.Position)
			if how == readview.HowApply {
				require.Equal(t, []readview.TableChange{
					{Table: "total", Rows: 5, Deleted: 1}, {Table: "ledger", Rows: 30, Inserted: 1, Updated: 1, Deleted: 1},
				}, done.Tables)
			}
			b.requireLedger(last)
			last = b.deposit(5)
			b.waitFor(manager, last)
			b.requireLedger(last)
			if how == readview.HowApply {
				b.requireNothingLeft()
			}
		})
	}
}

func TestRebuildWhenNodesRunAndWritersAppend(t *testing.T) {
	t.Parallel()
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			b, manager, _ := ledgerFor(t, how, 20)
			stop := b.write(4)
			for range soak.Times(3, 100) {
				b.exec(`UPDATE ledger SET amount = 77 WHERE position = (SELECT min(position) FROM ledger)`)
				_, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: how})
				require.NoError(t, err)
				require.Zero(t, b.int(`SELECT count(*) FROM ledger WHERE amount = 77`))
			}
			stop()
			last := b.deposit(1)
			b.waitFor(manager, last)
			b.requireLedger(last)
		})
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
		t.Run("of "+string(how)+" brings back what was there, and today's events", func(t *testing.T) {
			t.Parallel()
			b, manager, _ := ledgerFor(t, how, 20)
			b.tamper()
			first := b.deposit(5)
			b.waitFor(manager, first)
			before := b.rows(`SELECT concat_ws(' ', position, account, amount) FROM ledger ORDER BY position`)

			done, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: how})
			require.NoError(t, err)
			require.False(t, done.KeptUntil.IsZero())
			b.requireNothingLeft("kept")
			b.requireLedger(first)

			last := b.deposit(5) // also to an account that was changed
			b.waitFor(manager, last)
			back, err := manager.Rollback(t.Context(), "ledger", readview.RebuildOptions{})
			require.NoError(t, err)
			require.Equal(t, how, back.How)
			require.EqualValues(t, 5, back.Events)
			require.Equal(t, before, b.rows(`SELECT concat_ws(' ', position, account, amount) FROM ledger WHERE position <= $1 ORDER BY position`, int64(first)))
			require.EqualValues(t, 5, b.int(fmt.Sprint(`SELECT count(*) FROM ledger WHERE position > `, int64(first))))
			require.EqualValues(t, 1, b.int(`SELECT count(*) FROM total WHERE account = 'nobody'`))
			b.requireNothingLeft("kept")

			_, err = manager.Rollback(t.Context(), "ledger", readview.RebuildOptions{})
			require.NoError(t, err, "and forward again")
			b.requireLedger(last)
			left, err := manager.Cleanup(t.Context(), "ledger", readview.CleanupOptions{})
			require.NoError(t, err)
			require.Len(t, left, 1)
			require.False(t, left[0].Removed, "it is kept for a day")
			left, err = manager.Cleanup(t.Context(), "ledger", readview.CleanupOptions{Kept: true})
			require.NoError(t, err)
			require.True(t, left[0].Removed)
			b.requireNothingLeft()
			_, err = manager.Rollback(t.Context(), "ledger", readview.RebuildOptions{})
			require.ErrorIs(t, err, readview.ErrNothingKept)
			last = b.deposit(1)
			b.waitFor(manager, last)
			b.requireLedger(last)
		})
	}
}

var errThirteen = errors.New("thirteen is unlucky")

// write has writers append until stop is called, or the test ends.
func (b *bank) write(n int) (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var writers sync.WaitGroup
	for w := range n {
		writers.Go(func() {
			for ctx.Err() == nil {
				_, err := b.accounts.Update(context.WithoutCancel(ctx), fmt.Sprintf("account-%d", w), func(a *Account) error {
					return eventsourced.Record(a, &Deposited{Amount: 1})
				})
				if err != nil {
					b.t.Error(err)
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		writers.Wait()
	})
	b.t.Cleanup(stop)
	return stop
}
