package consumer_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// consumer is a way through the log, to be looked at from outside.
type running struct {
	consumertest.Statuses
	seen   func() []string
	stop   func()
	resume func(context.Context) error
}

// consumers starts a consumer of each kind.
func consumers() map[string]func(*bank) running {
	return map[string]func(*bank) running{
		"a reactor": func(b *bank) running {
			var seen consumertest.Handled
			it, stop := b.Reactor(consumertest.Reacting(), reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error { seen.Note(ctx); return nil }))
			return running{it, seen.All, stop, it.Resume}
		},
		"a relay": func(b *bank) running {
			outbox := consumertest.NewOutbox()
			it, stop := b.Relay(outbox, consumertest.Relaying())
			return running{it, func() []string { return outbox.IDs(relay.DefaultTopic) }, stop, it.Resume}
		},
		"a subscription": func(b *bank) running {
			subscriber := b.Subscriber(consumertest.Grouped("g"))
			messages := b.Subscribe(subscriber, "Deposited")
			var seen consumertest.Handled
			go func() {
				for msg := range messages {
					seen.Note(msg.Context())
					msg.Ack()
				}
			}()
			return running{consumertest.One{Subscriber: subscriber}, seen.All, func() { require.NoError(b.T, subscriber.Close()) }, subscriber.Resume}
		},
	}
}

func TestAheadOfTheLog(t *testing.T) {
	t.Parallel()
	for name, start := range consumers() {
		t.Run(name+" notices it while it runs, and handles nothing on top", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.Deposit(3)
			c := start(b)
			b.Becomes(c, "all is handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == events[2].Position })
			b.Restore(events[1])
			status := b.Becomes(c, "it notices", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Node != "" }) // not only who looks
			require.Contains(t, status.Failure.Error, "ahead of the log: position ")
			require.Contains(t, status.Failure.Error, "then resume")
			b.Deposit(2) // the log grows past the position
			b.Becomes(c, "it is ahead still", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Behind == 2 && s.Node != "" })
			c.stop()
			require.Len(t, c.seen(), 3)
		})
		t.Run(name+" notices it at the start", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.Deposit(3)
			c := start(b)
			b.Becomes(c, "all is handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == events[2].Position })
			c.stop()
			b.Restore(events[1])
			if _, subscription := c.Statuses.(consumertest.One); !subscription {
				b.Becomes(c, "the status tells without any node", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Node == "" })
			}
			all, err := b.Consumers.Status(t.Context(), b.Store)
			require.NoError(t, err)
			require.Equal(t, consumer.Ahead, all[0].State)
			c = start(b)
			b.Becomes(c, "it notices", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Node != "" && s.Failure.Attempts > 0 })
			more := b.Deposit(2)
			c.stop()
			c = start(b)
			b.Becomes(c, "a restart changes nothing", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Node != "" })
			require.Empty(t, c.seen())
			require.NoError(t, c.resume(t.Context()))
			b.Becomes(c, "it goes on when it is told to", consumertest.IsLive)
			b.Eventually("from where it was", func() bool { return len(c.seen()) == 2 })
			require.Equal(t, consumertest.IDsOf(more), c.seen())
		})
		t.Run(name+" goes on from a position that somebody sets", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.Deposit(3)
			b.Restore(events[2])
			c := start(b)
			b.Becomes(c, "it runs", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == events[1].Position })
			_, err := b.Pool.Exec(t.Context(), `UPDATE consumers SET position = $1`, int64(events[2].Position)+1)
			require.NoError(t, err)
			b.Becomes(c, "it notices", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Failure.Attempts > 0 })
			_, err = b.Pool.Exec(t.Context(), `UPDATE consumers SET position = $1`, int64(events[0].Position))
			require.NoError(t, err)
			b.Becomes(c, "it goes on", consumertest.IsLive)
			b.Eventually("with what comes next", func() bool { return len(c.seen()) == 3 })
			require.Equal(t, []string{events[0].ID.String(), events[1].ID.String(), events[1].ID.String()}, c.seen())
		})
	}
}

// Nothing that is called has to do without a connection because one is reading.
func TestOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	query := func(ctx context.Context, b *bank) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return b.Pool.Ping(ctx)
	}
	t.Run("for the reaction to a parked event", func(t *testing.T) {
		t.Parallel()
		b := &bank{consumertest.Small(t)}
		b.RecordFor("a", &consumertest.Deposited{Amount: 1})
		b.RecordFor("b", &consumertest.Deposited{Amount: 1})
		config := consumertest.Reacting()
		config.OnFailure, config.PollInterval = reactor.ParkFailures, 5*time.Second
		calls, queries := 0, 0
		it, stop := b.Reactor(config, reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
			if calls++; calls <= 2*config.Attempts {
				return consumertest.ErrBroken
			}
			queries++
			return query(ctx, b)
		}))
		b.Eventually("both are parked", func() bool { return b.StatusOf(it).Parked == 2 })
		require.NoError(t, it.Resume(t.Context()))
		b.Eventually("both are done", func() bool { return b.StatusOf(it).Parked == 0 })
		stop()
		require.Equal(t, 2, queries, "at the first attempt")
	})
}
