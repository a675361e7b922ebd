package messaging_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// replays is a relay with a Pub/Sub for requests.
func (b *bank) replays(outbox *outbox, config messaging.RelayConfig) (ask func(messaging.ReplayRequest)) {
	b.t.Helper()
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	b.t.Cleanup(func() { require.NoError(b.t, requests.Close()) })
	config.Requests = requests
	b.relay(outbox, config)
	return func(request messaging.ReplayRequest) {
		b.t.Helper()
		msg, err := messaging.MarshalReplayRequest(request)
		require.NoError(b.t, err)
		require.NoError(b.t, requests.Publish("relay.requests", msg))
	}
}

// history returns the events of the pages that answer a request, and how many pages
// there are.
func (b *bank) history(outbox *outbox, topic string, after eventsourced.Position) (ids []string, pages int) {
	b.t.Helper()
	b.eventually("the last page", func() bool {
		messages := outbox.of(topic)
		return len(messages) > 0 && messages[len(messages)-1].Metadata[messaging.MetaLast] == "true"
	})
	for _, msg := range outbox.of(topic) {
		page, err := messaging.UnmarshalPage(msg)
		require.NoError(b.t, err)
		require.Equal(b.t, after, page.After, "the pages follow each other")
		after = page.UpTo
		ids = append(ids, idsOf(page.Events)...)
		pages++
	}
	return ids, pages
}

func TestReplays(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.deposit(10)
	outbox := newOutbox()
	config := relaying()
	config.Names = []string{"Deposited"}
	ask := b.replays(outbox, config)
	b.published(outbox, messaging.DefaultTopic, 10)

	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, ReplyTo: "all"})
	ids, pages := b.history(outbox, "all", 0)
	require.Equal(t, idsOf(deposits), ids)
	require.Equal(t, 1, pages, "history travels in pages")

	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, After: deposits[6].Position, ReplyTo: "some"})
	ids, _ = b.history(outbox, "some", deposits[6].Position)
	require.Equal(t, idsOf(deposits[7:]), ids)

	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, After: deposits[9].Position, ReplyTo: "none"})
	ids, _ = b.history(outbox, "none", deposits[9].Position)
	require.Empty(t, ids, "that nothing is missing is an answer, too")

	ask(messaging.ReplayRequest{Topic: "other", ReplyTo: "of another topic"})
	ids, _ = b.history(outbox, "of another topic", 0)
	require.Empty(t, ids)

	ahead := deposits[9].Position + 1_000_000_000
	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, After: ahead, ReplyTo: "from the future"})
	ids, _ = b.history(outbox, "from the future", ahead)
	require.Empty(t, ids)
}

func TestPagesOfHistoryAreBounded(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	const events = 2500
	_, err := b.pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT n, gen_random_uuid(), 'Deposited', 'bank.Account', 'a', n, now(), '{"Amount":1}' FROM generate_series(1, $1) n`, events)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `UPDATE events SET payload = ('{"Text":"' || repeat('x', 400000) || '"}')::json WHERE tstamp > $1`, events-6)
	require.NoError(t, err)
	outbox := newOutbox()
	ask := b.replays(outbox, relaying())
	b.eventually("all is published", func() bool { return len(outbox.of(messaging.DefaultTopic)) == events })
	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, ReplyTo: "all"})
	ids, pages := b.history(outbox, "all", 0)
	require.Len(t, ids, events)
	require.GreaterOrEqual(t, pages, 4, "a thousand events or a megabyte each")
	for _, msg := range outbox.of("all") {
		require.Less(t, len(msg.Payload), 2<<20)
	}
}

func TestHistoryMeetsLiveMessages(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.deposit(5)
	outbox := newOutbox()
	ask := b.replays(outbox, relaying())
	for range 10 {
		b.deposit(5)
		ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, ReplyTo: messaging.DefaultTopic}) // among the live ones
		b.deposit(5)
	}
	lasts := func() (n int) {
		for _, msg := range outbox.of(messaging.DefaultTopic) {
			if msg.Metadata[messaging.MetaLast] != "" {
				n++
			}
		}
		return n
	}
	b.eventually("ten answers", func() bool { return lasts() == 10 })
	require.Eventually(t, func() bool {
		count := 0
		for _, msg := range outbox.of(messaging.DefaultTopic) {
			if msg.Metadata[messaging.MetaEvents] == "" {
				count++
			}
		}
		return count == 105
	}, time.Minute, 5*time.Millisecond)
	// Who knew nothing before an answer has to be able to go on after it, although
	// it has passed over the live messages that came before.
	var answered *messaging.Page
	for _, msg := range outbox.of(messaging.DefaultTopic) {
		page, err := messaging.UnmarshalPage(msg)
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

func TestBadReplayRequestsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, requests.Close()) })
	logger, refused := logSignal("request for history refused")
	config := relaying()
	config.Requests, config.Logger = requests, logger
	outbox := newOutbox()
	b.relay(outbox, config)
	require.NoError(t, requests.Publish("relay.requests", message.NewMessage("1", []byte("{"))))
	b.wait(refused, "it is logged")
	msg, err := messaging.MarshalReplayRequest(messaging.ReplayRequest{Topic: "t", ReplyTo: "next"})
	require.NoError(t, err)
	require.NoError(t, requests.Publish("relay.requests", msg))
	b.history(outbox, "next", 0) // the next one is served
}

// One request that can't be answered does not keep others from their history.
func TestRequestThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.deposit(3)
	outbox := newOutbox()
	outbox.refuse = func(topic string, _ []*message.Message) error {
		if topic == "refused" {
			return errRefused
		}
		return nil
	}
	ask := b.replays(outbox, relaying())
	b.published(outbox, messaging.DefaultTopic, 3)
	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, ReplyTo: "refused"})
	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, ReplyTo: "next"})
	ids, _ := b.history(outbox, "next", 0)
	require.Equal(t, idsOf(deposits), ids)
	require.Empty(t, outbox.of("refused"))
}
