package tracing_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/operate/tracing"
	"github.com/dancefinder/eventsourcing/readview"
)

// A request deposits something. Its trace goes on to the read view, to the reaction and what that
// appends, to the broker, and to the read view of another context. A program has a provider with an exporter; this one
// has one that remembers. The broker is in memory.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))

	tracer := tracing.New(provider, tracing.Config{}) // these three lines switch it on
	config := consumer.Config{Tracer: tracer}
	here, there := newDatabase(), newDatabase()
	store := pgstore.New(here.Pool, bank.Registry(), pgstore.Config{Tracer: tracer})

	accounts := bank.Accounts(store)
	broker := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	manager, err := readview.NewManager(nil, store, here.Pool, readview.Config{Config: config}, amounts("amounts"))
	check(err)
	branch, err := readview.NewManager(nil, nil, there.Pool, readview.Config{Config: config})
	check(err)
	check(branch.AddRemote(amounts("branch"), readview.Feed{Registry: bank.Registry(), Subscriber: broker, Topic: "bank"}))
	publishing, err := relay.New(store, here.Pool, broker, relay.Config{
		Config: config, Names: []string{"Deposited"}, Topic: func(eventsourced.Recorded) string { return "bank" },
	})
	check(err)
	audit, err := reactor.New(store, here.Pool, reactor.Config{Config: config, Name: "audit"}, reactor.On(func(ctx context.Context, _ *bank.Deposited) error {
		_, err := accounts.Update(ctx, "auditor", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Audited{}) })
		return err
	}))
	check(err)
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx, manager, branch, publishing, audit) }()

	request, span := provider.Tracer("bank").Start(ctx, "POST /deposits")
	_, err = accounts.Update(request, "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 5}) })
	check(err)
	span.End()

	fmt.Print(tree(spans, 7))
	stop()
	check(<-ended)
	store.Close()
	here.end()
	there.end()
	// Output:
	// POST /deposits
	//   append bank.Account
	//     apply amounts
	//     apply branch
	//     publish bank
	//     react audit
	//       append bank.Account
}
