package readview_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/readview"
)

// The events of another bounded context come as messages of its relay. What was published before
// the projection was there it asks for. The broker of this example is in memory.
func ExampleManager_AddRemote() {
	ctx, stop := context.WithCancel(context.Background())
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})

	// The bank: its events are published to the topic "bank".
	bank := newExampleBank()
	defer bank.end()
	check(migrate.Run(ctx, bank.pool, migrate.Config{}, relay.Migrations()))
	publishing, err := relay.New(bank.store, bank.pool, broker, relay.Config{
		Topic:        func(eventsourced.Recorded) string { return "bank" },
		Requests:     broker,
		RequestTopic: "bank.history",
	})
	check(err)
	ended := make(chan error, 2)
	go func() { ended <- publishing.Run(ctx) }()
	bank.deposit("anna", 5)

	// The branch office: a database of its own, without a log, and a projection like any other.
	branch := newExampleBank()
	defer branch.end()
	manager, err := readview.NewManager(nil, nil, branch.pool, readview.Config{Config: consumer.Config{Logger: fast().Logger}})
	check(err)
	check(manager.AddRemote(accountProjection, readview.Feed{
		Registry:     registry(),
		Subscriber:   broker,
		Topic:        "bank",
		Requests:     broker,
		RequestTopic: "bank.history",
	}))
	go func() { ended <- manager.Run(ctx) }()
	check(manager.WaitFor(ctx, bank.deposit("anna", 7)))
	fmt.Println(branch.amount("anna"))

	stop()
	check(<-ended)
	check(<-ended)
	// Output: 12
}
