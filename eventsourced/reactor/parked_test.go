package reactor_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func parking() reactor.Config {
	config := consumertest.Reacting()
	config.OnFailure = reactor.ParkFailures
	return config
}

// deposits records deposits of 1, 2 and so on to each of the accounts in turn.
func (b *bank) deposits(from, to int64, accounts ...string) (last eventsourced.Recorded) {
	b.T.Helper()
	for amount := from; amount <= to; amount++ {
		for _, account := range accounts {
			last = b.RecordFor(account, &consumertest.Deposited{Amount: amount})
		}
	}
	return last
}

func parkedIs(n int64) func(consumer.Status) bool {
	return func(s consumer.Status) bool { return s.Parked == n && consumertest.IsLive(s) && s.Behind == 0 }
}

func stream(account string) eventsourced.Stream {
	return eventsourced.Stream{AggregateName: "bank.Account", AggregateID: account}
}

func TestParkedStreams(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 4} {
		t.Run(fmt.Sprintf("later events of a stream wait behind one that is parked, others flow on, with a concurrency of %d", concurrency), func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			s := newSick("a", "b")
			config := parking()
			config.Concurrency = concurrency
			it, stop := b.Reactor(config, s.reaction())
			b.deposits(1, 3, "a", "b", "c")
			b.Becomes(it, "all of two streams are parked", parkedIs(6))
			require.Equal(t, []int64{1, 2, 3}, s.of("c"))
			stop()
			s.cure("a", "b")
			it, _ = b.Reactor(config, s.reaction()) // another process
			b.deposits(4, 4, "a", "b", "c")
			b.Becomes(it, "those that came later as well", parkedIs(8))
			require.Empty(t, s.of("a"))
			require.Equal(t, []int64{1, 2, 3, 4}, s.of("c"))
			parked, err := it.Parked(t.Context())
			require.NoError(t, err)
			require.Equal(t, "broken", parked[0].Error)
			require.Equal(t, 3, parked[0].Tries)
			require.Equal(t, stream("a"), parked[0].Stream)
			require.Empty(t, parked[2].Error, "it has not been tried")
			require.Zero(t, parked[2].Tries)

			require.NoError(t, it.ResumeStream(t.Context(), stream("b")))
			b.Becomes(it, "one stream is done", parkedIs(4))
			require.Equal(t, []int64{1, 2, 3, 4}, s.of("b"), "in order")
			require.Empty(t, s.of("a"))
			require.NoError(t, it.ResumeEvent(t.Context(), parked[2].EventID)) // the second one of a
			b.Becomes(it, "one event is done, and that before it", parkedIs(2))
			require.Equal(t, []int64{1, 2}, s.of("a"))
			require.NoError(t, it.Resume(t.Context()))
			b.Becomes(it, "all are done", parkedIs(0))
			b.deposits(5, 5, "a", "b")
			b.Eventually("nothing waits any more", func() bool { return len(s.of("a")) == 5 && len(s.of("b")) == 5 })
			require.Equal(t, []int64{1, 2, 3, 4, 5}, s.of("a"))
			require.ErrorIs(t, it.ResumeStream(t.Context(), stream("a")), reactor.ErrNotParked)
			require.ErrorIs(t, it.ResumeEvent(t.Context(), parked[0].EventID), reactor.ErrNotParked)
		})
	}
	t.Run("one that fails again keeps those behind it", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick("a")
		it, _ := b.Reactor(parking(), s.reaction())
		b.deposits(1, 3, "a")
		b.Becomes(it, "they are parked", parkedIs(3))
		require.NoError(t, it.Resume(t.Context()))
		b.Eventually("it was tried again", func() bool {
			parked, err := it.Parked(t.Context())
			return err == nil && len(parked) == 3 && parked[0].Tries == 4 && !parked[0].Due && !parked[1].Due && !parked[2].Due
		})
		require.Empty(t, s.of("a"))
	})
	t.Run("what comes while they are resumed follows them", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick("a")
		config := parking()
		config.Concurrency = 3
		it, _ := b.Reactor(config, s.reaction())
		const n = 60
		b.deposits(1, n/2, "a")
		b.Becomes(it, "they are parked", parkedIs(n/2))
		s.cure("a")
		require.NoError(t, it.Resume(t.Context()))
		b.deposits(n/2+1, n, "a")
		b.Becomes(it, "all are done", parkedIs(0))
		b.Eventually("all are done", func() bool { return len(s.of("a")) == n })
		for i, amount := range s.of("a") {
			require.EqualValues(t, i+1, amount)
		}
	})
	t.Run("there is a bound, at which the reactor stops", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick("a")
		config := parking()
		config.MaxParked = 2
		it, _ := b.Reactor(config, s.reaction())
		b.deposits(1, 3, "a")
		status := b.Becomes(it, "it stops", func(s consumer.Status) bool { return s.State == consumer.Failed })
		require.EqualValues(t, 2, status.Parked)
		require.Equal(t, "2 events are parked, and no more are (Config.MaxParked): it waits for earlier events of bank.Account/a", status.Failure.Error)
		parked, err := it.Parked(t.Context())
		require.NoError(t, err)
		parking := reactor.NewParking(b.Consumers, config.Name)
		require.NoError(t, parking.Skip(t.Context(), parked[0].EventID, "it was a test"))
		require.ErrorIs(t, parking.Skip(t.Context(), parked[0].EventID, "again"), reactor.ErrNotParked)
		s.cure("a")
		require.NoError(t, it.Resume(t.Context()))
		b.Becomes(it, "it goes on", parkedIs(0))
		b.Eventually("the others are handled", func() bool { return len(s.of("a")) == 2 })
		require.Equal(t, []int64{2, 3}, s.of("a"))
		gone, err := it.Skipped(t.Context())
		require.NoError(t, err)
		require.Len(t, gone, 1)
		require.Equal(t, "it was a test: broken", gone[0].Error)
	})
}

func TestErrorsThatSayWhatTheyWant(t *testing.T) {
	t.Parallel()
	t.Run("Park parks at once, though failures stop the reactor", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick()
		s.ill["a"] = fmt.Errorf("mail: %w", reactor.Park(consumertest.ErrBroken))
		it, _ := b.Reactor(consumertest.Reacting(), s.reaction())
		b.deposits(1, 2, "a", "b")
		b.Becomes(it, "it goes on", parkedIs(2))
		require.Equal(t, []int64{1, 2}, s.of("b"))
		parked, err := it.Parked(t.Context())
		require.NoError(t, err)
		require.Equal(t, "mail: broken", parked[0].Error)
		require.Equal(t, 1, parked[0].Tries)
	})
	t.Run("Skip passes over, and is on record", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick()
		s.ill["a"] = reactor.Skip(consumertest.ErrBroken)
		it, _ := b.Reactor(consumertest.Reacting(), s.reaction())
		last := b.deposits(1, 2, "a", "b")
		b.Becomes(it, "it goes on", func(s consumer.Status) bool { return parkedIs(0)(s) && s.Position == last.Position })
		require.Equal(t, []int64{1, 2}, s.of("b"))
		skipped, err := it.Skipped(t.Context())
		require.NoError(t, err)
		require.Len(t, skipped, 2)
		require.Equal(t, "broken", skipped[0].Error)
		require.Equal(t, stream("a"), skipped[0].Stream)
	})
	t.Run("Retry tries when it wants to, and does not give up", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.Deposit(1)
		var tries atomic.Int64
		it, _ := b.Reactor(consumertest.Reacting(), reactor.On(func(context.Context, *consumertest.Deposited) error {
			switch n := tries.Add(1); {
			case n <= 5: // more than Attempts
				return reactor.Retry(time.Millisecond, consumertest.ErrBroken)
			case n == 6:
				return reactor.Retry(time.Hour, consumertest.ErrBroken)
			}
			return nil
		}))
		status := b.Becomes(it, "it waits", func(s consumer.Status) bool { return s.Failure != nil && s.Failure.Attempts == 6 })
		require.Equal(t, consumer.Retrying, status.State)
		require.WithinDuration(t, time.Now().Add(time.Hour), status.Failure.Next, time.Minute)
		seen := b.Becomes(b.Another(), "elsewhere as well", func(s consumer.Status) bool { return s.Failure != nil && s.Failure.Attempts == 6 })
		require.WithinDuration(t, status.Failure.Next, seen.Failure.Next, 5*time.Second)
	})
	t.Run("nil stays nil", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, reactor.Park(nil))
		require.NoError(t, reactor.Skip(nil))
		require.NoError(t, reactor.Retry(time.Second, nil))
	})
}

// By default a reactor outlasts a mail server that is away for minutes.
func TestRetriesGoOnForMinutes(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	event := b.Deposit(1)[0]
	it, _ := b.Reactor(reactor.Config{Config: consumertest.Reacting().Config, Name: "r"}, reactor.On(func(context.Context, *consumertest.Deposited) error {
		return consumertest.ErrBroken
	}))
	status := b.Becomes(it, "it waits for longer and longer", func(s consumer.Status) bool {
		return s.Failure != nil && s.Failure.Attempts > reactor.DefaultAttempts && s.Failure.Next.Sub(s.Failure.Time) > 500*time.Millisecond
	})
	require.Equal(t, consumer.Retrying, status.State)
	require.Equal(t, event.ID, status.Failure.EventID)
	require.False(t, status.Failure.Since.IsZero())
	require.Equal(t, 15*time.Minute, reactor.DefaultRetryFor)
}
