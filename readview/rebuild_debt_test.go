package readview_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview"
)

// poisonedLedger is a ledger that fails at deposits of 99 until it is cured.
func poisonedLedger(cured *atomic.Bool) readview.Projection {
	return ledger(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if e.Amount == 99 && !cured.Load() {
			return errPoison
		}
		return onLedger(ctx, tx, e)
	}))
}

// What was skipped or parked before a rebuild is missing again after its rollback, and on record again.
func TestRollbackBringsTheDebtBack(t *testing.T) {
	t.Parallel()
	for _, how := range []readview.How{readview.Apply, readview.Swap} {
		t.Run("of "+string(how), func(t *testing.T) {
			t.Parallel()
			b := newLoneBank(t)
			b.exec(ledgerTables)
			b.deposit(10)
			skipped := b.record("account-4", &Deposited{Amount: 99})
			parked := b.record("account-1", &Deposited{Amount: 99})
			last := b.deposit(5)
			var cured atomic.Bool
			config := fast()
			config.Attempts = 1
			manager, router := b.manager(config, poisonedLedger(&cured))
			b.start(router)
			require.Equal(t, skipped, b.failed(manager, "ledger").Position)
			require.NoError(t, manager.Skip(t.Context(), "ledger", skipped, "test"))
			b.eventually("it stops again", func() bool {
				status := b.status(manager, "ledger")
				return status.Failure != nil && status.Failure.Position == parked
			})
			require.NoError(t, manager.Park(t.Context(), "ledger", parked, "test"))
			b.waitFor(manager, last)
			debt := func() (all []string) {
				return b.rows(`SELECT 'parked ' || position FROM readview_parked UNION ALL SELECT 'skipped ' || position FROM readview_skipped
					UNION ALL SELECT 'counted ' || parked || ' ' || skipped FROM readview_states WHERE name = 'ledger' ORDER BY 1`)
			}
			rows := func() []string { return b.rows(`SELECT ledger::text FROM ledger ORDER BY position`) }
			before, lacking := debt(), rows()
			require.Len(t, before, 4) // the deposit behind the parked one, too
			options := readview.RebuildOptions{How: how}

			cured.Store(true)
			_, err := manager.Rebuild(t.Context(), "ledger", options)
			require.NoError(t, err)
			require.Equal(t, []string{"counted 0 0"}, debt())
			b.requireLedger(last)

			cured.Store(false)
			_, err = manager.Rollback(t.Context(), "ledger", options)
			require.NoError(t, err)
			require.Equal(t, before, debt())
			require.Equal(t, lacking, rows())

			_, err = manager.Rollback(t.Context(), "ledger", options)
			require.NoError(t, err, "and forward again")
			require.Equal(t, []string{"counted 0 0"}, debt())
			b.requireLedger(last)

			last = b.record("account-1", &Deposited{Amount: 1})
			b.waitFor(manager, last)
			_, err = manager.Rollback(t.Context(), "ledger", options)
			require.NoError(t, err)
			require.Equal(t, lacking, rows(), "what comes after a parked event of its stream is parked behind it")
			require.Len(t, debt(), len(before)+1)
			cured.Store(true)
			_, err = manager.Retry(t.Context(), "ledger", readview.RetryOptions{})
			require.NoError(t, err)
			require.EqualValues(t, 0, b.int(`SELECT count(*) FROM readview_parked`))
			require.EqualValues(t, 1, b.int(`SELECT skipped FROM readview_states WHERE name = 'ledger'`))
			b.requireNothingLeft("kept")
		})
	}
}
