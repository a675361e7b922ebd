package metrics_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/operate/metrics"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childReports); url != "" {
		report(url)
	}
	testdb.Main(m)
}

// node is a program with a log, a projection and metrics.
type node struct {
	t        *testing.T
	metrics  *metrics.Metrics
	registry *prometheus.Registry
	accounts *eventsourced.Repository[bank.Account]
	manager  *readview.Manager
	pool     *pgxpool.Pool
}

var errOdd = errors.New("an odd amount")

func newNode(t *testing.T, db *testdb.DB) *node {
	t.Helper()
	n := &node{t: t, pool: db.Pool, registry: prometheus.NewPedanticRegistry()}
	logger := slog.New(slog.DiscardHandler)
	n.metrics = metrics.New(metrics.Config{
		Pool: db.Pool, Interval: time.Nanosecond, Logger: logger,
		Status: func(ctx context.Context) ([]consumer.Status, error) { return n.manager.Status(ctx) },
	})
	t.Cleanup(func() { require.NoError(t, n.metrics.Close(context.Background())) })
	n.registry.MustRegister(n.metrics)
	store := pgstore.New(db.Pool, bank.Registry(), pgstore.Config{Observer: n.metrics})
	t.Cleanup(store.Close)
	n.accounts = bank.Accounts(store)
	var err error
	n.manager, err = readview.NewManager(nil, store, db.Pool, readview.Config{
		Attempts: 1, Config: consumer.Config{Observer: n.metrics, Logger: logger, PollInterval: 200 * time.Millisecond},
	})
	require.NoError(t, err)
	require.NoError(t, n.manager.Add(readview.Projection{Name: "amounts", Tables: []string{"amount"}, Handlers: readview.Handlers{readview.On(
		func(ctx context.Context, tx readview.Tx, e *bank.Deposited) error {
			if e.Amount == 13 {
				return errOdd
			}
			return readview.Exec(ctx, tx, `INSERT INTO amount (amount) VALUES ($1)`, e.Amount)
		})}}))
	return n
}

// deposit appends one event.
func (n *node) deposit(amount int64) eventsourced.Position {
	n.t.Helper()
	position, err := n.accounts.Update(n.t.Context(), "anna", func(a *bank.Account) error {
		return eventsourced.Record(a, &bank.Deposited{Amount: amount})
	})
	require.NoError(n.t, err)
	return position
}

// run runs the projection until the test ends.
func (n *node) run() {
	ctx, stop := context.WithCancel(context.WithoutCancel(n.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- n.manager.Run(ctx) }()
	n.t.Cleanup(func() {
		stop()
		require.NoError(n.t, <-ended)
	})
}

// value returns the value of a metric with these labels, in the order of their names; -1 without.
func (n *node) value(name string, labels ...string) float64 {
	n.t.Helper()
	families, err := n.registry.Gather()
	require.NoError(n.t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var got []string
			for _, label := range metric.GetLabel() {
				got = append(got, label.GetValue())
			}
			if strings.Join(got, " ") != strings.Join(labels, " ") {
				continue
			}
			if histogram := metric.GetHistogram(); histogram != nil {
				return float64(histogram.GetSampleCount())
			}
			return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return -1
}

func newDB(t *testing.T) *testdb.DB {
	t.Helper()
	db := testdb.New(t)
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	_, err := db.Pool.Exec(t.Context(), `CREATE TABLE amount (amount BIGINT)`)
	require.NoError(t, err)
	return db
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	n := newNode(t, newDB(t))
	n.run()
	require.NoError(t, n.manager.WaitFor(t.Context(), n.deposit(1)))
	last := n.deposit(2)
	require.NoError(t, n.manager.WaitFor(t.Context(), last))
	require.EqualValues(t, 2, n.value("consumer_events_total", "projection", "amounts"))
	require.Positive(t, n.value("consumer_page_seconds", "projection", "amounts"))
	require.EqualValues(t, 2, n.value("eventlog_appends_total", "appended"))
	require.EqualValues(t, 2, n.value("eventlog_appended_events_total"))
	require.EqualValues(t, 2, n.value("eventlog_append_seconds"))
	require.EqualValues(t, 1, n.value("consumer_status_up"))
	require.EqualValues(t, last, n.value("consumer_position", "projection", "amounts"))
	require.EqualValues(t, last, n.value("eventlog_head_position"))
	require.EqualValues(t, 1, n.value("consumer_state", "projection", "amounts", "live"))
	require.EqualValues(t, 0, n.value("consumer_debt_events", "projection", "amounts"))

	// What the last verification found, until the tables are others.
	require.EqualValues(t, -1, n.value("consumer_verify_equal", "projection", "amounts"))
	verify := func() {
		_, err := n.manager.Verify(t.Context(), "amounts", readview.VerifyOptions{})
		require.NoError(t, err)
	}
	verify()
	require.EqualValues(t, 1, n.value("consumer_verify_equal", "projection", "amounts"))
	require.EqualValues(t, 0, n.value("consumer_verify_different_rows", "projection", "amounts"))
	require.EqualValues(t, 0, n.value("consumer_verify_failed", "projection", "amounts"))
	told := n.value("consumer_verify_timestamp_seconds", "projection", "amounts")
	require.InDelta(t, time.Now().Unix(), told, 60)
	_, err := n.pool.Exec(t.Context(), `UPDATE amount SET amount = 7`)
	require.NoError(t, err)
	verify()
	require.EqualValues(t, 0, n.value("consumer_verify_equal", "projection", "amounts"))
	require.EqualValues(t, 4, n.value("consumer_verify_different_rows", "projection", "amounts"), "without a key, two lack and two are too many")
	_, err = n.pool.Exec(t.Context(), `CREATE RULE r AS ON DELETE TO amount DO INSTEAD NOTHING`)
	require.NoError(t, err)
	_, err = n.manager.Verify(t.Context(), "amounts", readview.VerifyOptions{})
	require.ErrorIs(t, err, readview.ErrImpossible)
	require.EqualValues(t, 0, n.value("consumer_verify_equal", "projection", "amounts"), "that could not tell")
	_, err = n.pool.Exec(t.Context(), `DROP RULE r ON amount`)
	require.NoError(t, err)
	require.NoError(t, n.manager.ResetProjection(t.Context(), "amounts"))
	require.EqualValues(t, -1, n.value("consumer_verify_equal", "projection", "amounts"))
	require.EqualValues(t, -1, n.value("consumer_verify_different_rows", "projection", "amounts"))
	require.EqualValues(t, -1, n.value("consumer_verify_interval_seconds", "projection", "amounts"), "there is no schedule")
	require.NoError(t, n.manager.WaitFor(t.Context(), last))

	n.deposit(13)
	require.Eventually(t, func() bool { return n.value("consumer_state", "projection", "amounts", "failed") == 1 }, 20*time.Second, 25*time.Millisecond)
	require.EqualValues(t, 0, n.value("consumer_state", "projection", "amounts", "live"))
	require.EqualValues(t, 1, n.value("consumer_failures_total", "event", "projection", "amounts"))
	require.EqualValues(t, 1, n.value("consumer_events_behind", "projection", "amounts"))
	require.Positive(t, n.value("consumer_failing_seconds", "projection", "amounts"))

	problems, err := testutil.GatherAndLint(n.registry)
	require.NoError(t, err)
	require.Empty(t, problems, "what promtool check metrics says")
}

// Who holds the log's lock is noticed while the others wait, not when they have.
func TestAppendThatWaits(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	n := newNode(t, db)
	require.Zero(t, n.value("eventlog_lock_waiting_seconds"))
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	holder := pgstore.New(db.Pool, bank.Registry(), pgstore.Config{})
	t.Cleanup(holder.Close)
	_, err = n.accounts.UpdateTx(t.Context(), holder.Tx(tx), "anna",
		func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 1}) })
	require.NoError(t, err)
	appended := make(chan eventsourced.Position)
	go func() { appended <- n.deposit(2) }()
	require.Eventually(t, func() bool { return n.value("eventlog_lock_waiting_seconds") > 2 }, 30*time.Second, 25*time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	<-appended
	require.Zero(t, n.value("eventlog_lock_waiting_seconds"))
	require.EqualValues(t, 1, n.value("eventlog_lock_wait_seconds"))
}

// Of two nodes one says how consumers stand, and the other one when that has gone.
func TestOneNodeReports(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	first, second := newNode(t, db), newNode(t, db)
	first.deposit(1)
	require.EqualValues(t, 1, first.value("consumer_reporter"))
	require.EqualValues(t, 0, second.value("consumer_reporter"))
	require.EqualValues(t, -1, second.value("consumer_position", "projection", "amounts"))
	require.EqualValues(t, -1, second.value("consumer_status_up"))
	require.EqualValues(t, 0, second.value("eventlog_appends_total", "appended"), "but what it does itself it counts")
	require.NoError(t, first.metrics.Close(t.Context()))
	require.EqualValues(t, 1, second.value("consumer_reporter"))
	require.EqualValues(t, 0, second.value("consumer_position", "projection", "amounts"))
	require.EqualValues(t, 0, first.value("consumer_reporter"))
}

// Two systems in one database have a reporter each, also if their search paths have the tables of both.
func TestEachSchemaHasAReporter(t *testing.T) {
	t.Parallel()
	db, other := newDB(t), newDB(t)
	one, two := db.Schema, other.Schema
	reports := func(schema, path string) float64 {
		pool := db.Pool
		if path != "" {
			config := db.Pool.Config()
			config.ConnConfig.RuntimeParams["search_path"] = path
			var err error
			pool, err = pgxpool.NewWithConfig(t.Context(), config)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
		}
		n := &node{t: t, pool: db.Pool, registry: prometheus.NewPedanticRegistry()}
		n.metrics = metrics.New(metrics.Config{Pool: pool, Schema: schema, Status: func(context.Context) ([]consumer.Status, error) { return nil, nil }})
		t.Cleanup(func() { require.NoError(t, n.metrics.Close(context.Background())) })
		n.registry.MustRegister(n.metrics)
		return n.value("consumer_reporter")
	}
	require.EqualValues(t, 1, reports(one, ""))
	require.EqualValues(t, 1, reports(two, ""), "it is another system")
	require.EqualValues(t, 0, reports(one, ""), "one reports already")
	require.EqualValues(t, 0, reports("", two+", "+one), "the search path leads to tables of which one reports")
	require.EqualValues(t, 0, reports("", "public, "+one), "though another schema comes first")
}

// The node that reports may stand by for what another one runs, and that is no reason to wake somebody.
func TestOneThatAnotherNodeRuns(t *testing.T) {
	t.Parallel()
	ended, told, equal := time.Unix(2000, 0), time.Unix(1000, 0), true
	all := []consumer.Status{
		{Kind: consumer.KindProjection, Name: "here", State: consumer.Live, Node: "a", VerifyEvery: 20 * time.Second,
			Verify: &consumer.Replay{Phase: "failed", Ended: ended, Equal: &equal, Told: told}},
		{Kind: consumer.KindProjection, Name: "there", State: consumer.Standby, Node: "b"},
		{Kind: consumer.KindProjection, Name: "nowhere", State: consumer.Standby},
	}
	n := &node{t: t, registry: prometheus.NewPedanticRegistry()}
	n.metrics = metrics.New(metrics.Config{Pool: testdb.New(t).Pool, Status: func(context.Context) ([]consumer.Status, error) { return all, nil }})
	t.Cleanup(func() { require.NoError(t, n.metrics.Close(context.Background())) })
	n.registry.MustRegister(n.metrics)
	for name, state := range map[string]string{"here": "live", "there": "live", "nowhere": "standby"} {
		require.EqualValues(t, 1, n.value("consumer_state", "projection", name, state), name)
	}
	require.EqualValues(t, 0, n.value("consumer_state", "projection", "there", "standby"))
	require.EqualValues(t, 20, n.value("consumer_verify_interval_seconds", "projection", "here"))
	require.EqualValues(t, 1000, n.value("consumer_verify_timestamp_seconds", "projection", "here"), "the last one that could tell")
	require.EqualValues(t, 1, n.value("consumer_verify_failed", "projection", "here"))
}

func TestDatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	n := newNode(t, db)
	require.EqualValues(t, 1, n.value("consumer_status_up"))
	_, err := db.Pool.Exec(t.Context(), `ALTER TABLE readview_states RENAME TO gone`)
	require.NoError(t, err)
	require.EqualValues(t, 0, n.value("consumer_status_up"))
	require.EqualValues(t, -1, n.value("consumer_position", "projection", "amounts"), "nothing that was true once")
}

func TestConfigThatMakesNoSense(t *testing.T) {
	t.Parallel()
	status := func(context.Context) ([]consumer.Status, error) { return nil, nil }
	require.PanicsWithValue(t, "metrics.Config: Pool is nil, and Status is not\nmetrics.Config: Schema is no name of a schema, which has at most 63 bytes of UTF-8\nmetrics.Config: Interval is negative\nmetrics.Config: Timeout is negative",
		func() { metrics.New(metrics.Config{Status: status, Schema: "\x00", Interval: -1, Timeout: -1}) })
}

// Who locks a table keeps also the status waiting: that is told all the same.
func TestTableThatIsLocked(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	n := newNode(t, db)
	require.Zero(t, n.value("eventlog_table_lock_waiting_seconds", "events"))
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), `LOCK TABLE events`)
	require.NoError(t, err)
	waits := make(chan error)
	go func() {
		_, err := db.Pool.Exec(t.Context(), `SELECT FROM events LIMIT 1`)
		waits <- err
	}()
	require.Eventually(t, func() bool { return n.value("eventlog_table_lock_waiting_seconds", "events") > 1 }, 30*time.Second, 25*time.Millisecond)
	require.Zero(t, n.value("eventlog_table_lock_waiting_seconds", "readviews"))
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-waits)
	require.Eventually(t, func() bool { return n.value("eventlog_table_lock_waiting_seconds", "events") == 0 }, 30*time.Second, 25*time.Millisecond)
}
