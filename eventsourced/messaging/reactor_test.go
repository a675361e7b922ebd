package messaging_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

func reacting() messaging.ReactorConfig {
	return messaging.ReactorConfig{
		Name:         "r",
		Attempts:     3,
		RetryFor:     100 * time.Millisecond,
		PollInterval: 200 * time.Millisecond,
		MaxBackOff:   20 * time.Millisecond,
		DrainTimeout: 100 * time.Millisecond,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// handled notes which events were handled.
type handled struct {
	mu  sync.Mutex
	ids []string
}

func (h *handled) note(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, eventsourced.FromContext(ctx).ID.String())
}

func (h *handled) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.ids...)
}

func (b *bank) reactor(config messaging.ReactorConfig, reactions ...messaging.Reaction) (reactor *messaging.Reactor, stop func()) {
	b.t.Helper()
	reactor, err := messaging.NewReactor(b.store, b.positions, config, reactions...)
	require.NoError(b.t, err)
	return reactor, b.run(reactor.Run)
}

func (b *bank) statusOf(reactor *messaging.Reactor) messaging.Status {
	b.t.Helper()
	status, err := reactor.Status(b.t.Context())
	require.NoError(b.t, err)
	return status
}

func TestReactor(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(3)
	var seen handled
	reaction := messaging.On(func(ctx context.Context, _ *Deposited) error {
		seen.note(ctx)
		return nil
	})
	reactor, stop := b.reactor(reacting(), reaction)
	b.record(&Renamed{})
	events = append(events, b.deposit(3)...)
	b.eventually("all are handled", func() bool { return len(seen.all()) == 6 })
	require.Equal(t, idsOf(events), seen.all(), "in order, one after the other")
	b.eventually("it is live", func() bool {
		status := b.statusOf(reactor)
		return status.State == messaging.Live && status.Behind == 0 && status.Position == events[5].Position
	})
	stop()
	require.Equal(t, messaging.Standby, b.statusOf(reactor).State)
	events = append(events, b.deposit(2)...)
	require.EqualValues(t, 2, b.statusOf(reactor).Behind)
	b.reactor(reacting(), reaction)
	b.eventually("it goes on", func() bool { return len(seen.all()) == 8 })
	require.Equal(t, idsOf(events), seen.all())
}

func TestReactorThatStartsAtTheHead(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.deposit(3)
	config := reacting()
	config.StartAtHead = true
	var seen handled
	reactor, _ := b.reactor(config, messaging.On(func(ctx context.Context, _ *Deposited) error {
		seen.note(ctx)
		return nil
	}))
	b.eventually("it has begun", func() bool { return b.statusOf(reactor).State == messaging.Live })
	events := b.deposit(2)
	b.eventually("what comes is handled", func() bool { return len(seen.all()) == 2 })
	require.Equal(t, idsOf(events), seen.all())
}

var errBroken = errors.New("broken")

func TestReactorStopsAtAFailure(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	before := b.deposit(1)
	bad := b.record(&Deposited{Amount: 13})
	b.deposit(1)
	var attempts, after atomic.Int64
	var cured atomic.Bool
	reaction := messaging.On(func(_ context.Context, e *Deposited) error {
		if e.Amount == 13 && !cured.Load() {
			attempts.Add(1)
			return errBroken
		}
		after.Add(1)
		return nil
	})
	reactor, stop := b.reactor(reacting(), reaction)
	b.eventually("it stops", func() bool { return b.statusOf(reactor).State == messaging.Failed })
	status := b.statusOf(reactor)
	require.Equal(t, before[0].Position, status.Position, "just before the event")
	require.Equal(t, bad.ID, status.Failure.EventID)
	require.Equal(t, "Deposited", status.Failure.EventName)
	require.Equal(t, bad.Position, status.Failure.Position)
	require.Equal(t, "broken", status.Failure.Error)
	require.EqualValues(t, 3, attempts.Load())

	require.NoError(t, reactor.Resume(t.Context()))
	b.eventually("it tries again", func() bool { return attempts.Load() == 6 && b.statusOf(reactor).State == messaging.Failed })
	stop()
	_, stop = b.reactor(reacting(), reaction)
	b.eventually("a restart tries again", func() bool { return attempts.Load() == 9 && b.statusOf(reactor).State == messaging.Failed })
	require.EqualValues(t, 1, after.Load(), "nothing passes the event")
	stop()
	cured.Store(true)
	b.reactor(reacting(), reaction)
	b.eventually("it goes on", func() bool { return after.Load() == 3 })
	b.eventually("nothing is left on record", func() bool {
		status := b.statusOf(reactor)
		return status.State == messaging.Live && status.Failure == nil
	})
}

func TestReactorParksFailures(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	bad := []eventsourced.Recorded{b.record(&Deposited{Amount: 13}), b.record(&Deposited{Amount: 14})}
	good := b.deposit(2)
	panicking := b.record(&Deposited{Amount: 15})
	var seen handled
	var cured atomic.Bool
	config := reacting()
	config.OnFailure = messaging.ParkFailures
	reactor, _ := b.reactor(config, messaging.On(func(ctx context.Context, e *Deposited) error {
		switch {
		case e.Amount == 15:
			panic("fifteen")
		case e.Amount > 1 && !cured.Load():
			return errBroken
		}
		seen.note(ctx)
		return nil
	}))
	b.eventually("three are parked", func() bool { return b.statusOf(reactor).Parked == 3 })
	require.Equal(t, idsOf(good), seen.all(), "the others are handled")
	parked, err := reactor.Parked(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{bad[0].ID.String(), bad[1].ID.String(), panicking.ID.String()},
		[]string{parked[0].EventID.String(), parked[1].EventID.String(), parked[2].EventID.String()})
	require.Equal(t, "broken", parked[0].Error)
	require.Equal(t, "panic: fifteen", parked[2].Error)
	b.eventually("it is live", func() bool {
		status := b.statusOf(reactor)
		return status.State == messaging.Live && status.Failure == nil
	})

	cured.Store(true)
	require.NoError(t, reactor.Resume(t.Context()))
	b.eventually("those that are cured are done", func() bool { return b.statusOf(reactor).Parked == 1 })
	require.Equal(t, append(idsOf(good), idsOf(bad)...), seen.all(), "once")
}

func TestReactorWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.deposit(1)
	var attempts atomic.Int64
	b.reactor(reacting(), messaging.On(func(ctx context.Context, _ *Deposited) error {
		if attempts.Add(1) <= 10 { // more than Attempts
			_, err := b.pool.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
			return err
		}
		return nil
	}))
	b.eventually("it is handled at last", func() bool { return attempts.Load() == 11 })
}

func TestReactorsEventsNameTheirCause(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	cause := b.record(&Deposited{Amount: 1})
	accounts := eventsourced.NewRepository[Account](b.store, "bank.Account", eventsourced.RepositoryConfig{})
	var calls atomic.Int64
	b.reactor(reacting(), messaging.On(func(ctx context.Context, _ *Deposited) error {
		ctx = eventsourced.WithCommand(ctx, eventsourced.CommandID(eventsourced.FromContext(ctx), "test"))
		_, err := accounts.Update(ctx, "other", func(a *Account) error { return eventsourced.Record(a, &Renamed{First: "X"}) })
		if calls.Add(1) < 3 {
			return errors.Join(err, errBroken) // as if we died before the position was saved
		}
		return err
	}))
	b.eventually("it is handled three times", func() bool { return calls.Load() == 3 })
	var renamed []eventsourced.Recorded
	for event, err := range b.store.ReadStream(t.Context(), eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "other"}, 0) {
		require.NoError(t, err)
		renamed = append(renamed, event)
	}
	require.Len(t, renamed, 1, "the command is carried out once")
	require.Equal(t, eventsourced.Metadata{"causation_id": cause.ID.String(), "correlation_id": cause.ID.String()}, renamed[0].Metadata)
}

func TestOfTwoReactorsOneIsActive(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var first, second handled
	noting := func(h *handled) messaging.Reaction {
		return messaging.On(func(ctx context.Context, _ *Deposited) error {
			h.note(ctx)
			return nil
		})
	}
	config := reacting()
	config.PollInterval = 5 * time.Second // a busy machine does not end the lease
	_, stop := b.reactor(config, noting(&first))
	events := b.deposit(1)
	b.eventually("the first is active", func() bool { return len(first.all()) == 1 })
	b.reactor(config, noting(&second))
	events = append(events, b.deposit(20)...)
	b.eventually("it goes on", func() bool { return len(first.all()) == 21 })
	require.Empty(t, second.all())
	stop()
	events = append(events, b.deposit(2)...)
	b.eventually("the other takes over", func() bool { return len(second.all()) == 2 })
	require.Equal(t, idsOf(events), append(first.all(), second.all()...))
}

func TestNewReactor(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	type Unknown struct{ eventsourced.BaseEvent }
	nothing := messaging.On(func(context.Context, *Deposited) error { return nil })
	_, err := messaging.NewReactor(b.store, b.positions, messaging.ReactorConfig{Attempts: -1, RetryFor: -1, OnFailure: 7}, nothing, nothing,
		messaging.On(func(context.Context, *Unknown) error { return nil }))
	require.ErrorContains(t, err, "Name needs 1 to 200 bytes")
	require.ErrorContains(t, err, "Attempts is negative")
	require.ErrorContains(t, err, "RetryFor is negative")
	require.ErrorContains(t, err, "OnFailure is 7, want StopAtFailure or ParkFailures")
	require.ErrorContains(t, err, "two reactions to Deposited")
	require.ErrorContains(t, err, "the event type *messaging_test.Unknown is not in the registry")
	_, err = messaging.NewReactor(b.store, b.positions, reacting())
	require.ErrorContains(t, err, "it needs at least one reaction")
}

// A lost connection is not always that of the database.
func TestReactorThatCallsOthers(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.deposit(1)
	config := reacting()
	config.OnFailure = messaging.ParkFailures
	reactor, _ := b.reactor(config, messaging.On(func(context.Context, *Deposited) error {
		return fmt.Errorf("call the bank: %w", io.ErrUnexpectedEOF)
	}))
	b.eventually("it is parked", func() bool { return b.statusOf(reactor).Parked == 1 })
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
			accounts := eventsourced.NewRepository[Account](b.store, "bank.Account", eventsourced.RepositoryConfig{})
			rename := func(ctx context.Context) error {
				_, err := accounts.Update(ctx, "other", func(a *Account) error { return eventsourced.Record(a, &Renamed{First: "X"}) })
				return err
			}
			b.deposit(1)
			reactor, _ := b.reactor(reacting(), messaging.On(func(ctx context.Context, _ *Deposited) error {
				next := command(ctx)
				if err := rename(next()); err != nil {
					return err
				}
				return rename(next())
			}))
			b.eventually("it stops", func() bool { return b.statusOf(reactor).State == messaging.Failed })
			require.Contains(t, b.statusOf(reactor).Failure.Error, eventsourced.ErrCommandUsed.Error())
		})
	}
}
