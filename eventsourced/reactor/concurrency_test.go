package reactor_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestConcurrency(t *testing.T) {
	t.Parallel()
	t.Run("several streams at the same time, each in order, and no more than that", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		const accounts, each = 6, 10
		names := make([]string, accounts)
		for i := range names {
			names[i] = fmt.Sprint("account ", i)
		}
		last := b.deposits(1, each, names...)
		var running, most atomic.Int64
		meet := make(chan struct{})
		var order sync.Map
		config := consumertest.Reacting()
		config.Concurrency = 3
		it, _ := b.Reactor(config, reactor.On(func(ctx context.Context, e *consumertest.Deposited) error {
			n := running.Add(1)
			defer running.Add(-1)
			for at := most.Load(); n > at && !most.CompareAndSwap(at, n); at = most.Load() {
			}
			if e.Amount == 1 {
				<-meet
			}
			before, _ := order.LoadOrStore(eventsourced.FromContext(ctx).Stream.AggregateID, int64(0))
			if before != e.Amount-1 {
				return reactor.Park(fmt.Errorf("%d after %d", e.Amount, before))
			}
			order.Store(eventsourced.FromContext(ctx).Stream.AggregateID, e.Amount)
			return nil
		}))
		b.Becomes(it, "they take long", func(s consumer.Status) bool { return s.Failure != nil })
		require.EqualValues(t, 3, running.Load())
		close(meet)
		b.Becomes(it, "all are handled", func(s consumer.Status) bool { return parkedIs(0)(s) && s.Position == last.Position })
		require.EqualValues(t, 3, most.Load())
		for _, name := range names {
			at, _ := order.Load(name)
			require.EqualValues(t, each, at, name)
		}
	})
	t.Run("a reaction that takes long stays in the status while others get on", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.deposits(1, 1, "slow")
		release := make(chan struct{})
		handled := make(chan struct{}, 10)
		config := consumertest.Reacting()
		config.Concurrency = 3
		it, _ := b.Reactor(config, reactor.On(func(ctx context.Context, e *consumertest.Deposited) error {
			if e.AggregateID() == "slow" {
				<-release
			}
			handled <- struct{}{}
			return nil
		}))
		slow := func(s consumer.Status) bool {
			return s.State == consumer.Stalled && s.Failure.Error == "a reaction takes more than 1.5s"
		}
		b.Becomes(it, "it takes long", slow)
		for i := range 3 { // the reactor has read, handled and saved meanwhile
			b.deposits(1, 1, fmt.Sprint("quick ", i))
			<-handled
		}
		status, err := it.Status(t.Context())
		require.NoError(t, err)
		require.True(t, slow(status), status)
		close(release)
		b.Becomes(it, "it gets on", func(s consumer.Status) bool { return s.Failure == nil && s.Behind == 0 })
	})
	t.Run("a stream that fails holds up the position, and no other stream", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick("a")
		config := consumertest.Reacting()
		config.Concurrency, config.Attempts = 2, 1_000_000
		first := b.deposits(1, 1, "b")
		bad := b.deposits(1, 1, "a")
		it, stop := b.Reactor(config, s.reaction())
		b.deposits(2, 20, "a", "b")
		b.Eventually("the other is handled", func() bool { return len(s.of("b")) == 20 })
		status := b.Becomes(it, "it says what fails, all the time", consumertest.Retrying(bad, "broken"))
		require.Equal(t, first.Position, status.Position)
		stop()
		require.Len(t, s.of("b"), 20)
		s.cure("a")
		it, _ = b.Reactor(config, s.reaction())
		last := b.deposits(21, 21, "b")
		b.Becomes(it, "all are handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == last.Position })
		require.Len(t, s.of("a"), 20)
		require.Len(t, s.of("b"), 21, "what was handled above the position is not handled again")
		var rows int
		require.NoError(t, b.Pool.QueryRow(t.Context(), `SELECT count(*) FROM reactor_done`).Scan(&rows))
		require.Zero(t, rows)
	})
	t.Run("a failure stops all, and what is done stays done", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick("a")
		bad := b.deposits(1, 1, "a")
		b.deposits(1, 5, "b")
		config := consumertest.Reacting()
		config.Concurrency, config.Attempts = 2, 10
		it, _ := b.Reactor(config, s.reaction())
		status := b.Becomes(it, "it stops", func(s consumer.Status) bool { return s.State == consumer.Failed })
		require.Equal(t, bad.ID, status.Failure.EventID)
		require.Equal(t, 10, status.Failure.Attempts)
		require.Less(t, status.Position, bad.Position)
		s.cure("a")
		require.NoError(t, it.Resume(t.Context()))
		b.Becomes(it, "it goes on", parkedIs(0))
		require.Equal(t, []int64{1}, s.of("a"))
		require.Equal(t, []int64{1, 2, 3, 4, 5}, s.of("b"), "each once")
	})
	t.Run("a pool of one connection will do", func(t *testing.T) {
		t.Parallel()
		b := &bank{consumertest.Small(t)}
		config := consumertest.Reacting()
		config.Concurrency = 4
		var handled atomic.Int64
		b.deposits(1, 5, "a", "b", "c", "d")
		it, _ := b.Reactor(config, reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
			handled.Add(1)
			return b.Pool.Ping(ctx)
		}))
		b.Becomes(it, "all are handled", parkedIs(0))
		require.EqualValues(t, 20, handled.Load())
	})
}

// While a call hangs another node may take over, so this one begins nothing new.
func TestNodeThatHangsBeginsNothing(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := consumertest.Reacting()
	config.Concurrency, config.HangTimeout = 2, 300*time.Millisecond
	logger, warned := consumertest.LogSignal("consumer hangs; another node may take over")
	config.Logger = logger
	hang := b.Hang()
	s := newSick()
	b.deposits(1, 1, "a")
	hangs, stop := b.Reactor(config, reactor.On(func(ctx context.Context, e *consumertest.Deposited) error {
		if eventsourced.FromContext(ctx).Stream.AggregateID == "a" {
			hang()
			return nil
		}
		return s.react(ctx, e)
	}))
	defer stop()
	b.Wait(warned, "it hangs")
	require.Len(t, hangs.Hangs(), 1)
	b.deposits(1, 5, "b")
	other := newSick()
	it, _ := b.Reactor(consumertest.Reacting(), other.reaction())
	b.Becomes(it, "another one handles all", parkedIs(0))
	require.Equal(t, []int64{1, 2, 3, 4, 5}, other.of("b"))
	require.Empty(t, s.of("b"))
}
