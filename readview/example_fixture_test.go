package readview_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
)

// exampleBank is what the examples begin with: a database with its tables, a store and a
// repository, and a manager that runs when there are projections.
type exampleBank struct {
	pool     *pgxpool.Pool
	store    *pgstore.Store
	accounts *eventsourced.Repository[Account]
	manager  *readview.Manager // of the projections, nil without any
	ends     []func()
}

func newExampleBank(projections ...readview.Projection) *exampleBank {
	test := &exampleTest{}
	pool := testdb.New(test).Pool
	check(migrate.Run(context.Background(), pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	_, err := pool.Exec(context.Background(), accountTable)
	check(err)
	store := pgstore.New(pool, registry(), pgstore.Config{})
	b := &exampleBank{pool: pool, store: store, accounts: newAccounts(store)}
	b.ends = []func(){test.end, store.Close}
	if len(projections) > 0 {
		b.run(projections...)
	}
	return b
}

// run starts the manager; it ends with the bank.
func (b *exampleBank) run(projections ...readview.Projection) {
	var err error
	b.manager, err = readview.NewManager(nil, b.store, b.pool, readview.Config{Config: consumer.Config{Logger: fast().Logger}}, projections...)
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.manager.Run(ctx) }()
	b.ends = append(b.ends, func() {
		stop()
		check(<-done)
	})
}

func (b *exampleBank) end() {
	for i := len(b.ends) - 1; i >= 0; i-- {
		b.ends[i]()
	}
}

// exampleTest is a test for testdb, where there is none.
type exampleTest struct {
	testing.TB
	cleanups []func()
}

func (*exampleTest) Helper()                      {}
func (*exampleTest) Context() context.Context     { return context.Background() }
func (*exampleTest) Failed() bool                 { return false }
func (*exampleTest) Logf(string, ...any)          {}
func (*exampleTest) Errorf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (*exampleTest) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (t *exampleTest) Cleanup(cleanup func())     { t.cleanups = append(t.cleanups, cleanup) }
func (t *exampleTest) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
