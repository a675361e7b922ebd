package relay_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// answers is a relay with a Pub/Sub for requests.
func (b *bank) answers(outbox *consumertest.Outbox, config relay.Config) (ask func(relay.HistoryRequest)) {
	b.T.Helper()
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	b.T.Cleanup(func() { require.NoError(b.T, requests.Close()) })
	config.Requests = requests
	b.Relay(outbox, config)
	return func(request relay.HistoryRequest) {
		b.T.Helper()
		msg, err := relay.MarshalHistoryRequest(request)
		require.NoError(b.T, err)
		require.NoError(b.T, requests.Publish("relay.requests", msg))
	}
}

// history returns the events of the pages that answer a request, and how many pages
// there are.
func (b *bank) history(outbox *consumertest.Outbox, topic string, after eventsourced.Position) (ids []string, pages int) {
	b.T.Helper()
	b.Eventually("the last page", func() bool {
		messages := outbox.Of(topic)
		return len(messages) > 0 && messages[len(messages)-1].Metadata[messaging.MetaLast] == "true"
	})
	for _, msg := range outbox.Of(topic) {
		page, err := relay.UnmarshalPage(msg)
		require.NoError(b.T, err)
		require.Equal(b.T, after, page.After, "the pages follow each other")
		after = page.UpTo
		ids = append(ids, consumertest.IDsOf(page.Events)...)
		pages++
	}
	return ids, pages
}

func TestReplays(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.Deposit(10)
	outbox := consumertest.NewOutbox()
	config := consumertest.Relaying()
	config.Names = []string{"Deposited"}
	ask := b.answers(outbox, config)
	b.Published(outbox, relay.DefaultTopic, 10)

	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "all"})
	ids, pages := b.history(outbox, "all", 0)
	require.Equal(t, consumertest.IDsOf(deposits), ids)
	require.Equal(t, 1, pages, "history travels in pages")
	page, err := relay.UnmarshalPage(outbox.Of("all")[0])
	require.NoError(t, err)
	require.Equal(t, "all", page.Asker)

	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, After: deposits[6].Position, ReplyTo: "some"})
	ids, _ = b.history(outbox, "some", deposits[6].Position)
	require.Equal(t, consumertest.IDsOf(deposits[7:]), ids)

	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, After: deposits[9].Position, ReplyTo: "none"})
	ids, _ = b.history(outbox, "none", deposits[9].Position)
	require.Empty(t, ids, "that nothing is missing is an answer, too")

	ask(relay.HistoryRequest{Topic: "other", ReplyTo: "of another topic"})
	ids, _ = b.history(outbox, "of another topic", 0)
	require.Empty(t, ids)

	ahead := deposits[9].Position + 1_000_000_000
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, After: ahead, ReplyTo: "from the future"})
	ids, _ = b.history(outbox, "from the future", ahead)
	require.Empty(t, ids)
}

func TestPagesOfHistoryAreBounded(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	const events = 2500
	_, err := b.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT n, gen_random_uuid(), 'Deposited', 'bank.Account', 'a', n, now(), '{"Amount":1}' FROM generate_series(1, $1) n`, events)
	require.NoError(t, err)
	_, err = b.Pool.Exec(t.Context(), `UPDATE events SET payload = ('{"Text":"' || repeat('x', 400000) || '"}')::json WHERE tstamp > $1`, events-6)
	require.NoError(t, err)
	outbox := consumertest.NewOutbox()
	ask := b.answers(outbox, consumertest.Relaying())
	b.Eventually("all is published", func() bool { return len(outbox.Of(relay.DefaultTopic)) == events })
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "all", Events: 2 * events})
	ids, pages := b.history(outbox, "all", 0)
	require.Len(t, ids, events)
	require.GreaterOrEqual(t, pages, 8, "a thousand events or a quarter of a megabyte each")
	for _, msg := range outbox.Of("all") {
		require.Less(t, len(msg.Payload), 500_000)
		if msg.Metadata[messaging.MetaEvents] != "1" { // one alone may be larger
			require.LessOrEqual(t, len(msg.Payload), relay.DefaultPageBytes)
		}
	}
}

func TestHistoryMeetsLiveMessages(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.Deposit(5)
	outbox := consumertest.NewOutbox()
	ask := b.answers(outbox, consumertest.Relaying())
	for i := range 10 {
		b.Deposit(5)
		ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: relay.DefaultTopic, Asker: fmt.Sprint(i)}) // among the live ones
		b.Deposit(5)
	}
	lasts := func() (n int) {
		for _, msg := range outbox.Of(relay.DefaultTopic) {
			if msg.Metadata[messaging.MetaLast] != "" {
				n++
			}
		}
		return n
	}
	b.Eventually("ten answers", func() bool { return lasts() == 10 })
	require.Eventually(t, func() bool {
		count := 0
		for _, msg := range outbox.Of(relay.DefaultTopic) {
			if msg.Metadata[messaging.MetaEvents] == "" {
				count++
			}
		}
		return count == 105
	}, time.Minute, 25*time.Millisecond)
	// Who knew nothing before an answer has to be able to go on after it, although
	// it has passed over the live messages that came before.
	var answered *relay.Page
	for _, msg := range outbox.Of(relay.DefaultTopic) {
		page, err := relay.UnmarshalPage(msg)
		require.NoError(t, err)
		switch {
		case page.Last:
			answered = &page
		case answered != nil && page.UpTo > answered.UpTo:
			require.LessOrEqual(t, page.After, answered.UpTo, "the live message that follows an answer leaves no gap")
			answered = nil
		}
	}
}

// An answer whose queue is gone is given up at once: its pages are not too large, and the relay is not in trouble.
func TestAnswerToAQueueThatIsGone(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.Deposit(20)
	outbox := consumertest.NewOutbox()
	var tries atomic.Int32
	var gone atomic.Bool
	gone.Store(true)
	outbox.Refuse = func(topic string, _ []*message.Message) error {
		if topic != "back" || !gone.Load() {
			return nil
		}
		tries.Add(1)
		return fmt.Errorf("publish to %s: %w", topic, messaging.ErrUnroutable)
	}
	config := consumertest.Relaying()
	var givenUp <-chan struct{}
	config.Logger, givenUp = consumertest.LogSignal("answer to a request for history given up: its queue is gone")
	ask := b.answers(outbox, config)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "back"})
	b.Wait(givenUp, "a warning")
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "next"})
	b.history(outbox, "next", 0)
	require.EqualValues(t, 1, tries.Load(), "no smaller page is tried, and no other")
	gone.Store(false)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "back"})
	ids, pages := b.history(outbox, "back", 0)
	require.Equal(t, consumertest.IDsOf(deposits), ids)
	require.Equal(t, 1, pages, "nobody takes its pages for too large")
}

// Without a connection nothing is known of a page: it is sent later, as it is.
func TestAnswerWithoutABroker(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.Deposit(20)
	outbox := consumertest.NewOutbox()
	var tries atomic.Int32
	outbox.Refuse = func(topic string, _ []*message.Message) error {
		if topic != "back" || tries.Add(1) > 2 {
			return nil
		}
		return fmt.Errorf("publish to %s: %w", topic, messaging.ErrUnreachable)
	}
	ask := b.answers(outbox, consumertest.Relaying())
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "back"})
	ids, pages := b.history(outbox, "back", 0)
	require.Equal(t, consumertest.IDsOf(deposits), ids)
	require.Equal(t, 1, pages)
	require.EqualValues(t, 3, tries.Load())
}
