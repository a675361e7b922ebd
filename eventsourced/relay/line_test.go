package relay_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// While a relay was off, an asker asked again and again: the last request counts.
func TestRequestsThatWaitedAreOne(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.insert(300, 10)
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, requests.Close()) })
	for range 75 {
		for _, asker := range []string{"a", "b"} {
			msg, err := relay.MarshalHistoryRequest(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: asker, Asker: asker, Events: 1000})
			require.NoError(t, err)
			require.NoError(t, requests.Publish("relay.requests", msg))
		}
	}
	outbox, config := consumertest.NewOutbox(), consumertest.Relaying()
	config.Requests, config.PageEvents, config.StartAtHead = requests, 50, true
	b.Relay(outbox, config)
	for _, asker := range []string{"a", "b"} {
		events := 0
		for _, page := range b.answer(t, outbox, asker) {
			events += len(page.Events)
		}
		require.Equal(t, 300, events, "once")
	}
	pages := len(outbox.Of("a"))
	ask(t, requests, relay.HistoryRequest{Topic: relay.DefaultTopic, After: 300, ReplyTo: "a"}) // the next one comes after all those
	b.Eventually("its answer", func() bool { return len(outbox.Of("a")) > pages })
	require.Equal(t, []int{pages + 1, pages}, []int{len(outbox.Of("a")), len(outbox.Of("b"))})
}

func ask(t *testing.T, requests message.Publisher, request relay.HistoryRequest) {
	t.Helper()
	msg, err := relay.MarshalHistoryRequest(request)
	require.NoError(t, err)
	require.NoError(t, requests.Publish("relay.requests", msg))
}

// gate is an outbox that takes messages to a topic one by one, when it is opened.
type gate struct {
	*consumertest.Outbox
	topic string
	open  chan struct{}
}

func (g *gate) Publish(topic string, messages ...*message.Message) error {
	if topic == g.topic {
		select {
		case <-g.open:
		case <-messages[0].Context().Done():
			return messages[0].Context().Err()
		}
	}
	return g.Outbox.Publish(topic, messages...)
}

// Who repeats a request because its answer is late does not have it from its beginning once more, nor twice.
func TestARepeatedRequestIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.insert(10, 10)
	outbox := &gate{consumertest.NewOutbox(), "a", make(chan struct{})}
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, requests.Close()) })
	config := consumertest.Relaying()
	config.Requests, config.PageEvents, config.StartAtHead = requests, 2, true
	it, err := relay.New(b.Store, b.Pool, outbox, config)
	require.NoError(t, err)
	b.Run(it.Run)
	request := relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "a", ID: "1", Events: 6, Expires: time.Hour}
	ask(t, requests, request)
	outbox.open <- struct{}{}
	ask(t, requests, request)
	count := func() (events int) {
		for _, page := range pagesOf(t, outbox.Of("a")) {
			events += len(page.Events)
		}
		return events
	}
	eventually := func(what string, is func() bool) { // with the gate open
		t.Helper()
		b.Eventually(what, func() bool {
			select {
			case outbox.open <- struct{}{}:
			default:
			}
			return is()
		})
	}
	settled := func() { // requests are taken in order: what came before this one is in its place
		t.Helper()
		n := len(outbox.Of("b"))
		ask(t, requests, relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "b", Events: 1})
		eventually("another's answer", func() bool { return len(outbox.Of("b")) > n })
	}
	settled()
	eventually("the answer", func() bool { return count() >= 6 })
	settled()
	ask(t, requests, request)
	settled()
	require.Equal(t, 6, count())
	request.ID = "2"
	ask(t, requests, request)
	eventually("another request is another one", func() bool { return count() == 12 })
}

func TestAskersTakeTurns(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.insert(50, 10)
	outbox := &gate{consumertest.NewOutbox(), "long", make(chan struct{})}
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, requests.Close()) })
	config := consumertest.Relaying()
	config.Requests, config.PageEvents, config.StartAtHead = requests, 1, true
	it, err := relay.New(b.Store, b.Pool, outbox, config)
	require.NoError(t, err)
	b.Run(it.Run)
	ask(t, requests, relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "long", Events: 16})
	outbox.open <- struct{}{} // it has begun
	ask(t, requests, relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "short", Events: 2})
	require.Eventually(t, func() bool {
		select {
		case outbox.open <- struct{}{}:
		default:
		}
		return len(outbox.Of("short")) == 2
	}, time.Minute, time.Millisecond)
	require.Less(t, len(outbox.Of("long")), 10, "a long answer lets others have their turns")

	ask(t, requests, relay.HistoryRequest{Topic: relay.DefaultTopic, After: 40, ReplyTo: "long", Events: 1})
	require.Eventually(t, func() bool {
		select {
		case outbox.open <- struct{}{}:
		default:
		}
		messages := outbox.Of("long")
		return messages[len(messages)-1].Metadata[messaging.MetaPrevious] == "40"
	}, time.Minute, time.Millisecond, "a newer request of the same asker replaces it")
	require.Less(t, len(outbox.Of("long")), 16)
}
