package messaging_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// What is not there is noticed when it is given, not by a nil pointer later, and so is
// a name that no event has.
func TestConstructorsRefuse(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var none *pgstore.Store
	t.Run("a subscriber", func(t *testing.T) {
		t.Parallel()
		_, err := messaging.NewSubscriber(none, (*consumer.Store)(nil), messaging.SubscriberConfig{ConsumerGroup: "g", Config: consumer.Config{HangTimeout: -1}})
		require.EqualError(t, err, `messaging.NewSubscriber: the log is nil
messaging.SubscriberConfig: HangTimeout is negative
messaging.SubscriberConfig: ConsumerGroup needs a consumer.LeaseStore`)
	})
	t.Run("a subscription to a name that no event has", func(t *testing.T) {
		t.Parallel()
		_, err := b.Subscriber(consumertest.Grouped("g")).Subscribe(t.Context(), "Deposit")
		require.ErrorIs(t, err, eventsourced.ErrUnknownEvent)
		require.EqualError(t, err, "subscribe to Deposit: unknown event: no event of the registry has that name")
		config := consumertest.Grouped("g")
		config.Unregistered = true
		_, err = b.Subscriber(config).Subscribe(t.Context(), "Deposit")
		require.NoError(t, err)
	})
	t.Run("a publisher", func(t *testing.T) {
		t.Parallel()
		require.PanicsWithValue(t, "messaging.NewPublisher: the store is nil, or has no registry", func() { messaging.NewPublisher(none) })
	})
}
