package readview_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	first := b.deposit(3)
	b.waitFor(manager, first)

	require.NoError(t, manager.Pause(t.Context(), "balances"))
	last := b.deposit(3)
	require.ErrorIs(t, manager.WaitFor(t.Context(), last, "balances"), readview.ErrNotRunning)
	status := b.status(manager, "balances")
	require.Equal(t, consumer.Paused, status.State)
	require.Equal(t, first, status.Position)
	require.EqualValues(t, 3, status.Behind)
	require.NoError(t, manager.WaitFor(t.Context(), first, "balances"), "what is applied need not be waited for")

	require.NoError(t, manager.Resume(t.Context(), "balances"))
	b.waitFor(manager, last)
	b.requireExact(last)
}

func TestIdleNodeNoticesWhatAnotherProcessDoes(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	runner, router := b.manager(fast(), balances())
	b.start(router)
	last := b.deposit(3)
	b.waitFor(runner, last)
	tool, _ := b.manager(fast(), balances()) // in another process

	b.exec(`UPDATE balance SET amount = 0`)
	require.NoError(t, tool.ResetProjection(t.Context(), "balances"))
	b.waitFor(tool, last) // with no event since
	b.requireExact(last)

	require.NoError(t, tool.Pause(t.Context(), "balances"))
	require.Equal(t, consumer.Paused, b.status(runner, "balances").State)
	last = b.deposit(1)
	require.NoError(t, tool.Resume(t.Context(), "balances"))
	b.waitFor(tool, last)
	b.requireExact(last)
}

func TestPausedBeforeItsFirstRun(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	last := b.deposit(3)
	manager, router := b.manager(fast(), balances())
	require.NoError(t, manager.Pause(t.Context(), "balances"))
	b.start(router)
	require.ErrorIs(t, manager.WaitFor(t.Context(), last), readview.ErrNotRunning)
	require.NoError(t, manager.Resume(t.Context(), "balances"))
	b.waitFor(manager, last)
	b.requireExact(last)
}
