package reactor_test

import (
	"context"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// For each deposit, a tenth of it goes to another account. The command has an id that follows
// from the event: if the event comes again, the command is not carried out again.
func ExampleReactor() {
	check := consumertest.Check
	bank, end := consumertest.NewExample() // a database with a log
	defer end()
	accounts := eventsourced.NewRepository[consumertest.Account](bank.Store, "bank.Account", eventsourced.RepositoryConfig{})

	tithe := reactor.On(func(ctx context.Context, e *consumertest.Deposited) error {
		cause := eventsourced.FromContext(ctx)
		if cause.Stream.AggregateID == "church" {
			return nil
		}
		ctx = eventsourced.WithCommand(ctx, eventsourced.CommandID(cause, "tithe"))
		_, err := accounts.Update(ctx, "church", func(a *consumertest.Account) error {
			return eventsourced.Record(a, &consumertest.Deposited{Amount: e.Amount / 10})
		})
		return err
	})
	tithes, err := reactor.New(bank.Store, bank.Pool, reactor.Config{
		Config: consumer.Config{Logger: consumertest.Reacting().Logger},
		Name:   "tithes",
	}, tithe)
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tithes.Run(ctx) }()

	deposited := bank.Record(&consumertest.Deposited{Amount: 50})
	bank.Eventually("all is handled", func() bool {
		status, err := tithes.Status(ctx)
		return err == nil && status.State == consumer.Live && status.Position > deposited.Position && status.Behind == 0
	})
	stop()
	check(<-ended)
	for event, err := range bank.Store.ReadStream(context.Background(), eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "church"}, 0) {
		check(err)
		fmt.Println(string(event.Payload), "because of a deposit:", event.Metadata[eventsourced.MetaCausation] == deposited.ID.String())
	}
	// Output: {"Amount":5} because of a deposit: true
}
