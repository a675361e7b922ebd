package inbox_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/inbox"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
	"github.com/dancefinder/eventsourcing/readview"
)

// For each deposit at the bank the office, another context with a database of its own, records one of
// a tenth: in the transaction that says that the deposit is handled, so exactly once. The broker
// of this example is in memory.
func Example() {
	check := consumertest.Check
	bank, endBank := consumertest.NewExample()
	defer endBank()
	office, endOffice := consumertest.NewExample()
	defer endOffice()
	ctx, stop := context.WithCancel(context.Background())
	check(migrate.Run(ctx, office.Pool, migrate.Config{}, inbox.Migrations()))
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	quiet := consumer.Config{Logger: consumertest.Reacting().Logger}

	bank.Record(&consumertest.Deposited{Amount: 50}) // before the office is there
	publishing, err := relay.New(bank.Store, bank.Pool, broker, relay.Config{Config: quiet, Requests: broker, RequestTopic: "history"})
	check(err)

	accounts := eventsourced.NewRepository[consumertest.Account](office.Store, "office.Account", eventsourced.RepositoryConfig{})
	tithe := reactor.OnTx(func(ctx context.Context, tx pgx.Tx, e *consumertest.Deposited) error {
		_, err := accounts.UpdateTx(ctx, office.Store.Tx(tx), "church", func(a *consumertest.Account) error {
			return eventsourced.Record(a, &consumertest.Deposited{Amount: e.Amount / 10})
		})
		return err
	})
	tithes, err := inbox.New(office.Pool,
		readview.Feed{Registry: consumertest.Registry(), Subscriber: broker, Topic: relay.DefaultTopic, Requests: broker, RequestTopic: "history"},
		reactor.Config{Config: quiet, Name: "tithes", Committed: office.Store.Wake}, tithe)
	check(err)
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx, publishing, tithes) }()

	deposited := bank.Record(&consumertest.Deposited{Amount: 70})
	office.Eventually("all is handled", func() bool {
		status, err := tithes.Status(ctx)
		return err == nil && status.State == consumer.Live && status.Position >= deposited.Position && status.Behind == 0
	})
	stop()
	check(<-ended)
	for event, err := range office.Store.ReadLog(context.Background(), eventsourced.LogQuery{}) {
		check(err)
		fmt.Println(event.Stream, event.Name, string(event.Payload))
	}
	// Output:
	// office.Account/church Deposited {"Amount":5}
	// office.Account/church Deposited {"Amount":7}
}
