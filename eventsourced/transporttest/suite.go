package transporttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
)

const (
	patience = time.Minute            // for what has to come
	quiet    = 200 * time.Millisecond // for what must not
	some     = 50                     // messages
)

type suite struct {
	*testing.T
	bus     Bus
	topic   string
	ordered bool
}

func random() string { return rand.Text() }

// numbered returns messages whose payloads are their numbers.
func numbered(from, to int) (messages []*message.Message) {
	for i := from; i < to; i++ {
		msg := message.NewMessage(random(), fmt.Append(nil, i))
		msg.Metadata.Set("name", "Numbered")
		messages = append(messages, msg)
	}
	return messages
}

func payloads(messages []*message.Message) (all []string) {
	for _, msg := range messages {
		all = append(all, string(msg.Payload))
	}
	return all
}

func (s *suite) subscribe(group string) <-chan *message.Message {
	s.Helper()
	return s.subscribeTo(s.bus.Subscriber(group), s.Context())
}

func (s *suite) subscribeTo(subscriber message.Subscriber, ctx context.Context) <-chan *message.Message { //nolint:revive // of the subscription
	s.Helper()
	s.initialize(subscriber)
	messages, err := subscriber.Subscribe(ctx, s.topic)
	require.NoError(s, err)
	return messages
}

func (s *suite) initialize(subscriber message.Subscriber) {
	s.Helper()
	if it, ok := subscriber.(message.SubscribeInitializer); ok {
		require.NoError(s, it.SubscribeInitialize(s.topic))
	}
}

func (s *suite) publish(messages ...*message.Message) {
	s.Helper()
	require.NoError(s, s.bus.Publisher.Publish(s.topic, messages...))
}

func (s *suite) next(messages <-chan *message.Message) *message.Message {
	s.Helper()
	select {
	case msg, open := <-messages:
		require.True(s, open, "the channel is closed")
		return msg
	case <-time.After(patience):
		require.Fail(s, "no message")
		return nil
	}
}

func (s *suite) nothing(messages <-chan *message.Message, why string) {
	s.Helper()
	select {
	case msg := <-messages:
		require.Nil(s, msg, why)
	case <-time.After(quiet):
	}
}

// ackAll acks until n different messages have come, and returns their payloads, each once.
func (s *suite) ackAll(messages <-chan *message.Message, n int) (all []string) {
	s.Helper()
	seen := map[string]bool{}
	for len(seen) < n {
		msg := s.next(messages)
		if !seen[msg.UUID] {
			all = append(all, string(msg.Payload))
		}
		seen[msg.UUID] = true
		msg.Ack()
	}
	return all
}

// requireAll compares with what came, in order if there is one.
func (s *suite) requireAll(want, got []string) {
	s.Helper()
	if s.ordered {
		require.Equal(s, want, got)
		return
	}
	require.ElementsMatch(s, want, got)
}
