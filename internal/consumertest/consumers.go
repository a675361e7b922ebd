package consumertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

// Outbox is a publisher that keeps what it is given.
type Outbox struct {
	mu       sync.Mutex
	Messages map[string][]*message.Message // by topic
	Calls    int
	Refuse   func(topic string, messages []*message.Message) error // nil is never
}

var (
	// ErrRefused is what an outbox returns that refuses.
	ErrRefused = errors.New("refused")
	// ErrBroken is what a reaction returns that fails.
	ErrBroken = errors.New("broken")
)

func NewOutbox() *Outbox { return &Outbox{Messages: map[string][]*message.Message{}} }

func (o *Outbox) Publish(topic string, messages ...*message.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Calls++
	if o.Refuse != nil {
		if err := o.Refuse(topic, messages); err != nil {
			return err
		}
	}
	o.Messages[topic] = append(o.Messages[topic], messages...)
	return nil
}

func (o *Outbox) Close() error { return nil }

func (o *Outbox) Of(topic string) []*message.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*message.Message(nil), o.Messages[topic]...)
}

// ids returns the UUIDs of a topic's messages.
func (o *Outbox) IDs(topic string) (ids []string) {
	for _, msg := range o.Of(topic) {
		ids = append(ids, msg.UUID)
	}
	return ids
}

func IDsOf(events []eventsourced.Recorded) (ids []string) {
	for _, event := range events {
		ids = append(ids, event.ID.String())
	}
	return ids
}

func Relaying() relay.Config {
	return relay.Config{
		Config: consumer.Config{
			PollInterval: 200 * time.Millisecond,
			MaxBackOff:   50 * time.Millisecond,
			DrainTimeout: time.Second,
			Logger:       slog.New(slog.DiscardHandler),
		},
	}
}

// Relay runs a relay until the test ends or stop is called.
func (b *Bank) Relay(publisher message.Publisher, config relay.Config) (it *relay.Relay, stop func()) {
	b.T.Helper()
	it, err := relay.New(b.Store, b.Pool, publisher, config)
	require.NoError(b.T, err)
	return it, b.Run(it.Run)
}

// Run calls a Run method until the test ends or stop is called.
func (b *Bank) Run(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.T.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.T, <-done)
	})
	b.T.Cleanup(stop)
	return stop
}

func (b *Bank) Published(o *Outbox, topic string, n int) []*message.Message {
	b.T.Helper()
	b.Eventually(fmt.Sprintf("%d messages to %s", n, topic), func() bool { return len(o.Of(topic)) >= n })
	return o.Of(topic)
}

// RequireChain fails unless each message follows the one before.
func RequireChain(t testing.TB, begin string, messages []*message.Message) {
	t.Helper()
	for _, msg := range messages {
		require.Equal(t, begin, msg.Metadata[messaging.MetaPrevious])
		begin = msg.Metadata[messaging.MetaPosition]
	}
}

func Reacting() reactor.Config {
	return reactor.Config{
		Config: consumer.Config{
			PollInterval: 200 * time.Millisecond,
			MaxBackOff:   20 * time.Millisecond,
			DrainTimeout: 100 * time.Millisecond,
			Logger:       slog.New(slog.DiscardHandler),
		},
		Name:     "r",
		Attempts: 3,
		RetryFor: time.Nanosecond,
		MaxDelay: 20 * time.Millisecond,
	}
}

// Handled notes which events were handled.
type Handled struct {
	mu  sync.Mutex
	ids []string
}

func (h *Handled) Note(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, eventsourced.FromContext(ctx).ID.String())
}

func (h *Handled) All() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.ids...)
}

func (b *Bank) Reactor(config reactor.Config, reactions ...reactor.Reaction) (it *reactor.Reactor, stop func()) {
	b.T.Helper()
	it, err := reactor.New(b.Store, b.Pool, config, reactions...)
	require.NoError(b.T, err)
	return it, b.Run(it.Run)
}

func (b *Bank) StatusOf(it *reactor.Reactor) consumer.Status {
	b.T.Helper()
	status, err := it.Status(b.T.Context())
	require.NoError(b.T, err)
	return status
}

// Statuses is a relay or a reactor.
type Statuses interface {
	Status(ctx context.Context) (consumer.Status, error)
}

// Becomes waits until the status is as wanted, for two seconds, as promised, and a bit
// for a busy machine.
func (b *Bank) Becomes(of Statuses, what string, want func(consumer.Status) bool) (status consumer.Status) {
	b.T.Helper()
	require.Eventually(b.T, func() bool {
		var err error
		status, err = of.Status(b.T.Context())
		return err == nil && want(status)
	}, 15*time.Second, 25*time.Millisecond, what)
	return status
}

// Retrying tells that a status is that of a failure with an error, about an event
// unless that is zero.
func Retrying(event eventsourced.Recorded, text string) func(consumer.Status) bool {
	return func(s consumer.Status) bool {
		return s.State == consumer.Retrying && s.Failure != nil && s.Failure.EventID == event.ID && s.Failure.Position == event.Position &&
			strings.Contains(s.Failure.Error, text) && s.Failure.Attempts > 0 && !s.Failure.Since.IsZero() && !s.Failure.Time.Before(s.Failure.Since)
	}
}

// Stalled tells that a status is that of something under way for an event that takes long, tried so often.
func Stalled(event eventsourced.Recorded, text string, attempts int) func(consumer.Status) bool {
	return func(s consumer.Status) bool {
		return s.State == consumer.Stalled && s.Failure != nil && s.Failure.Stalled && s.Failure.EventID == event.ID && s.Failure.Position == event.Position &&
			s.Failure.Error == text && s.Failure.Attempts == attempts && !s.Failure.Since.IsZero()
	}
}

// Another is how a process sees the reactor that runs none of it.
func (b *Bank) Another() *reactor.Reactor {
	b.T.Helper()
	it, err := reactor.New(b.Store, b.Pool, Reacting(), reactor.On(func(context.Context, *Deposited) error { return nil }))
	require.NoError(b.T, err)
	return it
}

// One is the only subscription of a subscriber.
type One struct{ *messaging.Subscriber }

func (o One) Status(ctx context.Context) (consumer.Status, error) {
	all, err := o.Subscriber.Status(ctx)
	if len(all) != 1 {
		return consumer.Status{}, errors.Join(err, errors.New("there is not one subscription"))
	}
	return all[0], err
}
