package readviewtest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

type BookAdded struct {
	eventsourced.BaseEvent
	Title string
}

// addBook is the handler to be tested.
func addBook(ctx context.Context, tx readview.Tx, e *BookAdded) error {
	return readview.Exec(ctx, tx, `INSERT INTO book (id, title) VALUES ($1, $2)`, e.EventAggregateId, e.Title)
}

// The test of a handler: it may be called with a plain transaction of database/sql.
func ExampleNewDatabase() {
	test := func(t testing.TB) { // func TestAddBook(t *testing.T)
		db := readviewtest.NewDatabase(t).SQL()
		_, err := db.ExecContext(t.Context(), `CREATE TABLE book (id TEXT, title TEXT)`)
		require.NoError(t, err)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback()) }()

		event := &BookAdded{BaseEvent: eventsourced.BaseEvent{EventAggregateId: "1"}, Title: "Dune"}
		require.NoError(t, addBook(t.Context(), tx, event))

		var title string
		require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT title FROM book WHERE id = '1'`).Scan(&title))
		fmt.Println(title)
	}
	run(test)
	// Output: Dune
}

// run runs a test where go test does not.
func run(test func(testing.TB)) {
	t := &exampleTest{}
	test(t)
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

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
func (*exampleTest) FailNow()                     { panic("the test fails") }
func (t *exampleTest) Cleanup(cleanup func())     { t.cleanups = append(t.cleanups, cleanup) }
