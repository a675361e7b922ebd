package transporttest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
)

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
