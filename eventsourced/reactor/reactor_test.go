package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestReactor(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(3)
	var seen consumertest.Handled
	reaction := reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
		seen.Note(ctx)
		return nil
	})
	it, stop := b.Reactor(consumertest.Reacting(), reaction)
	b.Record(&consumertest.Renamed{})
	events = append(events, b.Deposit(3)...)
	b.Eventually("all are handled", func() bool { return len(seen.All()) == 6 })
	require.Equal(t, consumertest.IDsOf(events), seen.All(), "in order, one after the other")
	b.Eventually("it is live", func() bool {
		status := b.StatusOf(it)
		return status.State == consumer.Live && status.Behind == 0 && status.Position == events[5].Position
	})
	stop()
	require.Equal(t, consumer.Standby, b.StatusOf(it).State)
	events = append(events, b.Deposit(2)...)
	require.EqualValues(t, 2, b.StatusOf(it).Behind)
	b.Reactor(consumertest.Reacting(), reaction)
	b.Eventually("it goes on", func() bool { return len(seen.All()) == 8 })
	require.Equal(t, consumertest.IDsOf(events), seen.All())
}

func TestReactorThatStartsAtTheHead(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.Deposit(3)
	config := consumertest.Reacting()
	config.StartAtHead = true
	var seen consumertest.Handled
	it, _ := b.Reactor(config, reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
		seen.Note(ctx)
		return nil
	}))
	b.Eventually("it has begun", func() bool { return b.StatusOf(it).State == consumer.Live })
	events := b.Deposit(2)
	b.Eventually("what comes is handled", func() bool { return len(seen.All()) == 2 })
	require.Equal(t, consumertest.IDsOf(events), seen.All())
}

func TestReactorStopsAtAFailure(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	before := b.Deposit(1)
	bad := b.Record(&consumertest.Deposited{Amount: 13})
	b.Deposit(1)
	var attempts, after atomic.Int64
	var cured atomic.Bool
	reaction := reactor.On(func(_ context.Context, e *consumertest.Deposited) error {
		if e.Amount == 13 && !cured.Load() {
			attempts.Add(1)
			return consumertest.ErrBroken
		}
		after.Add(1)
		return nil
	})
	it, stop := b.Reactor(consumertest.Reacting(), reaction)
	b.Eventually("it stops", func() bool { return b.StatusOf(it).State == consumer.Failed })
	status := b.StatusOf(it)
	require.Equal(t, before[0].Position, status.Position, "just before the event")
	require.Equal(t, bad.ID, status.Failure.EventID)
	require.Equal(t, "Deposited", status.Failure.EventName)
	require.Equal(t, bad.Position, status.Failure.Position)
	require.Equal(t, "broken", status.Failure.Error)
	require.EqualValues(t, 3, attempts.Load())

	require.NoError(t, it.Resume(t.Context()))
	b.Eventually("it tries again", func() bool { return attempts.Load() == 6 && b.StatusOf(it).State == consumer.Failed })
	stop()
	_, stop = b.Reactor(consumertest.Reacting(), reaction)
	b.Eventually("a restart tries again", func() bool { return attempts.Load() == 9 && b.StatusOf(it).State == consumer.Failed })
	require.EqualValues(t, 1, after.Load(), "nothing passes the event")
	stop()
	cured.Store(true)
	b.Reactor(consumertest.Reacting(), reaction)
	b.Eventually("it goes on", func() bool { return after.Load() == 3 })
	b.Eventually("nothing is left on record", func() bool {
		status := b.StatusOf(it)
		return status.State == consumer.Live && status.Failure == nil
	})
}

func TestReactorWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.Deposit(1)
	var attempts atomic.Int64
	b.Reactor(consumertest.Reacting(), reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
		if attempts.Add(1) <= 10 { // more than Attempts
			_, err := b.Pool.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
			return err
		}
		return nil
	}))
	b.Eventually("it is handled at last", func() bool { return attempts.Load() == 11 })
}

func TestReactorsEventsNameTheirCause(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	cause := b.Record(&consumertest.Deposited{Amount: 1})
	accounts := eventsourced.NewRepository[consumertest.Account](b.Store, "bank.Account", eventsourced.RepositoryConfig{})
	var calls atomic.Int64
	b.Reactor(consumertest.Reacting(), reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
		ctx = eventsourced.WithCommand(ctx, eventsourced.CommandID(eventsourced.FromContext(ctx), "test"))
		_, err := accounts.Update(ctx, "other", func(a *consumertest.Account) error { return eventsourced.Record(a, &consumertest.Renamed{First: "X"}) })
		if calls.Add(1) < 3 {
			return errors.Join(err, consumertest.ErrBroken) // as if we died before the position was saved
		}
		return err
	}))
	b.Eventually("it is handled three times", func() bool { return calls.Load() == 3 })
	var renamed []eventsourced.Recorded
	for event, err := range b.Store.ReadStream(t.Context(), eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "other"}, 0) {
		require.NoError(t, err)
		renamed = append(renamed, event)
	}
	require.Len(t, renamed, 1, "the command is carried out once")
	require.Equal(t, eventsourced.Metadata{"causation_id": cause.ID.String(), "correlation_id": cause.ID.String()}, renamed[0].Metadata)
}

func TestOfTwoReactorsOneIsActive(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var first, second consumertest.Handled
	noting := func(h *consumertest.Handled) reactor.Reaction {
		return reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
			h.Note(ctx)
			return nil
		})
	}
	config := consumertest.Reacting()
	config.PollInterval = 5 * time.Second // a busy machine does not end the lease
	_, stop := b.Reactor(config, noting(&first))
	events := b.Deposit(1)
	b.Eventually("the first is active", func() bool { return len(first.All()) == 1 })
	b.Reactor(config, noting(&second))
	events = append(events, b.Deposit(20)...)
	b.Eventually("it goes on", func() bool { return len(first.All()) == 21 })
	require.Empty(t, second.All())
	stop()
	events = append(events, b.Deposit(2)...)
	b.Eventually("the other takes over", func() bool { return len(second.All()) == 2 })
	require.Equal(t, consumertest.IDsOf(events), append(first.All(), second.All()...))
}

func TestNew(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	type Unknown struct{ eventsourced.BaseEvent }
	nothing := reactor.On(func(context.Context, *consumertest.Deposited) error { return nil })
	_, err := reactor.New(b.Store, b.Pool, reactor.Config{Attempts: -1, RetryFor: -1, MaxDelay: -1, Concurrency: -1, MaxParked: -1, OnFailure: 7}, nothing, nothing,
		reactor.On(func(context.Context, *Unknown) error { return nil }))
	require.ErrorContains(t, err, "Name needs 1 to 200 bytes")
	require.ErrorContains(t, err, "Attempts is negative")
	require.ErrorContains(t, err, "RetryFor is negative")
	require.ErrorContains(t, err, "MaxDelay is negative")
	require.ErrorContains(t, err, "Concurrency is negative")
	require.ErrorContains(t, err, "MaxParked is negative")
	require.ErrorContains(t, err, "OnFailure is 7, want StopAtFailure or ParkFailures")
	require.ErrorContains(t, err, "two reactions to Deposited")
	require.ErrorContains(t, err, "the event type *reactor_test.Unknown is not in the registry")
	_, err = reactor.New(b.Store, b.Pool, consumertest.Reacting())
	require.ErrorContains(t, err, "it needs at least one reaction")
}

// A lost connection is not always that of the database.
func TestReactorThatCallsOthers(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.Deposit(1)
	config := consumertest.Reacting()
	config.OnFailure = reactor.ParkFailures
	it, _ := b.Reactor(config, reactor.On(func(context.Context, *consumertest.Deposited) error {
		return fmt.Errorf("call the bank: %w", io.ErrUnexpectedEOF)
	}))
	b.Eventually("it is parked", func() bool { return b.StatusOf(it).Parked == 1 })
}

// A reaction that changes an aggregate twice under one command learns it at once,
// however it says it: the second change is not taken for a repetition of the first.
func TestReactionThatUsesItsCommandTwice(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func(context.Context) func() context.Context{
		"under one context": func(ctx context.Context) func() context.Context {
			ctx = eventsourced.WithCommand(ctx, eventsourced.CommandID(eventsourced.FromContext(ctx), "test"))
			return func() context.Context { return ctx }
		},
		"under two": func(ctx context.Context) func() context.Context {
			return func() context.Context {
				return eventsourced.WithCommand(ctx, eventsourced.CommandID(eventsourced.FromContext(ctx), "test"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			accounts := eventsourced.NewRepository[consumertest.Account](b.Store, "bank.Account", eventsourced.RepositoryConfig{})
			rename := func(ctx context.Context) error {
				_, err := accounts.Update(ctx, "other", func(a *consumertest.Account) error { return eventsourced.Record(a, &consumertest.Renamed{First: "X"}) })
				return err
			}
			b.Deposit(1)
			it, _ := b.Reactor(consumertest.Reacting(), reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
				next := command(ctx)
				if err := rename(next()); err != nil {
					return err
				}
				return rename(next())
			}))
			b.Eventually("it stops", func() bool { return b.StatusOf(it).State == consumer.Failed })
			require.Contains(t, b.StatusOf(it).Failure.Error, eventsourced.ErrCommandUsed.Error())
		})
	}
}

// What is not there is noticed when it is given, not by a nil pointer later.
func TestNewNamesAllThatIsMissing(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var nothing func(context.Context, *consumertest.Deposited) error
	_, err := reactor.New(nil, nil, reactor.Config{}, reactor.On(nothing), reactor.Reaction{})
	require.EqualError(t, err, `reactor "": reactor.Config: Name needs 1 to 200 bytes
reactor.New: the log is nil
reactor.New: the pool is nil
the reaction to *bank.Deposited is nil
a reaction is not made by On or OnTx`)
	_, err = reactor.New(b.Store, b.Pool, consumertest.Reacting(), reactor.On(nothing))
	require.EqualError(t, err, `reactor "r": the reaction to *bank.Deposited is nil`)
}
