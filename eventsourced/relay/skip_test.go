package relay_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

var errOdd = errors.New("an odd name")

// translatesAllBut is a relay's configuration that can't translate what is renamed.
func translatesAllBut() relay.Config {
	config := consumertest.Relaying()
	config.Translate = func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
		if event.Name == "Renamed" {
			return event, errOdd
		}
		return event, nil
	}
	return config
}

// standsAt waits until the relay stands at an event.
func (b *bank) standsAt(it *relay.Relay, event eventsourced.Recorded) {
	b.T.Helper()
	b.Eventually("the relay stands at the event", func() bool {
		status, err := it.Status(b.T.Context())
		require.NoError(b.T, err)
		return status.Failure != nil && status.Failure.EventID == event.ID
	})
}

func TestSkip(t *testing.T) {
	t.Parallel()
	t.Run("an event whose translation never ends is left out", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		bad := b.Deposit(1)[0]
		ended := make(chan struct{})
		t.Cleanup(func() { close(ended) })
		config := consumertest.Relaying()
		config.HangTimeout = 100 * time.Millisecond
		config.Translate = func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
			<-ended
			return event, nil
		}
		it, err := relay.New(b.Store, b.Pool, consumertest.NewOutbox(), config) // a command's
		require.NoError(t, err)
		skipped, err := it.Skip(eventsourced.WithActor(t.Context(), "ann"), bad.Position, "it hangs")
		require.NoError(t, err)
		require.Equal(t, "translating it has not ended after 100ms", skipped.Error)
	})
	t.Run("an event that can't be translated is left out, by a relay that runs", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		want := b.Deposit(2)
		bad := b.Record(&consumertest.Renamed{})
		want = append(want, b.Deposit(2)...)
		outbox := consumertest.NewOutbox()
		running, _ := b.Relay(outbox, translatesAllBut())
		b.standsAt(running, bad)
		it, err := relay.New(b.Store, b.Pool, outbox, translatesAllBut()) // a command's
		require.NoError(t, err)
		skipped, err := it.Skip(eventsourced.WithActor(t.Context(), "ann"), bad.Position, "told the others by mail")
		require.NoError(t, err)
		messages := b.Published(outbox, relay.DefaultTopic, 4)
		require.Equal(t, consumertest.IDsOf(want), outbox.IDs(relay.DefaultTopic))
		consumertest.RequireChain(t, "0", messages)

		all, err := it.Skipped(t.Context())
		require.NoError(t, err)
		require.Equal(t, []relay.SkippedEvent{skipped}, all)
		require.Equal(t, relay.SkippedEvent{
			Position: bad.Position, EventID: bad.ID, EventName: "Renamed", Error: "an odd name",
			Reason: "told the others by mail", Actor: "ann", SkippedAt: skipped.SkippedAt,
		}, skipped)
		again, err := it.Skip(eventsourced.WithActor(t.Context(), "bob"), bad.Position, "again")
		require.NoError(t, err)
		require.Equal(t, skipped, again)
	})
	t.Run("one that the broker refuses is found out and left out", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		deposits := b.Deposit(5)
		bad := deposits[2]
		outbox := consumertest.NewOutbox()
		outbox.Refuse = func(_ string, messages []*message.Message) error {
			for _, msg := range messages {
				if msg.UUID == bad.ID.String() {
					return consumertest.ErrRefused
				}
			}
			return nil
		}
		it, _ := b.Relay(outbox, consumertest.Relaying())
		b.standsAt(it, bad)
		b.Published(outbox, relay.DefaultTopic, 2)
		_, err := it.Skip(eventsourced.WithActor(t.Context(), "ann"), deposits[3].Position, "by mistake")
		require.ErrorIs(t, err, relay.ErrNotThere)
		_, err = it.Skip(eventsourced.WithActor(t.Context(), "ann"), bad.Position, "too large")
		require.NoError(t, err)
		b.Published(outbox, relay.DefaultTopic, 4)
		require.Equal(t, consumertest.IDsOf(append(deposits[:2:2], deposits[3:]...)), outbox.IDs(relay.DefaultTopic))
	})
	t.Run("nothing else is left out", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		good, bad := b.Deposit(1)[0], b.Record(&consumertest.Renamed{})
		it, err := relay.New(b.Store, b.Pool, consumertest.NewOutbox(), translatesAllBut())
		require.NoError(t, err)
		_, err = it.Skip(eventsourced.WithActor(t.Context(), "ann"), good.Position, "by mistake")
		require.ErrorIs(t, err, relay.ErrNotThere)
		require.ErrorContains(t, err, "can be published")
		_, err = b.Pool.Exec(t.Context(), `UPDATE events SET schema_version = 7 WHERE tstamp = $1`, int64(good.Position))
		require.NoError(t, err)
		_, err = it.Skip(eventsourced.WithActor(t.Context(), "ann"), good.Position, "by an older program")
		require.ErrorIs(t, err, relay.ErrNotThere)
		require.ErrorContains(t, err, "this program is older than the event")
		_, err = it.Skip(eventsourced.WithActor(t.Context(), "ann"), good.Position+1, "by mistake")
		require.ErrorIs(t, err, relay.ErrNotThere)
		require.ErrorContains(t, err, "no event there")
		_, err = it.Skip(eventsourced.WithActor(t.Context(), "ann"), bad.Position, " ")
		require.ErrorContains(t, err, "it takes a reason")
		all, err := it.Skipped(t.Context())
		require.NoError(t, err)
		require.Empty(t, all)
	})
}

// A request for history gets what comes before an event that can't be translated, and all
// but the event once that is left out.
func TestHistoryAroundAnEventThatCannotLeave(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	before := b.Deposit(3)
	bad := b.Record(&consumertest.Renamed{})
	after := b.Deposit(2)
	outbox := consumertest.NewOutbox()
	config := translatesAllBut()
	config.StartAtHead = true
	ask := b.answers(outbox, config)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "up to it"})
	b.Eventually("a page comes", func() bool { return len(outbox.Of("up to it")) > 0 })
	page, err := relay.UnmarshalPage(outbox.Of("up to it")[0])
	require.NoError(t, err)
	require.Equal(t, consumertest.IDsOf(before), consumertest.IDsOf(page.Events))
	require.Equal(t, bad.Position-1, page.UpTo)
	require.True(t, page.Last, "and nothing more comes of this answer")
	require.Equal(t, bad.ID, page.Failure.EventID)
	require.Equal(t, bad.Position, page.Failure.Position)
	require.Equal(t, "Renamed", page.Failure.EventName)
	require.Contains(t, page.Failure.Error, "relay Renamed of bank.Account/account-1")

	it, err := relay.New(b.Store, b.Pool, outbox, config)
	require.NoError(t, err)
	_, err = it.Skip(eventsourced.WithActor(t.Context(), "ann"), bad.Position, "nobody needs it")
	require.NoError(t, err)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "all"})
	ids, _ := b.history(outbox, "all", 0)
	require.Equal(t, consumertest.IDsOf(append(before, after...)), ids)
}
