package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

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

// A reaction whose effect is in the same database: the letter is written exactly once, whatever crashes.
func ExampleOnTx() {
	check := consumertest.Check
	ctx, stop := context.WithCancel(context.Background())
	bank, end := consumertest.NewExample()
	defer end()
	_, err := bank.Pool.Exec(ctx, `CREATE TABLE letter (account TEXT, text TEXT)`)
	check(err)

	thanks := reactor.OnTx(func(ctx context.Context, tx pgx.Tx, e *consumertest.Deposited) error {
		_, err := tx.Exec(ctx, `INSERT INTO letter VALUES ($1, $2)`, e.AggregateID(), fmt.Sprintf("Thank you for %d.", e.Amount))
		return err
	})
	letters, err := reactor.New(bank.Store, bank.Pool, reactor.Config{
		Config: consumer.Config{Logger: consumertest.Reacting().Logger},
		Name:   "letters",
	}, thanks)
	check(err)
	ended := make(chan error, 1)
	go func() { ended <- letters.Run(ctx) }()

	bank.RecordFor("anna", &consumertest.Deposited{Amount: 50})
	var text string
	bank.Eventually("the letter is written", func() bool {
		return bank.Pool.QueryRow(ctx, `SELECT text FROM letter WHERE account = 'anna'`).Scan(&text) == nil
	})
	fmt.Println(text)
	stop()
	check(<-ended)
	// Output: Thank you for 50.
}

// An event that can't be handled is put aside, with the later ones of its stream; others go on. Once the reason is
// gone, somebody resumes it.
func ExampleParking() {
	check := consumertest.Check
	ctx, stop := context.WithCancel(context.Background())
	bank, end := consumertest.NewExample()
	defer end()

	var closed atomic.Bool
	closed.Store(true)
	tell := reactor.On(func(context.Context, *consumertest.Deposited) error {
		if closed.Load() {
			return reactor.Park(errors.New("the office is closed"))
		}
		return nil
	})
	office, err := reactor.New(bank.Store, bank.Pool, reactor.Config{
		Config: consumer.Config{Logger: consumertest.Reacting().Logger, PollInterval: 100 * time.Millisecond},
		Name:   "office",
	}, tell)
	check(err)
	ended := make(chan error, 1)
	go func() { ended <- office.Run(ctx) }()

	bank.RecordFor("anna", &consumertest.Deposited{Amount: 50})
	parking := reactor.NewParking(bank.Consumers, "office")
	parked := func() (all []reactor.ParkedEvent) {
		all, err := parking.Parked(ctx)
		check(err)
		return all
	}
	bank.Eventually("the event is parked", func() bool { return len(parked()) == 1 })
	fmt.Println(parked()[0].Stream, parked()[0].Error)

	closed.Store(false)
	resumed, err := parking.ResumeAll(ctx)
	check(err)
	bank.Eventually("nothing is parked", func() bool { return len(parked()) == 0 })
	fmt.Println(resumed, "resumed")
	stop()
	check(<-ended)
	// Output:
	// bank.Account/anna the office is closed
	// 1 resumed
}
