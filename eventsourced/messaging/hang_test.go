package messaging_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// hang blocks until the test ends.
func (b *bank) hang() func() {
	release := make(chan struct{})
	b.t.Cleanup(func() { close(release) })
	return func() { <-release }
}

func TestCallsThatDoNotReturn(t *testing.T) {
	t.Parallel()
	t.Run("a reaction: another node takes over, and Run ends", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposit(1)[0]
		config := reacting()
		config.HangTimeout = 300 * time.Millisecond
		logger, warned := logSignal("consumer hangs; another node may take over")
		config.Logger = logger
		hang := b.hang()
		var cancelled atomic.Bool
		reactor, stop := b.reactor(config, messaging.On(func(ctx context.Context, _ *Deposited) error {
			context.AfterFunc(ctx, func() { cancelled.Store(true) })
			hang()
			return nil
		}))
		b.wait(warned, "a warning")
		b.eventually("its context ends", cancelled.Load)
		b.becomes(reactor, "it is on record", retrying(event, "a reaction has not ended after 300ms"))
		var seen handled
		b.reactor(reacting(), messaging.On(func(ctx context.Context, _ *Deposited) error { seen.note(ctx); return nil }))
		b.eventually("another one handles it", func() bool { return len(seen.all()) == 1 })
		b.becomes(reactor, "all is well there", func(s messaging.Status) bool { return s.State == messaging.Live && s.Failure == nil })
		began := time.Now()
		stop()
		require.Less(t, time.Since(began), 30*time.Second)
	})
	t.Run("a reaction that takes long is in the status before", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposit(1)[0]
		hang := b.hang()
		reactor, _ := b.reactor(reacting(), messaging.On(func(context.Context, *Deposited) error { hang(); return nil }))
		status := b.becomes(reactor, "it says so", func(s messaging.Status) bool { return s.State == messaging.CatchingUp && s.Failure != nil })
		require.Equal(t, event.ID, status.Failure.EventID)
		require.Equal(t, "a reaction takes more than 1.5s", status.Failure.Error)
	})
	t.Run("one that returns at last counts", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.deposit(1)
		config := reacting()
		config.HangTimeout = 50 * time.Millisecond
		logger, warned := logSignal("consumer hangs; another node may take over")
		config.Logger = logger
		var calls atomic.Int64
		reactor, _ := b.reactor(config, messaging.On(func(context.Context, *Deposited) error {
			calls.Add(1)
			<-warned
			return nil
		}))
		b.becomes(reactor, "it is live", func(s messaging.Status) bool { return s.State == messaging.Live && s.Failure == nil && s.Behind == 0 })
		require.EqualValues(t, 1, calls.Load())
	})
	t.Run("a reaction that ends its goroutine has failed", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposit(1)[0]
		reactor, _ := b.reactor(reacting(), messaging.On(func(context.Context, *Deposited) error { runtime.Goexit(); return nil }))
		status := b.becomes(reactor, "it stops", func(s messaging.Status) bool { return s.State == messaging.Failed })
		require.Equal(t, event.ID, status.Failure.EventID)
		require.Contains(t, status.Failure.Error, "runtime.Goexit")
	})
	t.Run("Publish of a relay", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposit(1)[0]
		outbox, hang := newOutbox(), b.hang()
		outbox.refuse = func(string, []*message.Message) error { hang(); return nil }
		config := relaying()
		config.HangTimeout, config.DrainTimeout = 200*time.Millisecond, 100*time.Millisecond
		relay, stop := b.relay(outbox, config)
		b.becomes(relay, "it is on record", retrying(event, "publishing to events has not ended after 200ms"))
		heir := newOutbox()
		b.relay(heir, relaying())
		b.published(heir, messaging.DefaultTopic, 1)
		stop()
	})
	t.Run("the handler of a message", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposit(1)[0]
		config := grouped("g")
		config.HangTimeout = 200 * time.Millisecond
		subscriber := b.subscriber(config)
		msg := b.receive(b.subscribe(subscriber, "Deposited"), event) // never acked
		b.becomes(one{subscriber}, "it is on record", retrying(event, "the handler of a message has not ended after 200ms"))
		b.wait(msg.Context().Done(), "its context ends")
		b.receive(b.subscribe(b.subscriber(grouped("g")), "Deposited"), event).Ack()
	})
}
