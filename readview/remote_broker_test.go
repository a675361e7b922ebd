package readview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

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
				go func() { written <- c.write(700) }()
				enough := applied + 1 + rand.Int64N(300)
				require.Eventually(t, func() bool { // RabbitMQ 3.10 needs half a minute for a quorum queue
					return c.branch.int(`SELECT count(*) FROM journal`) > enough
				}, 3*time.Minute, 20*time.Millisecond, "some of it has arrived")
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
	t.Run("its exchanges and queues belong to operators", func(t *testing.T) { topologyOfOperators(t, broker) })
	t.Run("its connections are cut at random", func(t *testing.T) { connectionsCutAtRandom(t, broker) })
	t.Run("short of memory or disk space, it takes no messages", func(t *testing.T) { blockedBroker(t, broker) })
}

// topologyOfOperators is the table of permissions in docs/messaging.md.
func topologyOfOperators(t *testing.T, broker *devservices.RabbitMQ) {
	c := newContexts(t, broker.URL())
	topic, requests := strings.ReplaceAll(c.topic, ".", "[.]"), strings.ReplaceAll(c.requestTopic(), ".", "[.]")
	permissions := func(user, configure, write, read string) string { // quicker than by commands of their own
		return fmt.Sprintf(`rabbit_auth_backend_internal:add_user(<<"%[1]s">>, <<"secret">>, <<"test">>),
			rabbit_auth_backend_internal:set_permissions(<<"%[1]s">>, <<"/">>, <<"%[2]s">>, <<"%[3]s">>, <<"%[4]s">>, <<"test">>)`,
			user, configure, write, read)
	}
	_, err := broker.Control(t.Context(), "eval",
		permissions("owner", "^$", "^("+topic+"|amq[.]default)$", "^"+requests+"[.]relay$")+","+
			permissions("branch", "^"+topic+"[.]branch([.]dead)?$", "^("+topic+"[.]branch([.]dead)?|"+requests+")$", "^("+topic+"|"+topic+"[.]branch)$")+".")
	require.NoError(t, err)
	as := func(user string) string {
		address, err := url.Parse(broker.URL())
		require.NoError(t, err)
		address.User = url.UserPassword(user, "secret")
		return address.String()
	}

	operator := c.subscriber("relay")
	c.url, c.declare = as("owner"), amqpbus.DeclareNothing
	relay := c.startRelay()
	last := c.write(40)
	c.eventually("the relay says what is missing", func() bool {
		status, err := relay.Status(t.Context())
		require.NoError(t, err)
		return status.Failure != nil && strings.Contains(status.Failure.Error, "no exchange '"+c.topic)
	})
	require.NoError(t, operator.SubscribeInitialize(c.requestTopic()))
	require.NoError(t, operator.SubscribeInitialize(c.topic)) // for the exchange
	require.NoError(t, operator.Close())
	c.url, c.declare = as("branch"), amqpbus.DeclareAll
	require.ErrorContains(t, c.subscriber("branch").SubscribeInitialize(c.topic), "have Declare say what is there without us")
	c.declare = amqpbus.DeclareQueue
	manager, router := c.branchManager()
	c.start(router)
	c.branch.waitFor(manager, last)
	c.branch.waitFor(manager, c.write(40))
	c.declare = amqpbus.DeclareNothing
	require.NoError(t, c.subscriber("branch").SubscribeInitialize(c.topic))
	c.requireSame()
}

func connectionsCutAtRandom(t *testing.T, broker *devservices.RabbitMQ) {
	proxy := testamqp.NewProxy(t, broker.URL())
	c := newContexts(t, proxy.URL(broker.URL()))
	c.startRelay()
	manager, router := c.branchManager()
	router.AddMiddleware(middleware.RandomFail(0.05)) // and nacks
	c.start(router)
	var last eventsourced.Position
	for round := range soak.Times(20, 40) {
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
	require.Eventually(t, func() bool {
		status, err := relay.Status(t.Context())
		require.NoError(t, err)
		return status.State == consumer.Retrying && strings.Contains(status.Failure.Error, "the broker accepts no messages")
	}, 5*time.Second, 25*time.Millisecond, "the relay says why it waits")
	_, err = broker.Control(t.Context(), "set_disk_free_limit", "1MB")
	require.NoError(t, err)
	c.branch.waitFor(manager, last)
	c.requireSame()
}
