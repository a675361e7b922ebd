package consumer_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// stalls is an observer that keeps what it is told of stalls.
type stalls struct {
	consumer.NoObserver
	mu   sync.Mutex
	seen []string
}

func (s *stalls) Stalled(_ context.Context, id consumer.ID, failure consumer.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, id.Name+": "+failure.Error)
}

func (s *stalls) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// What does not return makes a consumer stalled, here and elsewhere, with what it is and the event.
func TestCallsThatDoNotReturn(t *testing.T) {
	t.Parallel()
	t.Run("a reaction: another node takes over, and Run ends", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(1)[0]
		config := consumertest.Reacting()
		config.HangTimeout = 300 * time.Millisecond
		logger, warned := consumertest.LogSignal("consumer hangs; another node may take over")
		config.Logger = logger
		var told stalls
		config.Observer = &told
		hang := b.Hang()
		var cancelled atomic.Bool
		it, stop := b.Reactor(config, reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
			context.AfterFunc(ctx, func() { cancelled.Store(true) })
			hang()
			return nil
		}))
		b.Wait(warned, "a warning")
		b.Eventually("its context ends", cancelled.Load)
		b.Becomes(it, "it is on record", consumertest.Stalled(event, "a reaction has not ended after 300ms", 1))
		b.Becomes(b.Another(), "elsewhere, too", consumertest.Stalled(event, "a reaction has not ended after 300ms", 1))
		require.Equal(t, []string{"r: a reaction has not ended after 300ms"}, told.all())
		var seen consumertest.Handled
		b.Reactor(consumertest.Reacting(), reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error { seen.Note(ctx); return nil }))
		b.Eventually("another one handles it", func() bool { return len(seen.All()) == 1 })
		b.Becomes(it, "all is well there", func(s consumer.Status) bool { return s.State == consumer.Live && s.Failure == nil })
		began := time.Now()
		stop()
		require.Less(t, time.Since(began), 30*time.Second)
	})
	t.Run("a reaction that takes long is in the status before", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(1)[0]
		hang := b.Hang()
		it, _ := b.Reactor(consumertest.Reacting(), reactor.On(func(context.Context, *consumertest.Deposited) error { hang(); return nil }))
		b.Becomes(it, "it says so", consumertest.Stalled(event, "a reaction takes more than 1.5s", 0))
	})
	t.Run("one that returns at last counts", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.Deposit(1)
		config := consumertest.Reacting()
		config.HangTimeout = 50 * time.Millisecond
		logger, warned := consumertest.LogSignal("consumer hangs; another node may take over")
		config.Logger = logger
		var calls atomic.Int64
		it, _ := b.Reactor(config, reactor.On(func(context.Context, *consumertest.Deposited) error {
			calls.Add(1)
			<-warned
			return nil
		}))
		b.Becomes(it, "it is live", func(s consumer.Status) bool { return s.State == consumer.Live && s.Failure == nil && s.Behind == 0 })
		require.EqualValues(t, 1, calls.Load())
	})
	t.Run("a reaction that ends its goroutine has failed", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(1)[0]
		it, _ := b.Reactor(consumertest.Reacting(), reactor.On(func(context.Context, *consumertest.Deposited) error { runtime.Goexit(); return nil }))
		status := b.Becomes(it, "it stops", func(s consumer.Status) bool { return s.State == consumer.Failed })
		require.Equal(t, event.ID, status.Failure.EventID)
		require.Contains(t, status.Failure.Error, "runtime.Goexit")
	})
	t.Run("Publish of a relay", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(1)[0]
		outbox, hang := consumertest.NewOutbox(), b.Hang()
		outbox.Refuse = func(string, []*message.Message) error { hang(); return nil }
		config := consumertest.Relaying()
		config.HangTimeout, config.DrainTimeout = 200*time.Millisecond, 100*time.Millisecond
		it, stop := b.Relay(outbox, config)
		b.Becomes(it, "it is on record", consumertest.Stalled(event, "publishing to events has not ended after 200ms", 1))
		heir := consumertest.NewOutbox()
		b.Relay(heir, consumertest.Relaying())
		b.Published(heir, relay.DefaultTopic, 1)
		stop()
	})
	t.Run("Translate of a relay, which fails once it returns", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(1)[0]
		config := consumertest.Relaying()
		config.HangTimeout, config.BackOff, config.MaxBackOff = 200*time.Millisecond, time.Hour, time.Hour
		release := make(chan struct{})
		config.Translate = func(eventsourced.Recorded) (eventsourced.Recorded, error) {
			<-release
			return eventsourced.Recorded{}, consumertest.ErrBroken
		}
		it, _ := b.Relay(consumertest.NewOutbox(), config)
		b.Becomes(it, "it is on record", consumertest.Stalled(event, "Translate or Topic has not ended after 200ms", 1))
		close(release)
		b.Becomes(it, "it has failed, once", func(s consumer.Status) bool {
			return consumertest.Retrying(event, "broken")(s) && !s.Failure.Stalled && s.Failure.Attempts == 1
		})
	})
	t.Run("the handler of a message", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(1)[0]
		config := consumertest.Grouped("g")
		config.HangTimeout = 200 * time.Millisecond
		subscriber := b.Subscriber(config)
		msg := b.Receive(b.Subscribe(subscriber, "Deposited"), event) // never acked
		b.Becomes(consumertest.One{Subscriber: subscriber}, "it is on record", consumertest.Stalled(event, "the handler of a message has not ended after 200ms", 1))
		b.Wait(msg.Context().Done(), "its context ends")
		b.Receive(b.Subscribe(b.Subscriber(consumertest.Grouped("g")), "Deposited"), event).Ack()
	})
}
