package relay_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// What leaves the bank are its deposits, in a form of their own. The broker of this example is in
// memory: package amqpbus has one that keeps what it has confirmed.
func ExampleRelay() {
	check := consumertest.Check
	bank, end := consumertest.NewExample() // a database with a log
	defer end()
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	ctx, stop := context.WithCancel(context.Background())
	messages, err := broker.Subscribe(ctx, "bank.events")
	check(err)

	publishing, err := relay.New(bank.Store, bank.Pool, broker, relay.Config{
		Config: consumer.Config{Logger: consumertest.Relaying().Logger},
		Topic:  func(eventsourced.Recorded) string { return "bank.events" },
		Names:  []string{"Deposited"},
		Translate: func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
			event.Name = "bank.Deposited" // others may rely on that name for ever
			return event, nil
		},
	})
	check(err)
	ended := make(chan error, 1)
	go func() { ended <- publishing.Run(ctx) }()

	bank.Record(&consumertest.Renamed{First: "Anna"}) // stays inside
	bank.Record(&consumertest.Deposited{Amount: 5})
	msg := <-messages
	fmt.Println(msg.Metadata[messaging.MetaName], string(msg.Payload))
	msg.Ack()
	stop()
	check(<-ended)
	// Output: bank.Deposited {"Amount":5}
}
