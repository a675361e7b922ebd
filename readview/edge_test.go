package readview_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// gated is the amount of a deposit whose page is held at its commit, by gate.
const gated = 77

// gate has the commit of a page with such a deposit wait until open is called. After that, so many tries of it are refused.
func (b *bank) gate(refused int) (open func()) {
	b.t.Helper()
	b.exec(fmt.Sprintf(`CREATE TABLE gate (); CREATE SEQUENCE commits;
		CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			PERFORM FROM gate;
			IF nextval('commits') <= %d THEN RAISE 'refused'; END IF;
			RETURN NULL;
		END $$;
		CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON journal DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.amount = %d) EXECUTE FUNCTION hold()`, refused, gated))
	tx, err := b.pool.BeginTx(b.t.Context(), pgx.TxOptions{})
	require.NoError(b.t, err)
	_, err = tx.Exec(b.t.Context(), `LOCK TABLE gate`)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(b.t.Context())) }) // nothing to do if it is open
	return func() { require.NoError(b.t, tx.Commit(b.t.Context())) }
}

// pages makes pages of five deposits each, the first of which is held.
func (b *bank) pages(n int) (last eventsourced.Position) {
	deposits := []eventsourced.Event{&Deposited{Amount: gated}}
	for len(deposits) < 5*n {
		deposits = append(deposits, &Deposited{Amount: 1})
	}
	return b.record("account-0", deposits...)
}

// asking is how many transactions wait for the lock of a projection: it is asked for with their BEGIN.
func (b *bank) asking() int64 {
	return b.int(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
		AND query LIKE 'SELECT position FROM%' || current_schema() || '%readviews%FOR UPDATE'`)
}

func fivePerPage() readview.Config {
	config := fast()
	config.PageEvents = 5
	return config
}

func TestTheNextPageIsLockedBehindTheCommit(t *testing.T) {
	t.Parallel()
	t.Run("whose outcome it waits for", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		open := b.gate(0)
		last := b.pages(4)
		manager, router := b.manager(fivePerPage(), balances())
		b.start(router)
		b.eventually("page 2 asks for the lock while page 1 commits", func() bool { return b.asking() == 1 })
		require.Zero(t, b.int(`SELECT count(*) FROM journal`))
		open()
		b.waitFor(manager, last)
		b.requireExact(last)
	})
	t.Run("and finds the old position if that fails", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		open := b.gate(2) // with others, and alone
		last := b.pages(4)
		manager, router := b.manager(fivePerPage(), balances())
		b.start(router)
		b.eventually("page 2 asks for the lock while page 1 commits", func() bool { return b.asking() == 1 })
		open()
		b.waitFor(manager, last)
		b.requireExact(last)
	})
	t.Run("by no node that is gone", func(t *testing.T) {
		t.Parallel()
		for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
			t.Run(signal.String(), func(t *testing.T) {
				t.Parallel()
				b := newBank(t)
				open := b.gate(0)
				b.pages(4)
				node := b.spawn(fmt.Sprint(childPage, "=5"))
				b.eventually("page 2 asks for the lock while page 1 commits", func() bool { return b.asking() == 1 })
				require.NoError(t, node.Process.Signal(signal))
				if signal == syscall.SIGKILL {
					require.ErrorContains(t, node.Wait(), "killed")
				}
				open()
				manager, router := b.manager(fast(), balances())
				b.start(router)
				last := b.deposit(5)
				b.waitFor(manager, last)
				b.requireExact(last)
				if signal == syscall.SIGSTOP {
					require.NoError(t, node.Process.Signal(syscall.SIGCONT))
					require.NoError(t, node.Process.Signal(syscall.SIGTERM))
					require.NoError(t, node.Wait(), "it ends in order")
					b.requireExact(last)
				}
			})
		}
	})
}

// A page that a middleware holds keeps nobody from the projection.
func TestALockThatNobodyTakesUp(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	open := b.gate(0)
	last := b.pages(4)
	config := fivePerPage()
	config.HangTimeout, config.LockTimeout = 10*time.Minute, time.Minute
	manager, router := b.manager(config, balances())
	second, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	messages := 0
	router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			if messages++; messages == 2 {
				close(second)
				<-released
			}
			return next(msg)
		}
	})
	b.start(router)
	t.Cleanup(release)
	b.eventually("page 2 asks for the lock while page 1 commits", func() bool { return b.asking() == 1 })
	open()
	<-second
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	require.Zero(t, b.int(`SELECT count(*) FROM journal`))
	release()
	b.waitFor(manager, last)
	b.requireExact(last)
}

// Who asks for the lock in a catch-up gets it before the pages that come, but for the one that has asked before.
func TestAResetHasItsTurnInACatchUp(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := make([]eventsourced.Event, 1000)
	for i := range deposits {
		deposits[i] = &Deposited{Amount: 1}
	}
	last := b.record("account-0", deposits...)
	began, waits := make(chan struct{}), make(chan struct{})
	calls := 0
	called := make(map[eventsourced.Position]int) // when first, of all calls
	again := 0                                    // when one was called that had been
	manager, router := b.manager(fivePerPage(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		calls++
		position := eventsourced.FromContext(ctx).Position
		if _, before := called[position]; before && again == 0 {
			again = calls
		}
		called[position] = calls
		if calls == 50 {
			close(began)
			<-waits
		}
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	<-began
	reset := make(chan error, 1)
	go func() { reset <- manager.ResetProjection(t.Context(), "balances") }()
	b.eventually("the reset waits", func() bool { return b.asking() > 0 })
	close(waits)
	require.NoError(t, <-reset)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.LessOrEqual(t, again, 50+20, "it has waited for a few pages of 200")
}

// An event that fails at each commit counts its tries, while the page after asks for the lock each time.
func TestAnEventThatFailsAtTheCommitStopsItsProjection(t *testing.T) {
	t.Parallel()
	for name, middlewares := range map[string][]message.HandlerMiddleware{
		"in a bare router": nil,
		"behind Retry":     {middleware.Retry{MaxRetries: 2, InitialInterval: time.Millisecond}.Middleware},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			open := b.gate(math.MaxInt32)
			b.pages(4)
			open()
			config := fivePerPage()
			config.Attempts = 3
			manager, router := b.manager(config, balances())
			router.AddMiddleware(middlewares...)
			b.start(router)
			b.eventually("it has stopped", func() bool { return b.status(manager, "balances").State == consumer.Failed })
			failure := b.status(manager, "balances").Failure
			require.EqualValues(t, b.int(`SELECT min(tstamp) FROM events`), failure.Position)
			require.Equal(t, 3, failure.Attempts)
			require.Contains(t, failure.Error, "refused")
		})
	}
}
