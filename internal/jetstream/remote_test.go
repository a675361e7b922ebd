package jetstream_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
)

const (
	topic    = "bank.events"
	requests = "bank.requests"
)

// A projection that joins late gets 3,700 events of 900 bytes, four times what a server takes in one
// message, and then live ones, with one server of three gone since.
func TestRemoteProjection(t *testing.T) {
	t.Parallel()
	servers := startCluster(t)
	b := newBus(t, servers)
	log := slog.New(slog.DiscardHandler)
	common := consumer.Config{PollInterval: 200 * time.Millisecond, MaxBackOff: 200 * time.Millisecond, Logger: log}

	owner := testdb.New(t).Pool
	require.NoError(t, migrate.Run(t.Context(), owner, migrate.Config{}, pgstore.Migrations(), relay.Migrations()))
	store := pgstore.New(owner, bank.Registry(), pgstore.Config{})
	accounts := bank.Accounts(store)
	rename := func(id string, n int) (last eventsourced.Position) {
		t.Helper()
		last, err := accounts.Update(t.Context(), id, func(a *bank.Account) error {
			for range n {
				if err := eventsourced.Record(a, &bank.Renamed{First: strings.Repeat("x", 900), Last: id}); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, err)
		return last
	}
	publishing, err := relay.New(store, owner, b.publisher(), relay.Config{
		Config: common, Topic: func(eventsourced.Recorded) string { return topic },
		StartAtHead: true, Requests: b.subscriber("relay"), RequestTopic: requests,
	})
	require.NoError(t, err)
	for range 10 {
		rename("anna", 370)
	}
	running(t, publishing.Run)

	branch := testdb.New(t).Pool
	require.NoError(t, migrate.Run(t.Context(), branch, migrate.Config{}, readview.Migrations()))
	_, err = branch.Exec(t.Context(), `CREATE TABLE renamed (position BIGINT PRIMARY KEY, account TEXT NOT NULL)`)
	require.NoError(t, err)
	manager, err := readview.NewManager(nil, nil, branch, readview.Config{Config: common})
	require.NoError(t, err)
	require.NoError(t, manager.AddRemote(names, readview.Feed{
		Registry: bank.Registry(), Subscriber: b.subscriber("branch"), Topic: topic,
		Requests: b.publisher(), RequestTopic: requests,
	}))
	running(t, manager.Run)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	require.NoError(t, manager.WaitFor(ctx, rename("bo", 1)))
	servers[0].Shutdown()
	for range 20 {
		rename("cleo", 1)
	}
	require.NoError(t, manager.WaitFor(ctx, rename("dan", 1)))
	require.Equal(t, all(t, owner, `SELECT tstamp || ' ' || aggregate_id FROM events ORDER BY tstamp`),
		all(t, branch, `SELECT position || ' ' || account FROM renamed ORDER BY position`))
}

var names = readview.Projection{
	Name: "names",
	Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *bank.Renamed) error {
		return readview.Exec(ctx, tx, `INSERT INTO renamed (position, account) VALUES ($1, $2)`,
			int64(eventsourced.FromContext(ctx).Position), e.Last)
	})},
	Reset:  readview.Truncate("renamed"),
	Tables: []string{"renamed"},
}

// running calls run until the test ends.
func running(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

func all(t *testing.T, pool *pgxpool.Pool, query string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), query)
	require.NoError(t, err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return texts
}
