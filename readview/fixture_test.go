package readview_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
)

// bank is a database with a log and the tables of the read view.
type bank struct {
	t           *testing.T
	db          *testdb.DB
	application string // the name of its sessions
	pool        *pgxpool.Pool
	store       *pgstore.Store
	accounts    *eventsourced.Repository[Account]
	traces      traces
}

func newBank(t *testing.T, configure ...func(*pgxpool.Config)) *bank {
	t.Helper()
	return newBankIn(t, testdb.New, configure...)
}

// newLoneBank has a database of its own: for what waits for the snapshots of all others in one.
func newLoneBank(t *testing.T) *bank {
	t.Helper()
	return newBankIn(t, testdb.NewDatabase)
}

func newBankIn(t *testing.T, place func(testing.TB, ...testdb.Option) *testdb.DB, configure ...func(*pgxpool.Config)) *bank {
	t.Helper()
	application := "bank-" + eventsourced.NewEventID().String()
	db := place(t, testdb.MaxConns(20), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["application_name"] = application
		for _, f := range configure {
			f(c)
		}
	})
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	_, err := db.Pool.Exec(t.Context(), tables)
	require.NoError(t, err)
	store := pgstore.New(db.Pool, registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	return &bank{t: t, db: db, application: application, pool: db.Pool, store: store, accounts: newAccounts(store)}
}

func (b *bank) record(account string, events ...eventsourced.Event) eventsourced.Position {
	b.t.Helper()
	position, err := b.accounts.Update(b.t.Context(), account, func(a *Account) error {
		for _, event := range events {
			if err := eventsourced.Record(a, event); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(b.t, err)
	return position
}

// deposit makes n deposits of 1 on a few accounts and returns the last position.
func (b *bank) deposit(n int) (last eventsourced.Position) {
	b.t.Helper()
	for i := range n {
		last = b.record(fmt.Sprintf("account-%d", i%5), &Deposited{Amount: 1})
	}
	return last
}

// fast has short waits, for tests that wait for them.
func fast() readview.Config {
	return readview.Config{
		Config: consumer.Config{
			PollInterval: 200 * time.Millisecond,
			HangTimeout:  2 * time.Second,
			Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
		},
		RetryFor: time.Second,
	}
}

func newRouter(t *testing.T) *message.Router {
	t.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(t, err)
	return router
}

// manager returns a manager on a router that does not run yet.
func (b *bank) manager(config readview.Config, projections ...readview.Projection) (*readview.Manager, *message.Router) {
	b.t.Helper()
	router := newRouter(b.t)
	manager, err := readview.NewManager(router, b.store, b.pool, config)
	require.NoError(b.t, err)
	readview.SetExecutable(manager, thisProgram)
	require.NoError(b.t, manager.Add(projections...))
	return manager, router
}

// start runs a router until the test ends or stop is called.
func (b *bank) start(router *message.Router) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	<-router.Running()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
	b.t.Cleanup(stop)
	return stop
}

func (b *bank) waitFor(manager *readview.Manager, position eventsourced.Position, names ...string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	require.NoError(b.t, manager.WaitFor(ctx, position, names...))
}

func (b *bank) status(manager *readview.Manager, name string) consumer.Status {
	b.t.Helper()
	all, err := manager.Status(b.t.Context())
	require.NoError(b.t, err)
	for _, status := range all {
		if status.Name == name {
			return status
		}
	}
	require.Fail(b.t, "no status of "+name)
	return consumer.Status{}
}

func (b *bank) eventually(what string, condition func() bool) {
	b.t.Helper()
	require.Eventually(b.t, condition, time.Minute, 25*time.Millisecond, what)
}

func (b *bank) int(query string) (n int64) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), query).Scan(&n))
	return n
}

// requireExact fails unless the read view equals the log up to position: every
// deposit once, in order, and the sums right.
func (b *bank) requireExact(position eventsourced.Position) {
	b.t.Helper()
	b.requireEntries(position)
	require.Equal(b.t,
		b.rows(`SELECT aggregate_id || ' ' || sum((payload->>'Amount')::bigint) || ' ' || max(version) FROM events
			WHERE name = 'Deposited' AND tstamp <= $1 GROUP BY aggregate_id ORDER BY aggregate_id`, int64(position)),
		b.rows(`SELECT account || ' ' || amount || ' ' || version FROM balance ORDER BY account`))
}

// requireEntries is the part of requireExact that entries makes.
func (b *bank) requireEntries(position eventsourced.Position) {
	b.t.Helper()
	journal := b.rows(`SELECT position || ' ' || amount FROM journal ORDER BY entry`)
	log := b.rows(`SELECT tstamp || ' ' || (payload->>'Amount') FROM events WHERE name = 'Deposited' AND tstamp <= $1 ORDER BY tstamp`, int64(position))
	require.Equal(b.t, log, journal, "the journal has every deposit once, in the order of the log")
}

func (b *bank) rows(query string, args ...any) (all []string) {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), query, args...)
	require.NoError(b.t, err)
	defer rows.Close()
	for rows.Next() {
		var row string
		require.NoError(b.t, rows.Scan(&row))
		all = append(all, row)
	}
	require.NoError(b.t, rows.Err())
	return all
}

func (b *bank) exec(query string, args ...any) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), query, args...)
	require.NoError(b.t, err)
}

func (b *bank) eventID(position eventsourced.Position) (id string) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `SELECT id::text FROM events WHERE tstamp = $1`, int64(position)).Scan(&id))
	return id
}
