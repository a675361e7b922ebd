package relay_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestAnswersTellWhereTheRelayIs(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	outbox := consumertest.NewOutbox()
	config := consumertest.Relaying()
	logger, logged := consumertest.LogSignal("a consumer knows more than was published, and the log does not have it: was it restored from a backup?")
	config.Logger = logger
	ask := b.answers(outbox, config)
	head := func(topic string) eventsourced.Position {
		b.Eventually("the answer", func() bool { return len(outbox.Of(topic)) > 0 })
		page, err := relay.UnmarshalPage(outbox.Of(topic)[0])
		require.NoError(t, err)
		return page.Head
	}
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, After: 5, ReplyTo: "of an empty log"})
	require.EqualValues(t, 1, head("of an empty log"), "below what any consumer of an event knows, and not unknown")
	events := b.Deposit(3)
	b.Published(outbox, relay.DefaultTopic, 3)
	page, err := relay.UnmarshalPage(outbox.Of(relay.DefaultTopic)[0])
	require.NoError(t, err)
	require.Zero(t, page.Head, "a live message does not tell")
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "all"})
	b.Eventually("it is there", func() bool { return len(outbox.Of("all")) > 0 })
	require.Equal(t, events[2].Position, head("all"))
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, After: events[2].Position + 1, ReplyTo: "ahead"})
	require.Equal(t, events[2].Position, head("ahead"))
	b.Wait(logged, "the relay logs it")
}

// What was sent and not confirmed, as when the broker crashes, is known to who has received it. That is no proof of a backup.
func TestAnswerToWhoKnowsWhatWasNotConfirmed(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	outbox := consumertest.NewOutbox()
	var lost atomic.Bool
	outbox.Refuse = func(topic string, messages []*message.Message) error {
		if topic != relay.DefaultTopic || !lost.Load() {
			return nil
		}
		outbox.Messages["delivered"] = append(outbox.Messages["delivered"], messages...)
		return consumertest.ErrRefused
	}
	ask := b.answers(outbox, consumertest.Relaying())
	b.Deposit(3)
	b.Published(outbox, relay.DefaultTopic, 3)
	lost.Store(true)
	events := b.Deposit(2)
	b.Published(outbox, "delivered", 2)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, After: events[0].Position, ReplyTo: "who knows"})
	b.Eventually("the answer", func() bool { return len(outbox.Of("who knows")) > 0 })
	page, err := relay.UnmarshalPage(outbox.Of("who knows")[0])
	require.NoError(t, err)
	require.Equal(t, []eventsourced.Position{events[0].Position, events[0].Position, events[0].Position}, []eventsourced.Position{page.After, page.UpTo, page.Head})
	lost.Store(false)
	consumertest.RequireChain(t, "0", b.Published(outbox, relay.DefaultTopic, 5))
}

// A relay that was cut off while it published saves nothing: the next one has the
// position, and what it sent.
func TestRelayWhoseLeaseIsGoneSavesNothing(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(2)
	config := consumertest.Relaying()
	config.GroupEvents, config.PollInterval = 1, 30*time.Second
	outbox := consumertest.NewOutbox()
	publishing, taken := make(chan struct{}), make(chan struct{})
	it, err := relay.New(b.Store, b.Pool, outbox, config)
	require.NoError(t, err)
	first := true
	relay.SetFailpoint(it, func(point string) {
		if point == "published" && first {
			first = false
			close(publishing)
			<-taken
		}
	})
	stop := b.Run(it.Run)
	b.Wait(publishing, "the first one is out")
	b.Exec(`UPDATE consumers SET node = 'heir/1', lease_until = clock_timestamp() + interval '1 hour', lease_length = interval '1 hour'`)
	rows := func() (rows int, position int64) {
		require.NoError(t, b.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM relay_topics WHERE topic = 'events'), position FROM consumers`).Scan(&rows, &position))
		return rows, position
	}
	close(taken)
	b.Eventually("it notices", func() bool {
		status, err := it.Status(t.Context())
		require.NoError(t, err)
		return status.Node == "heir"
	})
	stop()
	topics, position := rows()
	require.Zero(t, topics)
	require.Zero(t, position)
	require.Equal(t, consumertest.IDsOf(events[:1]), outbox.IDs(relay.DefaultTopic))
}

// Nothing that is called has to do without a connection because one is reading.
func TestOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	query := func(ctx context.Context, b *bank) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return b.Pool.Ping(ctx)
	}
	b := &bank{consumertest.Small(t)}
	deposits := b.Deposit(3)
	config := consumertest.Relaying()
	config.PollInterval = 5 * time.Second
	config.Translate = func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
		return event, query(context.Background(), b)
	}
	outbox := consumertest.NewOutbox()
	ask := b.answers(outbox, config)
	b.Published(outbox, relay.DefaultTopic, 3)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "all"})
	ids, _ := b.history(outbox, "all", 0)
	require.Equal(t, consumertest.IDsOf(deposits), ids)
}
