package messaging_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// What is not there is noticed when it is given, not by a nil pointer later, and so is
// a name that no event has.
func TestConstructorsRefuse(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var none *pgstore.Store
	t.Run("a relay", func(t *testing.T) {
		t.Parallel()
		_, err := messaging.NewRelay(none, nil, (*outbox)(nil), messaging.RelayConfig{GroupEvents: -1, Requests: (*amqpbus.Subscriber)(nil)})
		require.EqualError(t, err, `messaging.NewRelay: the log is nil
messaging.RelayConfig: GroupEvents is negative
messaging.RelayConfig: Requests is a nil pointer
messaging.NewRelay: the positions are nil
messaging.NewRelay: the publisher is nil`)
		_, err = messaging.NewRelay(b.store, b.positions, newOutbox(), messaging.RelayConfig{Names: []string{"Deposited", "Deposit", "$all"}})
		require.EqualError(t, err, `messaging.RelayConfig: Names has "Deposit", which is no event of the registry
messaging.RelayConfig: Names has "$all", which is no event of the registry`)
	})
	t.Run("a reactor", func(t *testing.T) {
		t.Parallel()
		var nothing func(context.Context, *Deposited) error
		_, err := messaging.NewReactor(nil, nil, messaging.ReactorConfig{}, messaging.On(nothing), messaging.Reaction{})
		require.EqualError(t, err, `reactor "": messaging.ReactorConfig: Name needs 1 to 200 bytes
messaging.NewReactor: the log is nil
messaging.NewReactor: the positions are nil
the reaction to *messaging_test.Deposited is nil
a reaction is not made by On`)
		_, err = messaging.NewReactor(b.store, b.positions, reacting(), messaging.On(nothing))
		require.EqualError(t, err, `reactor "r": the reaction to *messaging_test.Deposited is nil`)
	})
	t.Run("a subscriber", func(t *testing.T) {
		t.Parallel()
		_, err := messaging.NewSubscriber(none, (*messaging.Positions)(nil), messaging.SubscriberConfig{ConsumerGroup: "g", HangTimeout: -1})
		require.EqualError(t, err, `messaging.NewSubscriber: the log is nil
messaging.SubscriberConfig: HangTimeout is negative
messaging.SubscriberConfig: ConsumerGroup needs a PositionStore`)
	})
	t.Run("a subscription to a name that no event has", func(t *testing.T) {
		t.Parallel()
		_, err := b.subscriber(grouped("g")).Subscribe(t.Context(), "Deposit")
		require.ErrorIs(t, err, eventsourced.ErrUnknownEvent)
		require.EqualError(t, err, "subscribe to Deposit: unknown event: no event of the registry has that name")
		config := grouped("g")
		config.Unregistered = true
		_, err = b.subscriber(config).Subscribe(t.Context(), "Deposit")
		require.NoError(t, err)
	})
	t.Run("positions and a publisher", func(t *testing.T) {
		t.Parallel()
		require.PanicsWithValue(t, "messaging.NewPositions: the pool is nil", func() { messaging.NewPositions(nil) })
		require.PanicsWithValue(t, "messaging.NewPublisher: the store is nil, or has no registry", func() { messaging.NewPublisher(none) })
	})
}
