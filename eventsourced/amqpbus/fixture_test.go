package amqpbus_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

func newPublisher(t testing.TB, url string) *amqpbus.Publisher {
	t.Helper()
	publisher, err := amqpbus.NewPublisher(url, amqpbus.PublisherConfig{ConfirmTimeout: 10 * time.Second, Logger: silent})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	return publisher
}

// consuming is the configuration of a group, with short waits.
func consuming(group string) amqpbus.SubscriberConfig {
	return amqpbus.SubscriberConfig{
		Group:        group,
		BackOff:      10 * time.Millisecond,
		MaxBackOff:   100 * time.Millisecond,
		DrainTimeout: 200 * time.Millisecond,
		Logger:       silent,
	}
}

func newSubscriber(t testing.TB, url string, config amqpbus.SubscriberConfig) *amqpbus.Subscriber {
	t.Helper()
	subscriber, err := amqpbus.NewSubscriber(url, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, subscriber.Close()) })
	return subscriber
}

func subscribe(t testing.TB, subscriber *amqpbus.Subscriber, topic string) <-chan *message.Message {
	t.Helper()
	messages, err := subscriber.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	return messages
}

// numbered returns messages whose payloads are 0, 1, 2 and so on.
func numbered(n int) (messages []*message.Message) {
	for i := range n {
		msg := message.NewMessage(eventsourced.NewEventID().String(), fmt.Append(nil, i))
		msg.Metadata.Set("name", "Numbered")
		messages = append(messages, msg)
	}
	return messages
}

func receive(t testing.TB, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, open := <-messages:
		require.True(t, open, "the channel is closed")
		return msg
	case <-time.After(time.Minute):
		require.Fail(t, "no message")
		return nil
	}
}

// receiveAll acks n messages and returns their payloads.
func receiveAll(t testing.TB, messages <-chan *message.Message, n int) (payloads []string) {
	t.Helper()
	for range n {
		msg := receive(t, messages)
		payloads = append(payloads, string(msg.Payload))
		msg.Ack()
	}
	return payloads
}

func numbers(n int) (payloads []string) {
	for i := range n {
		payloads = append(payloads, fmt.Sprint(i))
	}
	return payloads
}

// channel returns a channel of a bare client.
func channel(t testing.TB, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 10*time.Millisecond, what)
}

func timeout(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
