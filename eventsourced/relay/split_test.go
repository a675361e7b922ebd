package relay_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// evolve fills a log with what an older program stored and returns what it is today: two
// parts, a renamed one, none, and two parts.
func (b *bank) evolve() (parts [][]eventsourced.Recorded) {
	b.T.Helper()
	for _, stored := range b.Evolve(
		shared.Old("Registered", `{"Name": "Ann", "Town": "Mora"}`), shared.Old("Moved", `{"Town": "Falun"}`),
		shared.Old("Registered", `{}`), shared.Old("Registered", `{"Name": "Bo", "Town": "Orsa"}`)) {
		now, err := shared.Evolved().Upcast(b.T.Context(), stored)
		require.NoError(b.T, err)
		parts = append(parts, now)
	}
	return parts
}

func TestPartsOfAnEventShareAMessage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	parts := b.evolve()
	outbox := consumertest.NewOutbox()
	ask := b.answers(outbox, consumertest.Relaying())
	messages := b.Published(outbox, relay.DefaultTopic, 3)
	consumertest.RequireChain(t, "0", messages)
	for i, want := range [][]eventsourced.Recorded{parts[0], parts[1], parts[3]} {
		page, err := relay.UnmarshalPage(messages[i])
		require.NoError(t, err)
		require.Equal(t, want[0].ID.String(), messages[i].UUID, "the same each time")
		require.Equal(t, consumertest.IDsOf(want), consumertest.IDsOf(page.Events))
		require.Equal(t, want[0].Position, page.UpTo)
		for j, part := range page.Events {
			require.Equal(t, want[j].Name, part.Name)
			require.Equal(t, page.UpTo, part.Position)
			require.JSONEq(t, string(want[j].Payload), string(part.Payload))
		}
	}

	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "asker"})
	ids, _ := b.history(outbox, "asker", 0)
	require.Equal(t, consumertest.IDsOf(append(append(parts[0], parts[1]...), parts[3]...)), ids, "and in its history")
}

func TestPartsOfAnEventMayLeaveByThemselves(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	parts := b.evolve()
	t.Run("to a topic each", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		outbox, config := consumertest.NewOutbox(), consumertest.Relaying()
		config.Name, config.Topic = "topics", func(e eventsourced.Recorded) string { return e.Name }
		b.Relay(outbox, config)
		require.Equal(t, consumertest.IDsOf([]eventsourced.Recorded{parts[0][1], parts[1][0], parts[3][1]}), ids(b.Published(outbox, "Relocated", 3)))
		named := b.Published(outbox, "Named", 2)
		require.Equal(t, consumertest.IDsOf([]eventsourced.Recorded{parts[0][0], parts[3][0]}), ids(named))
		consumertest.RequireChain(t, "0", named)
		consumertest.RequireChain(t, "0", outbox.Of("Relocated"))
	})
	t.Run("when only one is published", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		outbox, config := consumertest.NewOutbox(), consumertest.Relaying()
		config.Name, config.Names = "names", []string{"Named"}
		b.Relay(outbox, config)
		named := b.Published(outbox, relay.DefaultTopic, 2)
		require.Equal(t, consumertest.IDsOf([]eventsourced.Recorded{parts[0][0], parts[3][0]}), ids(named))
		require.Equal(t, "Named", named[0].Metadata[messaging.MetaName], "a message like any other")
		consumertest.RequireChain(t, "0", named)
	})
}

func ids(messages []*message.Message) (all []string) {
	for _, msg := range messages {
		all = append(all, msg.UUID)
	}
	return all
}
