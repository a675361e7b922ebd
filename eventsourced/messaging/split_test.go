package messaging_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestPartsOfAnEventAreMessages(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	stored := b.Evolve(shared.Old("Registered", `{"Name": "Ann", "Town": "Mora"}`), shared.Old("Registered", `{}`), shared.Old("Moved", `{"Town": "Falun"}`))
	parts, err := shared.Evolved().Upcast(t.Context(), stored[0])
	require.NoError(t, err)
	require.Len(t, parts, 2)
	t.Run("in order, and the position moves after the last one", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		subscriber := b.Subscriber(consumertest.Grouped("g"))
		messages := b.Subscribe(subscriber, messaging.AllEvents)
		b.Receive(messages, parts[0]).Ack()
		second := b.Receive(messages, parts[1])
		require.Equal(t, "Relocated", second.Metadata[messaging.MetaName])
		require.Zero(t, b.Position(messaging.AllEvents))
		second.Nack()
		b.Receive(messages, parts[1]) // it alone comes again
		require.NoError(t, subscriber.Close())

		messages = b.Subscribe(b.Subscriber(consumertest.Grouped("g")), messaging.AllEvents)
		b.Receive(messages, parts[0]).Ack() // the next process gets both
		b.Receive(messages, parts[1]).Ack()
		last := b.Receive(messages, stored[2]) // what is nothing today is passed over
		require.Equal(t, stored[1].Position, b.Position(messaging.AllEvents))
		last.Ack()
	})
	t.Run("of their own topics", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		messages := b.Subscribe(b.Subscriber(consumertest.Grouped("g")), "Relocated")
		b.Receive(messages, parts[1]).Ack()
		b.Receive(messages, stored[2]).Ack() // by its name of today
		b.Eventually("the position is at the end", func() bool { return b.Position("Relocated") == stored[2].Position })
	})
	t.Run("that tell which one they are", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		msg := b.Next(b.Subscribe(b.Subscriber(consumertest.Grouped("")), "Named"))
		require.Equal(t, &parts[0], eventsourced.FromContext(msg.Context()))
		msg.Ack()
	})
}
