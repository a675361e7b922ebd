package readview_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

var errPoison = errors.New("poison")

// poisoned is a projection like balances that fails at deposits of 99 until it is cured.
func poisoned(cured *atomic.Bool, fail func(ctx context.Context, tx readview.Tx, e *Deposited) error) readview.Projection {
	return balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if e.Amount == 99 && !cured.Load() {
			return fail(ctx, tx, e)
		}
		return onDeposited(ctx, tx, e)
	}))
}

func failing(context.Context, readview.Tx, *Deposited) error { return errPoison }

// failed waits until a projection has stopped.
func (b *bank) failed(manager *readview.Manager, name string) consumer.Failure {
	b.t.Helper()
	b.eventually("it stops", func() bool { return b.status(manager, name).State == consumer.Failed })
	failure := b.status(manager, name).Failure
	require.NotNil(b.t, failure)
	return *failure
}

func TestFailureKeepsWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail             func(ctx context.Context, tx readview.Tx, e *Deposited) error
		stack, statement string
	}{
		"an error is about no statement": {fail: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			return errors.Join(onDeposited(ctx, tx, e), errPoison)
		}},
		"a panic has its stack": {fail: func(context.Context, readview.Tx, *Deposited) error { panic("poison") }, stack: "poison_test.go"},
		"a goroutine that ends has its stack": {fail: func(context.Context, readview.Tx, *Deposited) error {
			runtime.Goexit()
			return nil
		}, stack: "poison_test.go"},
		"a constraint has its statement": {fail: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			if err := onDeposited(ctx, tx, e); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `UPDATE balance SET amount = 1000000`)
			return err
		}, statement: `UPDATE balance SET amount = 1000000`},
		"a statement whose error the handler hides": {fail: func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
			if err := readview.Exec(ctx, tx, `SELECT 1 / 0`); err != nil {
				return errPoison
			}
			return nil
		}, statement: `SELECT 1 / 0`},
		"a query without a row": {fail: func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
			var n int
			return tx.QueryRowContext(ctx, `SELECT 1 WHERE false`).Scan(&n)
		}, statement: `SELECT 1 WHERE false`},
		"a statement that should have changed a row": {fail: func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
			return readview.ExecOne(ctx, tx, `DELETE FROM balance WHERE account = 'nobody'`)
		}, statement: `DELETE FROM balance WHERE account = 'nobody'`},
		"a statement that the handler got over is not the one": {fail: func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
			err := readview.ExecOr(ctx, tx, func() error { return errPoison }, `INSERT INTO balance VALUES ('account-1', 1, 1)`)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.deposit(10)
			position := b.record("account-1", &Deposited{Amount: 99})
			config := fast()
			config.Attempts = 2
			manager, router := b.manager(config, poisoned(new(atomic.Bool), c.fail))
			b.start(router)
			failure := b.failed(manager, "balances")
			require.Equal(t, position, failure.Position)
			require.Equal(t, c.statement, failure.Statement)
			if c.stack == "" {
				require.Empty(t, failure.Stack)
			}
			require.Contains(t, failure.Stack, c.stack)
			require.Equal(t, 2, failure.Attempts)
		})
	}
}

func TestSkip(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	before := b.deposit(10)
	first := b.record("account-1", &Deposited{Amount: 99})
	second := b.record("account-2", &Deposited{Amount: 99})
	last := b.deposit(10)
	manager, router := b.manager(fast(), poisoned(new(atomic.Bool), failing))
	anna := eventsourced.WithActor(t.Context(), "anna@desk")
	require.ErrorIs(t, manager.Skip(anna, "balances", first, "why not"), readview.ErrNotThere, "it has never run")
	stop := b.start(router)
	require.Equal(t, first, b.failed(manager, "balances").Position)
	stop()

	for position, wrong := range map[eventsourced.Position]string{second: "a later one", before: "an earlier one", first - 1: "none", last: "one that is well"} {
		require.ErrorIs(t, manager.Skip(anna, "balances", position, "why not"), readview.ErrNotThere, wrong)
	}
	require.Error(t, manager.Skip(anna, "balances", first, " "), "without a reason")
	require.NoError(t, manager.Resume(anna, "balances"))
	require.ErrorIs(t, manager.Skip(anna, "balances", first, "a typo"), readview.ErrNotThere, "while it is tried")
	require.NoError(t, manager.Pause(anna, "balances"))
	require.NoError(t, manager.Skip(anna, "balances", first, "a typo"))
	require.ErrorIs(t, manager.Skip(anna, "balances", first, "a typo"), readview.ErrNotThere, "twice")
	status := b.status(manager, "balances")
	require.Equal(t, consumer.Paused, status.State, "it stays paused")
	require.Equal(t, first, status.Position)
	require.Nil(t, status.Failure)
	require.EqualValues(t, 1, status.Skipped)
	require.NoError(t, manager.Resume(anna, "balances"))

	next, router := b.manager(fast(), poisoned(new(atomic.Bool), failing))
	b.start(router)
	require.Equal(t, second, b.failed(next, "balances").Position, "it goes on to the next one")
	require.NoError(t, next.Skip(anna, "balances", second, "another one"))
	b.waitFor(next, last)
	require.EqualValues(t, 20, b.int(`SELECT count(*) FROM journal`))

	skipped, err := next.Skipped(t.Context(), "balances")
	require.NoError(t, err)
	require.Len(t, skipped, 2)
	require.Equal(t, "a typo anna@desk "+b.eventID(first)+" Deposited", fmt.Sprint(skipped[0].Reason, " ", skipped[0].Actor, " ", skipped[0].EventID, " ", skipped[0].EventName))
	require.Contains(t, skipped[0].Error, "poison")
	require.Contains(t, b.operations(next, readview.OperationsQuery{}), fmt.Sprintf("anna@desk skip balances done map[position:%d reason:a typo]", first))

	require.NoError(t, next.ResetProjection(anna, "balances"))
	require.Zero(t, b.status(next, "balances").Skipped, "a reset applies all again")
	require.Zero(t, b.int(`SELECT count(*) FROM readview_skipped`))
}

func TestSkipOfAnEventThatIsNotTheNextOne(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	first := b.deposit(1)
	position := b.record("account-1", &Deposited{Amount: 99})
	manager, router := b.manager(fast(), poisoned(new(atomic.Bool), failing))
	stop := b.start(router)
	b.failed(manager, "balances")
	stop()
	b.exec(`UPDATE readviews SET position = $1`, int64(first)-1) // by hand
	require.ErrorIs(t, manager.Skip(t.Context(), "balances", position, "why not"), readview.ErrNotThere)
	require.EqualValues(t, int64(first)-1, b.int(`SELECT position FROM readviews`))
}
