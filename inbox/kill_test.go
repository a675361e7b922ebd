package inbox_test

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

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/inbox"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testchild"
)

// childVariable makes this test binary both contexts in one process, which kills itself: after
// how many commits or within which reaction, and both databases' URLs.
const childVariable = "INBOX_TEST_CHILD"

func child(plan []string) error {
	var left int
	if _, err := fmt.Sscan(plan[1], &left); err != nil {
		return err
	}
	die := func(at string) {
		if at != plan[0] {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing more happens in this process
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	var pools [2]*pgxpool.Pool
	for i := range pools {
		var err error
		if pools[i], err = pgxpool.New(ctx, plan[2+i]); err != nil {
			return err
		}
	}
	bank := pgstore.New(pools[0], consumertest.Registry(), pgstore.Config{})
	publishing, err := relay.New(bank, pools[0], broker, relaying(broker))
	if err != nil {
		return err
	}
	office := pgstore.New(pools[1], consumertest.Registry(), pgstore.Config{})
	config := consumertest.Reacting()
	config.Committed = func() { die("committed") }
	it, err := inbox.New(pools[1], feed(broker), config, copier(office, func() { die("reacted") }))
	if err != nil {
		return err
	}
	return consumer.Run(ctx, it, publishing)
}

func TestInboxKilled(t *testing.T) {
	t.Parallel()
	c := newContexts(t)
	var events []string
	for round := range soak.Times(4, 40) {
		events = append(events, consumertest.IDsOf(c.bank.Deposit(3))...)
		node := exec.Command(testchild.Path(t)) //nolint:noctx // it ends by itself
		node.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{
			[]string{"reacted", "committed"}[round%2], fmt.Sprint(1 + rand.IntN(2)), c.bank.DB.URL, c.office.DB.URL,
		}, " "))
		node.Stderr = os.Stderr
		require.ErrorContains(t, node.Run(), "killed", "the node reaches its point")
		for _, b := range []*consumertest.Bank{c.bank, c.office} {
			b.Exec(`UPDATE consumers SET lease_until = '-infinity'`)
		}
		c.office.Exec(`UPDATE readview_states SET lease_until = '-infinity'`)
	}
	c.relay()
	c.inbox(consumertest.Reacting(), copier(c.office.Store))
	c.office.Eventually("all are handled", func() bool { return len(c.copied()) >= len(events) })
	require.Equal(t, events, c.copied(), "once, and in order")
}
