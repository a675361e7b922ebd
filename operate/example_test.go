package operate_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview"
)

// deposits is the projection of the example.
func deposits(version int) readview.Projection {
	return readview.Projection{
		Name: "deposits", Version: version, Tables: []string{"deposit"},
		Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *bank.Deposited) error {
			return readview.Exec(ctx, tx, `INSERT INTO deposit VALUES ($1)`, e.Amount)
		})},
	}
}

// A program mounts the commands with a few lines. Its main calls operate.Main.
func Example() {
	ctx := context.Background()
	test := &exampleTest{}
	defer test.end()
	pool := testdb.New(test).Pool
	check(migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	_, err := pool.Exec(ctx, `CREATE TABLE deposit (amount BIGINT)`)
	check(err)
	store := pgstore.New(pool, bank.Registry(), pgstore.Config{})
	defer store.Close()
	_, err = bank.Accounts(store).Update(ctx, "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 5}) })
	check(err)

	commands := operate.New(func(_ *cobra.Command, do func(operate.System) error) error {
		manager, err := readview.NewManager(nil, store, pool, readview.Config{}, deposits(1))
		if err != nil {
			return err
		}
		return do(operate.System{Manager: manager, Log: store, Pool: pool})
	}, operate.Config{Program: "bank"})
	root := &cobra.Command{Use: "bank"}
	root.AddCommand(commands.Readviews())

	for _, line := range []string{"readviews ready", "readviews pause deposits"} {
		fmt.Println(operate.Run(ctx, root, strings.Fields(line), nil, os.Stdout, os.Stderr))
	}
	// Output:
	// PROJECTION  VERDICT  DEPLOYED  THIS PROGRAM  WHY
	// deposits    new      0         1             -
	// 0
	// paused deposits
	// 0
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

func check(err error) {
	if err != nil {
		panic(err)
	}
}
