package watermillsql_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/watermillsql"
)

func Example() {
	ctx := context.Background()
	server, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{}) // yours is there already
	check(err)
	defer func() { check(server.Close()) }()
	pool, err := pgxpool.New(ctx, server.URL())
	check(err)
	defer pool.Close()
	check(migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), consumer.Migrations()))
	registry, err := eventsourced.NewRegistry(eventsourced.Type[Deposited]("Deposited"))
	check(err)
	store := pgstore.New(pool, registry, pgstore.Config{})
	defer store.Close()

	adapter, err := watermillsql.NewAdapter(registry, watermillsql.Config{})
	check(err)
	db := stdlib.OpenDBFromPool(pool)
	defer func() { check(db.Close()) }()
	subscriber, err := sql.NewSubscriber(db, sql.SubscriberConfig{
		ConsumerGroup:  "mails",
		SchemaAdapter:  adapter,
		OffsetsAdapter: adapter,
	}, watermill.NopLogger{})
	check(err)
	defer func() { check(subscriber.Close()) }()

	accounts := eventsourced.NewRepository[Account](store, "bank.Account", eventsourced.RepositoryConfig{})
	_, err = accounts.Update(ctx, "anna", func(a *Account) error { return eventsourced.Record(a, &Deposited{Amount: 5}) })
	check(err)

	messages, err := subscriber.Subscribe(ctx, "Deposited")
	check(err)
	msg := <-messages
	fmt.Println(msg.Metadata.Get(messaging.MetaName), msg.Metadata.Get(messaging.MetaAggregateID), string(msg.Payload))
	msg.Ack()
	// Output: Deposited anna {"Amount":5}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
