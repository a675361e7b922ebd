package tracing_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/operate/tracing"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// database has the tables of everything.
type database struct {
	*testdb.DB
	end func()
}

func newDatabase() database {
	t := &exampleTest{}
	db := migrated(testdb.New(t))
	return database{db, t.end}
}

func migrated(db *testdb.DB) *testdb.DB {
	ctx := context.Background()
	check(migrate.Run(ctx, db.Pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations(), relay.Migrations(), reactor.Migrations()))
	_, err := db.Pool.Exec(ctx, `CREATE TABLE amount (amount BIGINT NOT NULL CHECK (amount <> 13))`)
	check(err)
	return db
}

// amounts is a projection.
func amounts(name string) readview.Projection {
	return readview.Projection{Name: name, Handlers: readview.Handlers{readview.On(
		func(ctx context.Context, tx readview.Tx, e *bank.Deposited) error {
			return readview.Exec(ctx, tx, `INSERT INTO amount (amount) VALUES ($1)`, e.Amount)
		})}}
}

// tree waits for so many spans, and returns them as a tree, siblings by their names.
func tree(spans *tracetest.SpanRecorder, n int) string {
	deadline := time.Now().Add(20 * time.Second)
	for len(spans.Ended()) < n && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	all := slices.SortedFunc(slices.Values(spans.Ended()), func(a, b sdk.ReadOnlySpan) int { return cmp.Compare(a.Name(), b.Name()) })
	var out strings.Builder
	var write func(parent trace.SpanID, indent string)
	write = func(parent trace.SpanID, indent string) {
		for _, span := range all {
			if span.Parent().SpanID() == parent {
				fmt.Fprintln(&out, indent+span.Name())
				write(span.SpanContext().SpanID(), indent+"  ")
			}
		}
	}
	write(trace.SpanID{}, "")
	return out.String()
}

// system is a program with traces.
type system struct {
	*testing.T
	*testdb.DB
	provider *sdk.TracerProvider
	spans    *tracetest.SpanRecorder
	config   consumer.Config
	store    *pgstore.Store
	accounts *eventsourced.Repository[bank.Account]
}

func newSystem(t *testing.T, db *testdb.DB, config tracing.Config, options ...sdk.TracerProviderOption) *system {
	t.Helper()
	s := &system{T: t, DB: db, spans: tracetest.NewSpanRecorder()}
	s.provider = sdk.NewTracerProvider(append(options, sdk.WithSpanProcessor(s.spans))...)
	s.use(tracing.New(s.provider, config))
	return s
}

func (s *system) use(tracer *tracing.Tracing) {
	s.config = consumer.Config{
		Tracer: tracer, Logger: slog.New(slog.DiscardHandler), PollInterval: 100 * time.Millisecond, DrainTimeout: time.Second, MaxBackOff: 20 * time.Millisecond,
	}
	s.store = pgstore.New(s.Pool, bank.Registry(), pgstore.Config{Tracer: tracer})
	s.Cleanup(s.store.Close)
	s.accounts = bank.Accounts(s.store)
}

// deposit appends events.
func (s *system) deposit(ctx context.Context, amounts ...int64) eventsourced.Position {
	s.Helper()
	position, err := s.accounts.Update(ctx, "anna", func(a *bank.Account) (err error) {
		for _, amount := range amounts {
			err = errors.Join(err, eventsourced.Record(a, &bank.Deposited{Amount: amount}))
		}
		return err
	})
	require.NoError(s, err)
	return position
}

// events returns the log.
func (s *system) events() (all []eventsourced.Recorded) {
	s.Helper()
	for event, err := range s.store.ReadLog(s.Context(), eventsourced.LogQuery{}) {
		require.NoError(s, err)
		all = append(all, event)
	}
	return all
}

// run runs a consumer until the test ends or stop is called.
func (s *system) run(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	s.Cleanup(func() {
		cancel()
		require.NoError(s, <-done)
	})
}

// project runs a projection.
func (s *system) project(projection readview.Projection) *readview.Manager {
	s.Helper()
	manager, err := readview.NewManager(nil, s.store, s.Pool, readview.Config{Config: s.config, Attempts: 1}, projection)
	require.NoError(s, err)
	s.run(manager.Run)
	return manager
}

// await returns the spans of a name, at least n.
func (s *system) await(name string, n int) (found []sdk.ReadOnlySpan) {
	s.Helper()
	require.Eventually(s, func() bool {
		found = slices.DeleteFunc(s.spans.Ended(), func(span sdk.ReadOnlySpan) bool { return span.Name() != name })
		return len(found) >= n
	}, 20*time.Second, 5*time.Millisecond, "%d spans %q", n, name)
	return found
}

func value(span sdk.ReadOnlySpan, key attribute.Key) string {
	for _, a := range span.Attributes() {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return "-"
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
