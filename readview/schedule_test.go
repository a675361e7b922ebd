package readview_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// traces counts the pages that a tracer is told of.
type traces struct {
	consumer.NoTracer
	pages atomic.Int64
}

func (t *traces) Handling(ctx context.Context, handling consumer.Handling) (context.Context, func(eventsourced.Position, error)) {
	t.pages.Add(1)
	return t.NoTracer.Handling(ctx, handling)
}

// scheduled is a manager that verifies as often as it can.
func (b *bank) scheduled(node string, projections ...readview.Projection) (*readview.Manager, *message.Router, *logs) {
	b.t.Helper()
	config, logged := fast(), newLogs()
	config.VerifyEvery, config.Node, config.Logger, config.Tracer = time.Millisecond, node, logged.logger(), &b.traces
	manager, router := b.manager(config, projections...)
	readview.SetVerifyPause(manager, 0)
	return manager, router, logged
}

// bySchedule is what the operator log has of verifications on schedule: the outcome, and what was found.
func (b *bank) bySchedule(manager *readview.Manager) (all []string) {
	b.t.Helper()
	operations, err := manager.Operations(b.t.Context(), readview.OperationsQuery{})
	require.NoError(b.t, err)
	for _, op := range operations {
		if op.Actor == "schedule" {
			require.Equal(b.t, "verify", op.Command)
			all = append(all, string(op.Outcome)+": "+op.Detail)
		}
	}
	return all
}

// verified waits for a verification of the ledger that begins from now on, and finds it equal, or not.
func (b *bank) verified(manager *readview.Manager, equal bool) (found consumer.Replay) {
	b.t.Helper()
	var now time.Time
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `SELECT clock_timestamp()`).Scan(&now))
	b.eventually("a verification on schedule", func() bool {
		verify := b.status(manager, "ledger").Verify
		if verify == nil || verify.Began.Before(now) || verify.Phase != "done" || *verify.Equal != equal {
			return false
		}
		found = *verify
		return true
	})
	return found
}

func TestVerifyOnSchedule(t *testing.T) {
	t.Parallel()
	t.Run("finds a row that was changed by hand, and the operator log has each change of the outcome once", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(ledgerTables)
		last := b.deposit(10)
		manager, router, logged := b.scheduled("a", ledger())
		stop := b.start(router)
		b.waitFor(manager, last)
		b.verified(manager, true)
		require.Empty(t, b.bySchedule(manager), "it is what everybody expects")
		traced := b.traces.pages.Load()
		require.Positive(t, traced)
		b.exec(`UPDATE total SET amount = 77 WHERE account = 'account-1'`)
		b.verified(manager, false)
		found := b.verified(manager, false) // again
		require.EqualValues(t, 1, found.Different)
		require.Equal(t, "verify on schedule", found.Command)
		require.WithinRange(t, found.Told, found.Began, found.Ended)
		require.Equal(t, traced, b.traces.pages.Load(), "there are no traces of it")
		require.Len(t, b.bySchedule(manager), 1)
		require.Contains(t, b.bySchedule(manager)[0], "done: not equal, at position")
		require.Equal(t, 1, logged.count("projection is not what its events make"))
		stop()
		manager, router, _ = b.scheduled("b", ledger())
		b.start(router)
		b.verified(manager, false)
		require.Len(t, b.bySchedule(manager), 1, "another process finds nothing new")
		b.exec(`UPDATE total SET amount = 2 WHERE account = 'account-1'`)
		b.verified(manager, true)
		b.eventually("the operator log has it", func() bool { return len(b.bySchedule(manager)) == 2 })
		require.Contains(t, b.bySchedule(manager)[1], "done: equal, at position")
	})
	t.Run("leaves alone what is paused, and what another node applies", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(ledgerTables)
		last := b.deposit(5)
		manager, router, _ := b.scheduled("a", ledger(), balances())
		b.start(router)
		b.waitFor(manager, last)
		b.verified(manager, true)
		standby, router, _ := b.scheduled("b", ledger())
		b.start(router)
		b.eventually("it stands by", func() bool { return b.status(standby, "ledger").State == consumer.Standby })
		require.NoError(t, manager.Pause(t.Context(), "balances"))
		b.verified(manager, true) // after one of the other that had begun before the pause
		before := b.status(manager, "balances").Verify
		for range 3 {
			require.Equal(t, "a", b.verified(manager, true).Node)
		}
		require.Equal(t, before, b.status(manager, "balances").Verify)
		b.exec(`DELETE FROM journal`)
		require.NoError(t, manager.Resume(t.Context(), "balances"))
		b.eventually("it is verified again", func() bool {
			verify := b.status(manager, "balances").Verify
			return verify != nil && verify.Different == 5
		})
	})
	t.Run("rests for many times as long as it took", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(ledgerTables)
		last := b.deposit(5)
		manager, router, _ := b.scheduled("a", ledger(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			if err := readview.Exec(ctx, tx, `SELECT pg_sleep(0.04)`); err != nil {
				return err
			}
			return onLedger(ctx, tx, e)
		})))
		asked, _, _ := b.scheduled("b", ledger())
		readview.SetVerifyPause(manager, 4)
		readview.SetVerifyPause(asked, readview.VerifyPause)
		b.start(router)
		b.waitFor(manager, last)
		var one consumer.Replay
		b.eventually("the first one", func() bool {
			verify := b.status(manager, "ledger").Verify
			if verify == nil || verify.Phase != "done" {
				return false
			}
			one = *verify
			return true
		})
		took := one.Ended.Sub(one.Began)
		require.GreaterOrEqual(t, took, 200*time.Millisecond)
		require.Equal(t, 20*took, b.status(asked, "ledger").VerifyEvery)
		other := b.verified(manager, true)
		require.GreaterOrEqual(t, other.Began.Sub(one.Ended), 4*took)
	})
	t.Run("says once why it can't tell, and goes on when it can", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(ledgerTables)
		b.exec(`CREATE TRIGGER other BEFORE UPDATE ON total FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`)
		manager := b.cannotTell("has a trigger, other")
		b.exec(`DROP TRIGGER other ON total`)
		b.verified(manager, true)
		b.eventually("the operator log has it", func() bool { return len(b.bySchedule(manager)) == 2 })
	})
	t.Run("is not begun where it would take the projections' connections", func(t *testing.T) {
		t.Parallel()
		b := newBank(t, func(c *pgxpool.Config) { c.MaxConns = 7 })
		b.exec(ledgerTables)
		b.cannotTell("the pool has 7 connections")
	})
}

// cannotTell has verifications on schedule tried that can't tell, and requires that they say so once.
func (b *bank) cannotTell(why string) *readview.Manager {
	b.t.Helper()
	last := b.deposit(5)
	manager, router, logged := b.scheduled("a", ledger())
	b.start(router)
	b.waitFor(manager, last)
	tries := map[time.Time]bool{}
	b.eventually("three tries", func() bool {
		if verify := b.status(manager, "ledger").Verify; verify != nil && verify.Phase == "failed" {
			require.Contains(b.t, verify.Detail, why)
			tries[verify.Began] = true
		}
		return len(tries) == 3
	})
	require.Len(b.t, b.bySchedule(manager), 1)
	require.Contains(b.t, b.bySchedule(manager)[0], "failed: verify ledger: ")
	require.Contains(b.t, b.bySchedule(manager)[0], why)
	require.Equal(b.t, 1, logged.count("projection can't be verified on schedule", why))
	return manager
}

// held is a bank whose projection waits, in a verification on schedule, until it is to go on.
func held(t *testing.T) (b *bank, manager *readview.Manager, stop func(), goOn func()) {
	t.Helper()
	b = newBank(t)
	b.exec(ledgerTables)
	last := b.deposit(5)
	var replays atomic.Bool
	reached, open := make(chan struct{}, 1), make(chan struct{})
	manager, router, _ := b.scheduled("a", ledger(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if replays.Load() && eventsourced.FromContext(ctx).Position == last {
			select {
			case reached <- struct{}{}:
			default:
			}
			select {
			case <-open:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return onLedger(ctx, tx, e)
	})))
	stop = b.start(router)
	b.waitFor(manager, last)
	replays.Store(true)
	<-reached
	return b, manager, stop, func() { close(open) }
}

func TestVerifyOnScheduleThatIsUnderWay(t *testing.T) {
	t.Parallel()
	t.Run("gives way to one that somebody asks for", func(t *testing.T) {
		t.Parallel()
		b, manager, stop, goOn := held(t)
		run := func() string { return b.rows(`SELECT run::text FROM readview_rebuilds WHERE name = 'ledger'`)[0] }
		before := run()
		done := make(chan error, 1)
		go func() {
			_, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
			done <- err
		}()
		const waits = `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE%%SET run =%%' AND application_name = '%s'`
		b.eventually("it is told to, or will be with its page's end", func() bool {
			return run() != before || b.int(fmt.Sprintf(waits, b.application)) > 0
		})
		goOn()
		require.NoError(t, <-done)
		stop()
		require.Empty(t, b.bySchedule(manager))
	})
	t.Run("ends with the program", func(t *testing.T) {
		t.Parallel()
		b, manager, stop, _ := held(t)
		stop()
		b.requireNothingLeft()
		require.Equal(t, "cancelled", b.status(manager, "ledger").Verify.Phase)
		require.Empty(t, b.bySchedule(manager))
	})
}
