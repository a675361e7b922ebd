package messaging_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func BenchmarkSubscriber(b *testing.B) {
	bank := newBank(b)
	for left := b.N; left > 0; left -= eventsourced.MaxEvents {
		events := make([]eventsourced.EventData, min(left, eventsourced.MaxEvents))
		for i := range events {
			events[i] = eventsourced.EventData{ID: eventsourced.NewEventID(), Name: "Deposited", SchemaVersion: 1, Time: time.Now(), Payload: []byte(`{"Amount": 1}`)}
		}
		_, err := bank.Store.Append(b.Context(), eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "1"}, eventsourced.Any, events)
		require.NoError(b, err)
	}
	messages := bank.Subscribe(bank.Subscriber(consumertest.Grouped("g")), "Deposited")
	b.ResetTimer()
	for range b.N {
		(<-messages).Ack()
	}
}

func BenchmarkPublisher(b *testing.B) {
	publisher := messaging.NewPublisher(newBank(b).Store)
	for b.Loop() {
		require.NoError(b, publisher.Publish("Deposited", newMessage(eventsourced.NewEventID().String(), `{"Amount": 1}`)))
	}
}
