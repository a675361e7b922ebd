package reactor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testchild"
)

// childVariable makes this test binary a node that kills itself: a point, how often it is
// passed, a database URL, and what the node does.
const childVariable = "REACTOR_TEST_CHILD"

func child(plan []string) error {
	point, url := plan[0], plan[2]
	var left int
	if _, err := fmt.Sscan(plan[1], &left); err != nil {
		return err
	}
	die := func(at string) {
		if at != point {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing more happens in this process
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	store := pgstore.New(pool, consumertest.Registry(), pgstore.Config{})
	config, reactions := consumertest.Reacting(), []reactor.Reaction{depositor(store)}
	switch plan[3] {
	case "tx":
		config.Concurrency, config.Attempts = 3, 1_000_000 // they get in each other's way, at one account
		reactions = []reactor.Reaction{copier(store)}
	case "parking":
		config.Concurrency, config.OnFailure, config.Attempts = 2, reactor.ParkFailures, 2
		reactions = []reactor.Reaction{picky(store, "bad")}
	case "resuming":
		config.Concurrency, config.OnFailure = 2, reactor.ParkFailures
		reactions = []reactor.Reaction{picky(store)}
	case "split":
		store = pgstore.New(pool, shared.Evolved(), pgstore.Config{})
		reactions = noting(pool)
	}
	it, err := reactor.New(store, pool, config, reactions...)
	if err != nil {
		return err
	}
	reactor.SetFailpoint(it, die)
	return it.Run(ctx)
}

// dies runs a child that kills itself.
func (b *bank) dies(plan ...string) {
	b.T.Helper()
	node := exec.Command(testchild.Path(b.T)) //nolint:noctx // it ends by itself
	node.Env = append(os.Environ(), childVariable+"="+strings.Join(plan, " "))
	node.Stderr = os.Stderr
	require.ErrorContains(b.T, node.Run(), "killed", "the node reaches its point")
}

var account = eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "copy"}

// depositor answers each deposit with a command that must not be carried out twice.
func depositor(store eventsourced.Store) reactor.Reaction {
	accounts := eventsourced.NewRepository[consumertest.Account](store, account.AggregateName, eventsourced.RepositoryConfig{})
	return reactor.On(func(ctx context.Context, e *consumertest.Deposited) error {
		cause := eventsourced.FromContext(ctx)
		if cause.Stream == account {
			return nil
		}
		ctx = eventsourced.WithCommand(ctx, eventsourced.CommandID(cause, "copy"))
		_, err := accounts.Update(ctx, account.AggregateID, func(a *consumertest.Account) error {
			return eventsourced.Record(a, &consumertest.Deposited{Amount: e.Amount})
		})
		return err
	})
}

func TestReactorKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var events []eventsourced.Recorded
	for round := range soak.Times(4, 40) {
		events = append(events, b.Deposit(3)...)
		b.dies([]string{"handled", "saved"}[round%2], fmt.Sprint(1+rand.IntN(2)), b.DB.URL, "commands")
		b.Exec(`UPDATE consumers SET lease_until = '-infinity'`)
	}
	b.Reactor(consumertest.Reacting(), depositor(b.Store))
	var causes []string
	b.Eventually("every event had its effect", func() bool {
		causes = nil
		for copied, err := range b.Store.ReadStream(t.Context(), account, 0) {
			require.NoError(t, err)
			causes = append(causes, copied.Metadata[eventsourced.MetaCausation])
		}
		return len(causes) >= len(events)
	})
	require.Equal(t, consumertest.IDsOf(events), causes, "once, and in order")
}

// What is done in the reactor's transaction is done once, without an id that would tell.
func TestTransactionsKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var events []string
	for round := range soak.Times(4, 40) {
		for _, id := range []string{"a", "b", "c"} {
			events = append(events, b.RecordFor(id, &consumertest.Deposited{Amount: 1}).ID.String())
		}
		b.dies([]string{"reacted", "marked", "committed", "handled", "saved"}[round%5], fmt.Sprint(1+rand.IntN(3)), b.DB.URL, "tx")
		b.Exec(`UPDATE consumers SET lease_until = '-infinity'`)
	}
	config := consumertest.Reacting()
	config.Concurrency, config.Attempts = 3, 1_000_000
	it, _ := b.Reactor(config, copier(b.Store))
	b.Becomes(it, "all are handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Behind == 0 })
	require.ElementsMatch(t, events, b.causes(), "once")
}

// picky refuses the deposits to some accounts, and copies the others, each once.
func picky(store *pgstore.Store, bad ...string) reactor.Reaction {
	accounts := eventsourced.NewRepository[consumertest.Account](store, "bank.Account", eventsourced.RepositoryConfig{})
	return reactor.On(func(ctx context.Context, e *consumertest.Deposited) error {
		cause := eventsourced.FromContext(ctx)
		switch {
		case strings.HasPrefix(cause.Stream.AggregateID, "copy of "):
			return nil
		case slices.Contains(bad, cause.Stream.AggregateID):
			return consumertest.ErrBroken
		}
		ctx = eventsourced.WithCommand(ctx, eventsourced.CommandID(cause, "copy"))
		_, err := accounts.Update(ctx, "copy of "+cause.Stream.AggregateID, func(a *consumertest.Account) error {
			return eventsourced.Record(a, &consumertest.Deposited{Amount: e.Amount})
		})
		return err
	})
}

// Parked events are neither lost nor overtaken, whenever a node dies that parks or resumes.
func TestParkingKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	const rounds = 6
	points := []string{"handled", "saved"}
	for round := range int64(rounds) {
		b.deposits(3*round+1, 3*round+3, "bad", "good")
		b.dies(points[round%2], fmt.Sprint(1+rand.IntN(2)), b.DB.URL, "parking")
		b.Exec(`UPDATE consumers SET lease_until = '-infinity'`)
	}
	it, stop := b.Reactor(parking(), picky(b.Store, "bad"))
	b.Becomes(it, "all are parked", parkedIs(3*rounds))
	stop()
	for round := range rounds {
		require.NoError(t, it.Resume(t.Context()))
		b.dies(points[round%2], fmt.Sprint(1+rand.IntN(2)), b.DB.URL, "resuming")
		b.Exec(`UPDATE consumers SET lease_until = '-infinity'`)
	}
	require.NoError(t, it.Resume(t.Context()))
	it, _ = b.Reactor(parking(), picky(b.Store))
	b.Becomes(it, "all are done", parkedIs(0))
	for _, id := range []string{"copy of good", "copy of bad"} {
		n := int64(0)
		for copied, err := range b.Store.ReadStream(t.Context(), stream(id), 0) {
			require.NoError(t, err)
			n++
			require.JSONEq(t, fmt.Sprintf(`{"Amount": %d}`, n), string(copied.Payload), "once, and in order")
		}
		require.EqualValues(t, 3*rounds, n)
	}
}

// noting writes down each part of an event that it is given.
func noting(pool *pgxpool.Pool) []reactor.Reaction {
	note := func(ctx context.Context) error {
		_, err := pool.Exec(ctx, `INSERT INTO seen (id) VALUES ($1)`, eventsourced.FromContext(ctx).ID.String())
		return err
	}
	return []reactor.Reaction{
		reactor.On(func(ctx context.Context, _ *shared.Named) error { return note(ctx) }),
		reactor.On(func(ctx context.Context, _ *shared.Relocated) error { return note(ctx) }),
	}
}

// An event that was split is handled again as a whole, if its node dies between its parts.
func TestKilledBetweenTheParts(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.Exec(`CREATE TABLE seen (n BIGINT GENERATED ALWAYS AS IDENTITY, id TEXT)`)
	stored := b.Evolve(shared.Old("Registered", `{"Name": "Ann", "Town": "Mora"}`))
	parts, err := shared.Evolved().Upcast(t.Context(), stored[0])
	require.NoError(t, err)
	require.Len(t, parts, 2)
	b.dies("reacted", "1", b.DB.URL, "split")
	b.Exec(`UPDATE consumers SET lease_until = '-infinity'`)
	it, _ := b.Reactor(consumertest.Reacting(), noting(b.Pool)...)
	b.Becomes(it, "it is handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == stored[0].Position })
	rows, err := b.Pool.Query(t.Context(), `SELECT id FROM seen ORDER BY n`)
	require.NoError(t, err)
	seen, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, append([]string{parts[0].ID.String()}, consumertest.IDsOf(parts)...), seen)
}
