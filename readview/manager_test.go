package readview_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestProjectionFollowsTheLog(t *testing.T) {
	t.Parallel()
	for _, pageEvents := range []int{1, 7, 1000} {
		t.Run(fmt.Sprintf("in pages of %d", pageEvents), func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.deposit(40) // what is there already
			b.record("account-1", &Audited{})
			config := fast()
			config.PageEvents = pageEvents
			manager, router := b.manager(config, balances(), audits())
			b.start(router)
			b.waitFor(manager, b.deposit(20)) // what comes
			last := b.record("account-2", &Deposited{Amount: 2}, &Audited{}, &Deposited{Amount: 3})
			b.waitFor(manager, last)
			b.requireExact(last)
			require.EqualValues(t, 2, b.int(`SELECT count(*) FROM audit`))
			for _, name := range []string{"balances", "audits"} {
				status := b.status(manager, name)
				require.Equal(t, consumer.Live, status.State)
				require.Equal(t, last, status.Position, "the position is past events of others, too")
				require.Equal(t, last, status.Head)
				require.Zero(t, status.Behind)
				require.Zero(t, status.Lag)
				require.NotEmpty(t, status.Node)
				require.Nil(t, status.Failure)
			}
		})
	}
}

func TestPageIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	last := b.deposit(30)
	config := fast()
	config.PageBytes = 20 // two events
	manager, router := b.manager(config, balances())
	largest := 0
	router.AddMiddleware(pageSizes(&largest))
	b.start(router)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.Equal(t, 2, largest)
}

func TestStatusOfAManagerThatDoesNotRun(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	tool, _ := b.manager(fast(), balances())

	status := b.status(tool, "balances")
	require.Equal(t, consumer.Standby, status.State, "nobody runs it")
	require.Zero(t, status.Behind)
	require.Zero(t, status.Lag, "an empty log has no lag")

	before := time.Now()
	last := b.deposit(7)
	status = b.status(tool, "balances")
	require.EqualValues(t, 7, status.Behind)
	require.Positive(t, status.Lag)
	require.LessOrEqual(t, status.Lag, time.Since(before)+time.Second, "lag is the age of what waits, not of the epoch")

	runner, router := b.manager(fast(), balances())
	b.start(router)
	b.waitFor(tool, last)
	b.eventually("it is live", func() bool { // a lease of fractions of a second may be renewed late
		status := b.status(tool, "balances")
		return status.State == consumer.Live && status.Node != "" && status.Node == b.status(runner, "balances").Node
	})
}

func TestUnknownNamesAreListed(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances(), audits())
	for _, err := range []error{
		manager.ResetProjection(t.Context(), "bands"),
		manager.Resume(t.Context(), "bands"),
		manager.Pause(t.Context(), "bands"),
		manager.WaitFor(t.Context(), 1, "bands"),
	} {
		require.ErrorIs(t, err, readview.ErrUnknownProjection)
		require.ErrorContains(t, err, `"bands"`)
		require.ErrorContains(t, err, "balances, audits")
	}
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := manager.WaitFor(ctx, b.deposit(1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "balances")
}

func TestAddRefusesWhatCanNotRun(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast())
	type Unregistered struct{ eventsourced.BaseEvent }
	unregistered := readview.On(func(context.Context, readview.Tx, *Unregistered) error { return nil })
	err := manager.Add(
		readview.Projection{Handlers: readview.Handlers{readview.On(onDeposited)}},
		readview.Projection{Name: "empty"},
		readview.Projection{Name: "empty", Tables: []string{"balance"}},
		readview.Projection{Name: "unknown", Handlers: readview.Handlers{unregistered}},
		readview.Projection{Name: "double", Handlers: readview.Handlers{readview.On(onDeposited), readview.On(onDeposited)}},
		readview.Projection{Name: "odd", OnFailure: 7, Durability: 9, Tables: []string{"balance"}},
		readview.Projection{Name: "same", Handlers: readview.Handlers{readview.On(onDeposited)}, Tables: []string{"balance"}},
		balances(), balances(),
	)
	for _, problem := range []string{
		`projection "": its name needs`, `projection "empty": it needs at least one handler`, `projection "empty": added twice`, "Unregistered is not in the registry",
		"two handlers for Deposited", `projection "balances": added twice`, "its OnFailure is 7, want", `its table "balance" is one of projection "odd", too`, "its Durability is 9, want",
	} {
		require.ErrorContains(t, err, problem)
	}
	require.Empty(t, manager.Names(), "all or none")

	_, err = readview.NewManager(nil, b.store, b.pool, readview.Config{PageEvents: -1, Attempts: -1, VerifyEvery: -1})
	require.ErrorContains(t, err, "PageEvents is negative")
	require.ErrorContains(t, err, "Attempts is negative")
	require.ErrorContains(t, err, "VerifyEvery is negative")

	type positions struct{ readview.PositionStore }
	_, err = readview.NewManager(nil, (*pgstore.Store)(nil), nil, readview.Config{Positions: (*positions)(nil)}, balances())
	require.EqualError(t, err, `readview.Config: Positions is a nil pointer
readview.NewManager: the pool is nil
readview.NewManager: the log is nil`)
}

func TestHandlerForEventsOfThePast(t *testing.T) {
	t.Parallel()
	both := balances(readview.On(onDeposited), readview.On(onAudited))
	both.Reset, both.Tables = nil, []string{"balance", "journal", "audit"}

	setUp := func(t *testing.T) *bank {
		b := newBank(t)
		manager, router := b.manager(fast(), balances())
		stop := b.start(router)
		b.record("account-1", &Audited{})
		last := b.deposit(2)
		b.waitFor(manager, last)
		stop()
		return b
	}
	t.Run("is refused, and goes on after a reset", func(t *testing.T) {
		t.Parallel()
		b := setUp(t)
		other := audits()
		other.Tables, other.Reset = nil, nil // both has its table
		manager, router := b.manager(fast(), both, other)
		b.start(router)
		last := b.deposit(1)
		b.waitFor(manager, last, "audits")
		err := manager.WaitFor(t.Context(), last, "balances")
		require.ErrorIs(t, err, readview.ErrNotRunning)
		require.ErrorIs(t, err, readview.ErrNewEvents)
		require.ErrorContains(t, err, "Audited")
		status := b.status(manager, "balances")
		require.Equal(t, consumer.Failed, status.State)
		require.Contains(t, status.Failure.Error, "reset it")

		require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
		b.waitFor(manager, last)
		b.requireExact(last)
	})
	t.Run("is accepted on request", func(t *testing.T) {
		t.Parallel()
		b := setUp(t)
		accepting := both
		accepting.AcceptNewEvents = true
		manager, router := b.manager(fast(), accepting)
		b.start(router)
		last := b.record("account-1", &Audited{})
		b.waitFor(manager, last)
		require.EqualValues(t, 1, b.int(`SELECT count(*) FROM audit`), "the past stays as it is")
	})
	t.Run("handling fewer events is fine", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		manager, router := b.manager(fast(), both)
		stop := b.start(router)
		b.waitFor(manager, b.deposit(1))
		stop()
		manager, router = b.manager(fast(), balances())
		b.start(router)
		last := b.deposit(1)
		b.waitFor(manager, last)
		b.requireExact(last)
	})
}
