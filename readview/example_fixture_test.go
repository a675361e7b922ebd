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
// repository, and a manager that runs.
type exampleBank struct {
	pool     *pgxpool.Pool
	store    *pgstore.Store
	accounts *eventsourced.Repository[Account]
	manager  *readview.Manager // of the projections, nil without any
	end      func()
}

func newExampleBank(projections ...readview.Projection) *exampleBank {
	ctx, stop := context.WithCancel(context.Background())
	test := &exampleTest{}
	pool := testdb.New(test).Pool
	check(migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	_, err := pool.Exec(ctx, accountTable)
	check(err)
	store := pgstore.New(pool, registry(), pgstore.Config{})
	b := &exampleBank{pool: pool, store: store, accounts: newAccounts(store)}
	done := make(chan error, 1)
	done <- nil
	if len(projections) > 0 {
		b.manager, err = readview.NewManager(nil, store, pool, readview.Config{Config: consumer.Config{Logger: fast().Logger}}, projections...)
		check(err)
		<-done
		go func() { done <- b.manager.Run(ctx) }()
	}
	b.end = func() {
		stop()
		check(<-done)
		store.Close()
		test.end()
	}
	return b
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
