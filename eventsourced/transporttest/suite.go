package transporttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
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

func unchanged(s *suite) {
	received := s.subscribe("g")
	sent := message.NewMessage(random(), []byte("{\"ö\": 1}\x00\xff"))
	for key, value := range map[string]string{"name": "Numbered", "empty": "", "text": "ö\n\"", "long": string(bytes.Repeat([]byte("x"), 2000))} {
		sent.Metadata.Set(key, value)
	}
	s.publish(sent)
	got := s.next(received)
	require.Equal(s, sent.UUID, got.UUID)
	require.Equal(s, sent.Payload, got.Payload)
	for key, value := range sent.Metadata { // a transport may add its own
		require.Equal(s, value, got.Metadata[key], key)
	}
	got.Ack()
}

func oneByOne(s *suite) {
	received := s.subscribe("g")
	s.publish(numbered(0, 3)...)
	for range 3 {
		msg := s.next(received)
		s.nothing(received, "the one before is not acked")
		msg.Ack()
	}
}

func inOrder(s *suite) {
	received := s.subscribe("g")
	sent := numbered(0, 3*some)
	for i := range some { // some one by one, the others together
		s.publish(sent[i])
	}
	s.publish(sent[some:]...)
	require.Equal(s, payloads(sent), s.ackAll(received, len(sent)))
}

func nacked(s *suite) {
	received := s.subscribe("g")
	sent := numbered(0, 1)
	s.publish(sent...)
	for range 3 {
		msg := s.next(received)
		require.Equal(s, sent[0].UUID, msg.UUID)
		msg.Nack()
	}
	require.Equal(s, []string{"0"}, s.ackAll(received, 1))
}

func nackedInOrder(s *suite) {
	received := s.subscribe("g")
	sent := numbered(0, some)
	s.publish(sent...)
	for range 3 {
		msg := s.next(received)
		require.Equal(s, sent[0].UUID, msg.UUID)
		msg.Nack()
	}
	require.Equal(s, payloads(sent), s.ackAll(received, some))
}

func groups(s *suite) {
	first, second := s.subscribe("g"), s.subscribe("h")
	sent := numbered(0, some)
	published := make(chan error, 1)
	go func() { published <- s.bus.Publisher.Publish(s.topic, sent...) }()
	s.requireAll(payloads(sent), s.ackAll(first, some))
	s.requireAll(payloads(sent), s.ackAll(second, some))
	require.NoError(s, <-published)
}

func topics(s *suite) {
	received := s.subscribe("g")
	require.NoError(s, s.bus.Publisher.Publish(s.topic+".other", numbered(0, 1)...))
	sent := numbered(1, 2)
	s.publish(sent...)
	require.Equal(s, []string{"1"}, s.ackAll(received, 1))
	s.nothing(received, "it is another topic's")
}

// publishInHandler: a projection asks for history while it handles a message.
func publishInHandler(s *suite) {
	received := s.subscribe("g")
	s.publish(numbered(0, 1)...)
	msg := s.next(received)
	published := make(chan error, 1)
	go func() { published <- s.bus.Publisher.Publish(s.topic, numbered(1, 2)...) }()
	select {
	case err := <-published:
		require.NoError(s, err)
	case <-time.After(patience):
		require.Fail(s, "Publish waits for the Ack of a message")
	}
	msg.Ack()
	require.Equal(s, "1", string(s.nextOther(received, msg.UUID).Payload))
}

// nextOther returns and acks the next message that is not the one of an id.
func (s *suite) nextOther(messages <-chan *message.Message, id string) *message.Message {
	s.Helper()
	for {
		msg := s.next(messages)
		if msg.Ack(); msg.UUID != id {
			return msg
		}
	}
}

func large(s *suite) {
	received := s.subscribe("g")
	page := message.NewMessage(random(), bytes.Repeat([]byte("x"), MaxMessage))
	if err := s.bus.Publisher.Publish(s.topic, page); err != nil {
		s.Logf("refused: %v", err)
		s.publish(numbered(0, 1)...) // and is none the worse for it
		require.Equal(s, []string{"0"}, s.ackAll(received, 1))
		return
	}
	got := s.next(received)
	require.True(s, bytes.Equal(page.Payload, got.Payload))
	got.Ack()
}

func concurrent(s *suite) {
	received := s.subscribe("g")
	sent := numbered(0, 4*some)
	var publishing sync.WaitGroup
	for i := range 4 {
		publishing.Go(func() {
			for _, msg := range sent[i*some : (i+1)*some] {
				if err := s.bus.Publisher.Publish(s.topic, msg); err != nil {
					s.Error(err)
				}
			}
		})
	}
	require.ElementsMatch(s, payloads(sent), s.ackAll(received, len(sent)))
	publishing.Wait()
}

func waits(s *suite) {
	subscriber := s.bus.Subscriber("g")
	s.initialize(subscriber)
	if _, ok := subscriber.(message.SubscribeInitializer); !ok {
		s.subscribeTo(subscriber, s.Context())
		require.NoError(s, subscriber.Close())
	}
	sent := numbered(0, some)
	s.publish(sent...)
	s.requireAll(payloads(sent), s.ackAll(s.subscribe("g"), some))
}

func takenOver(s *suite) {
	first := s.bus.Subscriber("g")
	received := s.subscribeTo(first, s.Context())
	sent := numbered(0, some)
	s.publish(sent...)
	acked := s.next(received)
	acked.Ack()
	for msg := s.next(received); msg.UUID == acked.UUID; msg = s.next(received) { // it may come again
		msg.Ack()
	}
	require.NoError(s, first.Close())
	var got []string
	received = s.subscribe("g")
	for missing := payloads(sent[1:]); len(missing) > 0; { // the first one may come again
		msg := s.next(received)
		if payload := string(msg.Payload); !slices.Contains(got, payload) {
			got = append(got, payload)
		}
		missing = slices.DeleteFunc(missing, func(one string) bool { return one == string(msg.Payload) })
		msg.Ack()
	}
	if s.ordered {
		require.Equal(s, payloads(sent)[some-len(got):], got)
	}
}

func replies(s *suite) {
	asker, other := s.subscribe("g"), s.subscribe("h")
	require.NoError(s, s.bus.Publisher.Publish(s.bus.ReplyTo(s.topic, "g"), numbered(0, 1)...))
	require.Equal(s, []string{"0"}, s.ackAll(asker, 1))
	s.nothing(other, "it has not asked")
}

func ends(s *suite) {
	ctx, cancel := context.WithCancel(s.Context())
	subscriber := s.bus.Subscriber("g")
	received := s.subscribeTo(subscriber, ctx)
	cancel()
	s.requireClosed(received)
}

func closes(s *suite) {
	subscriber := s.bus.Subscriber("g")
	received := s.subscribeTo(subscriber, s.Context())
	require.NoError(s, subscriber.Close())
	select {
	case _, open := <-received:
		require.False(s, open)
	default:
		require.Fail(s, "Close has returned, and the channel is open")
	}
	require.NoError(s, subscriber.Close())
}

func (s *suite) requireClosed(messages <-chan *message.Message) {
	s.Helper()
	select {
	case msg := <-messages:
		require.Nil(s, msg)
	case <-time.After(patience):
		require.Fail(s, "the channel is open")
	}
}

func closedPublisher(s *suite) {
	require.NoError(s, s.bus.Publisher.Close())
	require.Error(s, s.bus.Publisher.Publish(s.topic, numbered(0, 1)...))
}
