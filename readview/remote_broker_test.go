//go:build !race

// These tests cut connections to the broker, at which watermill-amqp itself trips
// the race detector: its field "connected" is replaced without a lock. make test
// runs them without it.

package readview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

// A subscription of watermill-amqp that is closed while the broker is away leaves
// this goroutine behind.
func init() {
	foreignLeaks = append(foreignLeaks, goleak.IgnoreAnyFunction("github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp.(*ConnectionWrapper).handleConnectionClose"))
}

// startBroker starts a broker whose data outlives it, in dir.
func startBroker(t *testing.T, dir string) *devservices.RabbitMQ {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	broker, err := devservices.StartRabbitMQ(ctx, devservices.RabbitMQConfig{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	return broker
}

// brokerFolder is one that the broker's user can enter.
func brokerFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "readview-test-") //nolint:usetesting // nobody else can enter t.TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir + "/rabbitmq"
}

// write appends n events from four writers.
func (c *contexts) write(n int) (last eventsourced.Position) {
	c.t.Helper()
	var writers sync.WaitGroup
	var mu sync.Mutex
	for w := range 4 {
		writers.Go(func() {
			for range n / 4 {
				position, err := c.accounts.Update(c.t.Context(), fmt.Sprintf("account-%d", w), func(a *Account) error {
					return eventsourced.Record(a, &Deposited{Amount: 1})
				})
				if err != nil {
					c.t.Error(err)
					return
				}
				mu.Lock()
				last = max(last, position)
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	return last
}

func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	for _, kind := range []amqpbus.QueueType{amqpbus.Classic, amqpbus.Quorum} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			dir := brokerFolder(t)
			broker := startBroker(t, dir)
			proxy := testamqp.NewProxy(t, broker.URL())
			c := newContexts(t, proxy.URL(broker.URL()))
			c.queueType = kind
			c.startRelay()
			manager, router := c.branchManager()
			c.start(router)
			last := c.write(40)
			c.branch.waitFor(manager, last)
			for range soak.Times(3, 30) {
				applied := c.branch.int(`SELECT count(*) FROM journal`)
				written := make(chan eventsourced.Position, 1)
				go func() { written <- c.write(2000) }()
				enough := applied + 1 + rand.Int64N(300)
				require.Eventually(t, func() bool { // RabbitMQ 3.10 needs half a minute for a quorum queue
					return c.branch.int(`SELECT count(*) FROM journal`) > enough
				}, 3*time.Minute, 5*time.Millisecond, "some of it has arrived")
				require.NoError(t, broker.Kill())
				proxy.Lead("")
				last = <-written
				broker = startBroker(t, dir)
				proxy.Lead(broker.URL())
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			require.NoError(t, manager.WaitFor(ctx, last))
			c.requireSame()
		})
	}
}

// One broker has these troubles, one after the other.
func TestBrokerInTrouble(t *testing.T) {
	t.Parallel()
	broker := startBroker(t, brokerFolder(t))
	t.Run("its connections are cut at random", func(t *testing.T) { connectionsCutAtRandom(t, broker) })
	t.Run("short of memory or disk space, it takes no messages", func(t *testing.T) { blockedBroker(t, broker) })
}

func connectionsCutAtRandom(t *testing.T, broker *devservices.RabbitMQ) {
	proxy := testamqp.NewProxy(t, broker.URL())
	c := newContexts(t, proxy.URL(broker.URL()))
	c.startRelay()
	manager, router := c.branchManager()
	router.AddMiddleware(middleware.RandomFail(0.05)) // and nacks
	c.start(router)
	var last eventsourced.Position
	for round := range 40 {
		applied := c.branch.int(`SELECT count(*) FROM journal`)
		last = c.write(40)
		if round%10 == 9 {
			_, err := broker.Control(t.Context(), "close_all_connections", "test")
			require.NoError(t, err)
			continue
		}
		enough := applied + rand.Int64N(40) // at any moment
		c.eventually("some of it has arrived", func() bool { return c.branch.int(`SELECT count(*) FROM journal`) >= enough })
		proxy.Cut()
	}
	c.branch.waitFor(manager, last)
	c.requireSame()
}

func blockedBroker(t *testing.T, broker *devservices.RabbitMQ) {
	c := newContexts(t, broker.URL())
	relay := c.startRelay()
	manager, router := c.branchManager()
	c.start(router)
	c.branch.waitFor(manager, c.write(40))
	_, err := broker.Control(t.Context(), "set_disk_free_limit", "100000GB")
	require.NoError(t, err)
	last := c.write(40)
	c.eventually("the relay says why it waits", func() bool {
		status, err := relay.Status(t.Context())
		require.NoError(t, err)
		return status.State == consumer.Retrying
	})
	status, err := relay.Status(t.Context())
	require.NoError(t, err)
	require.Contains(t, status.Failure.Error, "the broker accepts no messages")
	_, err = broker.Control(t.Context(), "set_disk_free_limit", "1MB")
	require.NoError(t, err)
	c.branch.waitFor(manager, last)
	c.requireSame()
}
