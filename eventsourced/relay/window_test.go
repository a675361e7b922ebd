package relay_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// insert fills the log with n deposits, of payloads as large as size.
func (b *bank) insert(n, size int) {
	b.T.Helper()
	_, err := b.Pool.Exec(b.T.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT n, gen_random_uuid(), 'Deposited', 'bank.Account', 'a', n, now(), ('{"Amount":1,"Text":"' || repeat('x', $2) || '"}')::json FROM generate_series(1, $1) n`, n, size)
	require.NoError(b.T, err)
}

func pagesOf(t *testing.T, messages []*message.Message) (pages []relay.Page) {
	t.Helper()
	for _, msg := range messages {
		page, err := relay.UnmarshalPage(msg)
		require.NoError(t, err)
		pages = append(pages, page)
	}
	return pages
}

// answer waits for the end of the answer to a topic, and returns it.
func (b *bank) answer(t *testing.T, outbox *consumertest.Outbox, topic string) []relay.Page {
	t.Helper()
	b.Eventually("the last page to "+topic, func() bool {
		messages := outbox.Of(topic)
		return len(messages) > 0 && messages[len(messages)-1].Metadata[messaging.MetaLast] == "true"
	})
	return pagesOf(t, outbox.Of(topic))
}

func TestAnAnswerIsAWindow(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.insert(100, 10)
	outbox, config := consumertest.NewOutbox(), consumertest.Relaying()
	config.PageEvents, config.StartAtHead = 10, true
	ask := b.answers(outbox, config)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "first", Events: 25})
	pages := b.answer(t, outbox, "first")
	require.Len(t, pages, 3)
	require.Equal(t, []int{10, 10, 5}, []int{len(pages[0].Events), len(pages[1].Events), len(pages[2].Events)})
	require.True(t, pages[2].More())
	require.EqualValues(t, 100, pages[2].Head)

	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, After: pages[2].UpTo, ReplyTo: "next", Bytes: 1})
	require.Len(t, b.answer(t, outbox, "next"), 1, "a page at least")
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "no limit told"})
	require.Len(t, b.answer(t, outbox, "no limit told"), 1)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, After: 95, ReplyTo: "end", Events: 1000})
	pages = b.answer(t, outbox, "end")
	require.Len(t, pages, 1)
	require.False(t, pages[0].More())
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "too much", Events: 1 << 40, Bytes: 1 << 40})
	require.Len(t, b.answer(t, outbox, "too much"), 10)
}

func TestHistoryOfNames(t *testing.T) {
	t.Parallel()
	for name, translate := range map[string]func(eventsourced.Recorded) (eventsourced.Recorded, error){
		"as they are":       nil,
		"as they are named": func(e eventsourced.Recorded) (eventsourced.Recorded, error) { return e, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.insert(3000, 10)
			rare := b.Record(&consumertest.Renamed{})
			last := b.Deposit(1)[0]
			outbox, config := consumertest.NewOutbox(), consumertest.Relaying()
			config.StartAtHead, config.Translate = true, translate
			ask := b.answers(outbox, config)
			ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "rare", Names: []string{"Renamed"}})
			var events []eventsourced.Recorded
			pages := b.answer(t, outbox, "rare")
			for _, page := range pages { // on a slow machine there are signs of life before the last one
				events = append(events, page.Events...)
			}
			require.Equal(t, consumertest.IDsOf([]eventsourced.Recorded{rare}), consumertest.IDsOf(events), "a projection of few events gets few")
			require.Equal(t, last.Position, pages[len(pages)-1].UpTo, "and is at the head")
			ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "none", Names: []string{"Strange"}})
			pages = b.answer(t, outbox, "none")
			require.Empty(t, pages[0].Events)
			require.Equal(t, last.Position, pages[len(pages)-1].UpTo)
		})
	}
}

var errTooLarge = errors.New("maximum payload exceeded")

// refuseLarge is a transport's limit.
func refuseLarge(limit int) func(string, []*message.Message) error {
	return func(_ string, messages []*message.Message) error {
		for _, msg := range messages {
			if len(msg.Payload) > limit {
				return errTooLarge
			}
		}
		return nil
	}
}

func TestPagesThatAreRefusedAreHalved(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.insert(3700, 900)
	outbox := consumertest.NewOutbox()
	var mu sync.Mutex
	refused := 0
	outbox.Refuse = func(topic string, messages []*message.Message) error {
		err := refuseLarge(60_000)(topic, messages)
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			refused++
		}
		return err
	}
	config := consumertest.Relaying()
	config.PageBytes, config.StartAtHead = 1<<20, true
	ask := b.answers(outbox, config)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "all", Events: 4000})
	events := 0
	for _, page := range b.answer(t, outbox, "all") {
		events += len(page.Events)
	}
	require.Equal(t, 3700, events)
	mu.Lock()
	defer mu.Unlock()
	require.Less(t, refused, 10, "the size that works is remembered")
}

// One event that the transport does not take ends the answer, which says so.
func TestEventThatIsTooLargeForTheTransport(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.insert(3, 10)
	b.Exec(`UPDATE events SET payload = ('{"Text":"' || repeat('x', 5000) || '"}')::json WHERE tstamp = 2`)
	outbox := consumertest.NewOutbox()
	outbox.Refuse = refuseLarge(3000)
	config := consumertest.Relaying()
	config.StartAtHead = true
	ask := b.answers(outbox, config)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "all", Events: 10})
	pages := b.answer(t, outbox, "all")
	require.Len(t, pages[0].Events, 1)
	last := pages[len(pages)-1]
	require.Empty(t, last.Events)
	require.EqualValues(t, 1, last.UpTo)
	require.EqualValues(t, 2, last.Failure.Position)
	require.Contains(t, last.Failure.Error, errTooLarge.Error())
}

// A relay that stands at an event tells it who asks.
func TestAnswersTellWhereTheRelayStands(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	before := b.Deposit(1)
	bad := b.Record(&consumertest.Renamed{})
	outbox := consumertest.NewOutbox()
	ask := b.answers(outbox, translatesAllBut())
	b.Published(outbox, relay.DefaultTopic, 1)
	for i := 0; ; i++ { // it has tried by then
		topic := fmt.Sprint(i)
		ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: topic})
		page := b.answer(t, outbox, topic)[0]
		require.Equal(t, consumertest.IDsOf(before), consumertest.IDsOf(page.Events))
		if page.Failure != nil {
			require.Equal(t, bad.ID, page.Failure.EventID)
			break
		}
	}
}
