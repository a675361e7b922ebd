package readview_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/internal/soak"
)

// maxSilence is how long nothing may arrive while one of three nodes is in trouble. A node that
// does not answer is given up after three heartbeats of 5 seconds, and 3 seconds later the next
// one is tried; the rest is for the election of leaders and a slow machine.
const maxSilence = 90 * time.Second

// Of three nodes any one may be killed, stopped, cut off or frozen, under load: nothing is lost,
// the order is kept, and events arrive while it is away.
func TestCluster(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), soak.For(5*time.Minute, time.Hour))
	defer cancel()
	cluster, err := devservices.StartRabbitMQCluster(ctx, devservices.RabbitMQClusterConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	c := newContexts(t, strings.Join(cluster.URLs(), ","))
	c.queueType = amqpbus.Quorum
	c.startRelay()
	manager, router := c.branchManager()
	c.start(router)
	c.branch.waitFor(manager, c.depositTo(0))

	stop, last := make(chan struct{}), make(chan eventsourced.Position, 1)
	go func() {
		for i := 1; ; i++ {
			position := c.depositTo(i % 4)
			select {
			case <-ctx.Done():
				return
			case <-stop:
				last <- position
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	troubles := troublesOf(ctx, cluster)
	for range soak.Times(1, 40) {
		node, trouble := rand.IntN(3), troubles[rand.IntN(len(troubles))]
		silence := c.measureSilence(func() {
			require.NoError(t, trouble.begin(node))
			for end := time.Now().Add(trouble.stays); time.Now().Before(end); { // what is committed meanwhile arrives meanwhile
				head := c.int(`SELECT max(tstamp) FROM events`)
				require.NoError(t, manager.WaitFor(ctx, eventsourced.Position(head)))
			}
		})
		t.Logf("node %d %s: nothing for %s", node, trouble.name, silence.Round(10*time.Millisecond))
		require.Less(t, silence, maxSilence)
		back := c.measureSilence(func() { require.NoError(t, trouble.end(node)) })
		t.Logf("node %d back: nothing for %s", node, back.Round(10*time.Millisecond))
		awaitNodes(t, cluster)
	}
	close(stop)
	require.NoError(t, manager.WaitFor(ctx, <-last))
	c.requireSame()
}

type nodeTrouble struct {
	name       string
	stays      time.Duration
	begin, end func(node int) error
}

func troublesOf(ctx context.Context, cluster *devservices.RabbitMQCluster) []nodeTrouble {
	start := func(n int) error { return cluster.Start(ctx, n) }
	return []nodeTrouble{
		{"killed", 3 * time.Second, cluster.Kill, start},
		{"stopped", 3 * time.Second, cluster.Stop, start},
		{"frozen", 20 * time.Second, cluster.Freeze, func(n int) error { return errors.Join(cluster.Kill(n), start(n)) }}, // more than three heartbeats
		{"cut off", 5 * time.Second, func(n int) error { return cluster.Cut(ctx, n) }, func(n int) error { return cluster.Heal(ctx, n) }},
	}
}

// awaitNodes waits until all nodes run and so may be taken from.
func awaitNodes(t *testing.T, cluster *devservices.RabbitMQCluster) {
	t.Helper()
	require.Eventually(t, func() bool {
		running, err := cluster.Control(t.Context(), 0, "-q", "eval", "length(rabbit_nodes:all_running()).")
		return err == nil && strings.TrimSpace(running) == "3"
	}, 3*time.Minute, 100*time.Millisecond)
}

// depositTo appends one event.
func (c *contexts) depositTo(account int) eventsourced.Position {
	position, err := c.accounts.Update(context.WithoutCancel(c.t.Context()), fmt.Sprintf("account-%d", account), func(a *Account) error {
		return eventsourced.Record(a, &Deposited{Amount: 1})
	})
	if err != nil {
		c.t.Error(err)
	}
	return position
}

// measureSilence returns the longest time for which the branch office applied nothing during do.
func (c *contexts) measureSilence(do func()) (longest time.Duration) {
	done, measured := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var before int64
		since := time.Now()
		for {
			count := c.branch.int(`SELECT count(*) FROM journal`)
			if longest = max(longest, time.Since(since)); count != before {
				before, since = count, time.Now()
			}
			select {
			case <-done:
				measured <- longest
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	do()
	close(done)
	return <-measured
}
