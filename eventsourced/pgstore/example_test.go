package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
)

type OrderPlaced struct {
	eventsourced.BaseEvent
	Item string
}

type Basket struct {
	eventsourced.Root
	items []string
}

func (e *OrderPlaced) ApplyTo(b *Basket) { b.items = append(b.items, e.Item) }

// A program makes the tables of all that it uses in one call, at every start.
func Example_migrate() {
	ctx := context.Background()
	pool := database(ctx)
	defer pool.Close()
	components := []migrate.Component{pgstore.Migrations(), readview.Migrations()}
	config := migrate.Config{Schema: "shop"}

	pending, err := migrate.Pending(ctx, pool, config, components...)
	check(err)
	fmt.Println("before:", pending)
	check(migrate.Run(ctx, pool, config, components...))
	pending, err = migrate.Pending(ctx, pool, config, components...)
	check(err)
	fmt.Println("after:", pending)
	// Output:
	// before: [pgstore/0001_log.sql pgstore/0002_archive.sql readview/0001_readviews.sql readview/0002_parked_reason.sql readview/0003_heard.sql readview/0004_topic.sql readview/0005_waits.sql readview/0006_interrupted.sql]
	// after: []
}

// What was appended more than a month ago goes to files. All who read the log are given the directory.
func ExampleStore_Archive() {
	ctx := context.Background()
	pool := database(ctx)
	defer pool.Close()
	check(migrate.Run(ctx, pool, migrate.Config{Schema: "archived"}, pgstore.Migrations()))
	dir, err := os.MkdirTemp("", "archive-*")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	store := pgstore.New(pool, eventsourced.MustRegistry(), pgstore.Config{Schema: "archived", Archive: os.DirFS(dir)})
	defer store.Close()

	report, err := store.Archive(ctx, pgstore.ArchiveOptions{Before: time.Now().AddDate(0, -1, 0), Dir: dir})
	check(err)
	fmt.Println("archived:", report.Events)
	partitions, err := store.Partitions(ctx)
	check(err)
	fmt.Println("files:", len(partitions)-1, "and the table")
	// Output:
	// archived: 0
	// files: 0 and the table
}

// An order, and a row that is no read view, in one transaction: both or neither.
func ExampleStore_AppendTx() {
	ctx := context.Background()
	pool := database(ctx)
	defer pool.Close()
	check(migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations()))
	_, err := pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, pieces INT NOT NULL CHECK (pieces >= 0));
		INSERT INTO stock VALUES ('lamp', 1)`)
	check(err)
	store := pgstore.New(pool, eventsourced.MustRegistry(eventsourced.Type[OrderPlaced]("OrderPlaced")), pgstore.Config{})
	defer store.Close()

	order := func(id string) error {
		events, err := store.Registry().Encode(ctx, &OrderPlaced{Item: "lamp"})
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE stock SET pieces = pieces - 1 WHERE item = 'lamp'`); err != nil {
				return err
			}
			// Last, as all other appends wait from here to the commit.
			_, err := store.AppendTx(ctx, tx, eventsourced.Stream{AggregateName: "shop.Order", AggregateID: id}, eventsourced.NoStream, events)
			return err
		})
	}
	check(order("first"))
	store.Wake() // consumers find it now, and not at their next poll
	fmt.Println("second:", order("second") != nil)
	orders, err := store.CountLog(ctx, eventsourced.LogQuery{AggregateName: "shop.Order"})
	check(err)
	fmt.Println("orders:", orders)
	// Output:
	// second: true
	// orders: 1
}

// An aggregate, and a row that has to be there at once, in the caller's transaction.
func ExampleStore_Tx() {
	ctx := context.Background()
	pool := database(ctx)
	defer pool.Close()
	check(migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations()))
	_, err := pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS invoice (number TEXT PRIMARY KEY)`)
	check(err)
	store := pgstore.New(pool, eventsourced.MustRegistry(eventsourced.Type[OrderPlaced]("OrderPlaced")), pgstore.Config{})
	defer store.Close()
	baskets := eventsourced.NewRepository[Basket](store, "shop.Basket", eventsourced.RepositoryConfig{})

	place := func(item, invoice string) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			_, err := baskets.UpdateTx(ctx, store.Tx(tx), "anna", func(b *Basket) error {
				return eventsourced.Record(b, &OrderPlaced{Item: item})
			})
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO invoice VALUES ($1)`, invoice)
			return err
		})
	}
	check(place("lamp", "7"))
	fmt.Println("the invoice exists:", place("table", "7") != nil)
	basket, err := baskets.Load(ctx, "anna")
	check(err)
	fmt.Println(basket.items)
	// Output:
	// the invoice exists: true
	// [lamp]
}

// The last two orders of a customer, and how many there are.
func ExampleStore_ReadLog() {
	ctx := context.Background()
	pool := database(ctx)
	defer pool.Close()
	config := migrate.Config{Schema: "history"}
	check(migrate.Run(ctx, pool, config, pgstore.Migrations()))
	store := pgstore.New(pool, eventsourced.MustRegistry(eventsourced.Type[OrderPlaced]("OrderPlaced")), pgstore.Config{Schema: config.Schema})
	defer store.Close()
	anna := eventsourced.Stream{AggregateName: "shop.Customer", AggregateID: "anna"}
	for day, item := range []string{"chair", "table", "lamp"} {
		at := eventsourced.BaseEvent{EventTime: time.Date(2026, 1, day+1, 0, 0, 0, 0, time.UTC)}
		events, err := store.Registry().Encode(ctx, &OrderPlaced{BaseEvent: at, Item: item})
		check(err)
		_, err = store.Append(ctx, anna, eventsourced.Any, events)
		check(err)
	}

	query := eventsourced.LogQuery{Streams: []eventsourced.Stream{anna}, Backwards: true, Limit: 2}
	for event, err := range store.ReadLog(ctx, query) {
		check(err)
		fmt.Println(event.Version, event.Name, string(event.Payload))
	}
	count, err := store.CountLog(ctx, eventsourced.LogQuery{Streams: query.Streams, Since: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)})
	check(err)
	fmt.Println("since January 2nd:", count)
	// Output:
	// 3 OrderPlaced {"Item":"lamp"}
	// 2 OrderPlaced {"Item":"table"}
	// since January 2nd: 2
}

// server is that of all examples. Yours is there already.
var server struct {
	sync.Mutex
	*devservices.Postgres
}

func init() {
	testdb.AtEnd(func() error {
		if server.Postgres == nil {
			return nil
		}
		return server.Close()
	})
}

func database(ctx context.Context) *pgxpool.Pool {
	server.Lock()
	defer server.Unlock()
	if server.Postgres == nil {
		started, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{})
		check(err)
		server.Postgres = started
	}
	pool, err := pgxpool.New(ctx, server.URL())
	check(err)
	return pool
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
