package readview_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

func both(accept bool) readview.Projection {
	p := balances(readview.On(onDeposited), readview.On(onAudited))
	p.Reset, p.Tables = nil, []string{"balance", "journal", "audit"}
	p.AcceptNewEvents = accept
	return p
}

// In a rolling deployment the older program stands by, and what the newer one handles
// is not passed over, whichever of them starts or dies.
func TestRollingDeployment(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	older, olderRouter := b.manager(fast(), balances())
	b.start(olderRouter)
	b.waitFor(older, b.deposit(3))
	b.waitFor(older, b.record("account-1", &Audited{})) // passed over, and accepted to be
	newer, newerRouter := b.manager(fast(), both(true))
	stop := b.start(newerRouter)
	b.eventually("the newer one takes over", func() bool {
		b.deposit(1)
		return b.int(`SELECT count(*) FROM readview_states WHERE handled = '{Audited,Deposited}'`) == 1
	})
	audits := int64(0)
	for range 20 {
		audits++
		b.record("account-1", &Audited{}, &Deposited{Amount: 1})
	}
	last := b.deposit(1)
	b.waitFor(newer, last)
	b.waitFor(older, last) // what is there is there for it, too
	require.Equal(t, audits, b.int(`SELECT count(*) FROM audit`))
	require.Equal(t, consumer.Live, b.status(newer, "balances").State)
	status := b.status(older, "balances")
	require.Equal(t, consumer.Standby, status.State)
	require.Contains(t, status.Failure.Error, "older than the one that runs")
	require.Contains(t, status.Failure.Error, "Audited")

	stop()
	again, againRouter := b.manager(fast(), balances()) // an older process restarts while no newer one runs
	b.start(againRouter)
	for range 20 {
		audits++
		last = b.record("account-1", &Audited{})
	}
	b.eventually("the restarted one stands by as well", func() bool {
		status := b.status(again, "balances")
		return status.State == consumer.Standby && status.Failure != nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.Error(t, again.WaitFor(ctx, last))
	require.LessOrEqual(t, b.int(`SELECT generation FROM readview_states`), int64(3), "they don't write over each other's")

	newer, newerRouter = b.manager(fast(), both(true))
	b.start(newerRouter)
	b.waitFor(newer, last)
	require.Equal(t, audits, b.int(`SELECT count(*) FROM audit`))
	b.requireExact(last)
}

// The advice for a refused program works while the older one runs.
func TestResetWithTheNewerProgram(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	// Whoever stands by does so as long as the other one's lease holds: on a busy machine
	// it must not end just so.
	config := fast()
	config.PollInterval = 3 * time.Second
	older, olderRouter := b.manager(config, balances())
	b.start(olderRouter)
	b.record("account-1", &Audited{})
	b.waitFor(older, b.deposit(3))
	newer, newerRouter := b.manager(config, both(false))
	b.start(newerRouter)
	b.eventually("it is refused", func() bool { return b.status(newer, "balances").State == consumer.Failed })
	last := b.deposit(1)
	b.waitFor(older, last)
	require.ErrorIs(t, newer.WaitFor(t.Context(), last), readview.ErrNewEvents, "its read view has not what it would have there")

	tool, _ := b.manager(config, both(false))
	require.NoError(t, tool.ResetProjection(t.Context(), "balances"))
	last = b.record("account-1", &Audited{}, &Deposited{Amount: 1})
	b.waitFor(newer, last)
	b.requireExact(last)
	require.EqualValues(t, 2, b.int(`SELECT count(*) FROM audit`))

	// And back, with the older one.
	tool, _ = b.manager(config, balances())
	require.NoError(t, tool.ResetProjection(t.Context(), "balances"))
	last = b.deposit(1)
	b.waitFor(older, last)
	b.requireExact(last)
	b.eventually("the newer one stands by", func() bool { return b.status(newer, "balances").State != consumer.Live })
}

// A handler for events of which none was passed over needs no reset.
func TestHandlerForEventsThatTheLogDoesNotHave(t *testing.T) {
	t.Parallel()
	run := func(b *bank, p readview.Projection) (*readview.Manager, func()) {
		manager, router := b.manager(fast(), p)
		return manager, b.start(router)
	}
	b := newBank(t)
	manager, stop := run(b, balances())
	b.waitFor(manager, b.deposit(3))
	stop()
	manager, stop = run(b, both(false)) // a new feature
	b.waitFor(manager, b.record("account-1", &Deposited{Amount: 1}, &Audited{}))
	require.EqualValues(t, 1, b.int(`SELECT count(*) FROM audit`))
	stop()
	third := both(false) // the handler is taken away, in a program that was not there before
	third.Handlers = readview.Handlers{readview.On(onAudited)}
	manager, stop = run(b, third)
	b.waitFor(manager, b.record("account-1", &Audited{}))
	stop()
	manager, _ = run(b, both(false)) // and is back
	last := b.deposit(1)
	b.waitFor(manager, last)
	b.requireExact(last)

	b = newBank(t)
	manager, stop = run(b, both(false))
	b.waitFor(manager, b.deposit(1))
	stop()
	manager, stop = run(b, third)
	b.deposit(1) // passed over
	b.waitFor(manager, b.record("account-1", &Audited{}))
	stop()
	manager, _ = run(b, both(false))
	b.eventually("what was passed over is noticed", func() bool { return b.status(manager, "balances").State == consumer.Failed })
	require.Contains(t, b.status(manager, "balances").Failure.Error, "Deposited")
}
