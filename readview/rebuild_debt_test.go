package readview_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
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
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
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

			vain, err := manager.Rebuild(t.Context(), "ledger", options)
			require.NoError(t, err)
			require.Equal(t, before, debt(), "what fails again stays on record")
			require.Equal(t, lacking, rows())
			require.EqualValues(t, 3, vain.LeftOut)
			require.Contains(t, vain.String(), "still skipped or parked: 3 events")
			require.Equal(t, vain.String(), b.rows(`SELECT detail FROM readview_operations WHERE command = 'rebuild'`)[0])
			verified, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
			require.NoError(t, err)
			require.Equal(t, vain.Events, verified.Events, "what is left out is not replayed")

			cured.Store(true)
			options.Verify = true
			_, err = manager.Rebuild(t.Context(), "ledger", options)
			require.ErrorIs(t, err, readview.ErrDiffers)
			require.ErrorContains(t, err, "; 1 event skipped, 2 events parked, which can be applied now: ")
			require.NotContains(t, err.Error(), "by hand")
			options.Verify = false
			done, err := manager.Rebuild(t.Context(), "ledger", options)
			require.NoError(t, err)
			require.Equal(t, []string{"counted 0 0"}, debt())
			require.Zero(t, done.LeftOut)
			require.Equal(t, vain.Events+3, done.Events)
			require.NotContains(t, done.String(), "left out")
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

// hooked is a ledger whose handler calls what is in the hook, once.
func hooked(hook *atomic.Pointer[func()]) readview.Projection {
	return ledger(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if f := hook.Swap(nil); f != nil {
			(*f)()
		}
		return onLedger(ctx, tx, e)
	}))
}

// A verification that another command gets in the way of does not take what it has replayed for what should be there.
func TestVerifyBesideOtherCommands(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(ledgerTables)
	b.deposit(10)
	parked := b.record("account-1", &Deposited{Amount: 99})
	last := b.deposit(5)
	config := fast()
	config.Attempts = 1
	manager, router := b.manager(config, poisonedLedger(new(atomic.Bool)))
	b.start(router)
	b.failed(manager, "ledger")
	require.NoError(t, manager.Park(t.Context(), "ledger", parked, "test"))
	b.waitFor(manager, last)

	var hook atomic.Pointer[func()]
	slow, _ := b.manager(fast(), hooked(&hook))
	t.Run("a retry", func(t *testing.T) {
		cured, _ := b.manager(fast(), ledger())
		retry := func() {
			result, err := cured.Retry(t.Context(), "ledger", readview.RetryOptions{})
			require.NoError(t, err)
			require.Equal(t, 2, result.Applied)
		}
		hook.Store(&retry)
		found, err := slow.Verify(t.Context(), "ledger", readview.VerifyOptions{})
		require.NoError(t, err)
		require.Nil(t, hook.Load())
		require.True(t, found.Equal, found)
		b.requireLedger(last)
	})
	t.Run("a reset", func(t *testing.T) {
		require.NoError(t, manager.Pause(t.Context(), "ledger"))
		other, _ := b.manager(fast(), ledger())
		reset := func() { require.NoError(t, other.ResetProjection(t.Context(), "ledger")) }
		hook.Store(&reset)
		found, err := slow.Verify(t.Context(), "ledger", readview.VerifyOptions{})
		require.NoError(t, err)
		require.True(t, found.Equal, found)
		require.Zero(t, found.Position)
	})
	b.requireNothingLeft()
}

// A pool that is too small for a rebuild is told, and one that is small lets them take turns.
func TestRebuildTakesTurnsInASmallPool(t *testing.T) {
	t.Parallel()
	b, _, _ := ledgerBank(t, 20)
	b.tamper()
	for _, conns := range []int32{2, 3} {
		config := b.pool.Config()
		config.MaxConns = conns
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		manager, err := readview.NewManager(nil, pgstore.New(pool, registry(), pgstore.Config{}), pool, fast(), ledger())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if conns == 2 {
			_, err = manager.Rebuild(ctx, "ledger", readview.RebuildOptions{})
			require.ErrorIs(t, err, readview.ErrImpossible)
			require.ErrorContains(t, err, "pool_max_conns")
			continue
		}
		found := make(chan error, 1)
		go func() {
			_, err := manager.Verify(ctx, "ledger", readview.VerifyOptions{Events: 1})
			found <- err
		}()
		_, err = manager.Rebuild(ctx, "ledger", readview.RebuildOptions{})
		require.NoError(t, err)
		require.NoError(t, <-found)
	}
}

// Whoever has changed a row, and not committed, is waited for, and named.
func TestRebuildWaitsForRowsThatOthersHaveChanged(t *testing.T) {
	t.Parallel()
	b, manager, last := ledgerBank(t, 10)
	b.tamper()
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), `UPDATE ledger SET note = 'mine' WHERE amount = 77`)
	require.NoError(t, err)
	_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{Patience: time.Millisecond})
	require.ErrorIs(t, err, readview.ErrImpatient)
	require.ErrorContains(t, err, fmt.Sprint("pid ", tx.Conn().PgConn().PID()))

	waits := make(chan string, 100)
	done := make(chan error, 1)
	go func() {
		_, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{Progress: func(p readview.RebuildProgress) {
			if p.Waits != "" {
				select {
				case waits <- p.Waits:
				default:
				}
			}
		}})
		done <- err
	}()
	require.Contains(t, <-waits, fmt.Sprint("pid ", tx.Conn().PgConn().PID()))
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-done)
	b.requireLedger(last)
}

// Columns may have any name.
func TestRebuildOfColumnsOfAnyName(t *testing.T) {
	t.Parallel()
	b := newLoneBank(t)
	b.exec(`CREATE TABLE "Odd Täble" (ins TEXT, del BIGINT, l INT NOT NULL, s INT NOT NULL, d INT, k INT, r INT, n INT, "Upper ""case" TEXT, PRIMARY KEY (ins, del))`)
	last := b.deposit(10)
	manager, router := b.manager(fast(), readview.Projection{Name: "Odd näme", Tables: []string{"Odd Täble"}, Handlers: readview.Handlers{
		readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			return readview.Exec(ctx, tx, `INSERT INTO "Odd Täble" VALUES ($1, $2, 1, 2, 3, 4, 5, 6, 'x')`, e.AggregateID(), int64(eventsourced.FromContext(ctx).Position))
		})}})
	b.start(router)
	b.waitFor(manager, last)
	b.exec(`UPDATE "Odd Täble" SET l = 7 WHERE ins = 'account-1'`)
	b.exec(`DELETE FROM "Odd Täble" WHERE ins = 'account-2'`)
	found, err := manager.Verify(t.Context(), "Odd näme", readview.VerifyOptions{Events: 1})
	require.NoError(t, err)
	require.EqualValues(t, 2, found.Tables[0].Missing)
	require.EqualValues(t, 2, found.Tables[0].Differing)
	require.Contains(t, string(found.Tables[0].First[0].Live), `"l": 7`)
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
		_, err = manager.Rebuild(t.Context(), "Odd näme", readview.RebuildOptions{How: how})
		require.NoError(t, err)
		found, err = manager.Verify(t.Context(), "Odd näme", readview.VerifyOptions{})
		require.NoError(t, err)
		require.True(t, found.Equal)
	}
	made, err := manager.Explain(t.Context(), "Odd näme", readview.ExplainOptions{Where: `r = 5 AND "Upper ""case" = 'x' AND ins = 'account-2'`})
	require.NoError(t, err)
	require.Len(t, made.Steps, 2)
	require.Contains(t, string(made.Live[0]), `"ins"`)
}
