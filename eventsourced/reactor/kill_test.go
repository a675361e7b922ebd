package reactor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testchild"
)

// childVariable makes this test binary a node that kills itself: a point, how often it is
// passed, and a database URL.
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
	it, err := reactor.New(store, pool, consumertest.Reacting(), depositor(store))
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
	for round := range soak.Times(8, 40) {
		events = append(events, b.Deposit(3)...)
		b.dies([]string{"handled", "saved"}[round%2], fmt.Sprint(1+rand.IntN(2)), b.DB.URL)
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
