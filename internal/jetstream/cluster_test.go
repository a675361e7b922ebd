package jetstream_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/transporttest"
)

const nodes = 3

// startCluster starts a cluster of three servers, which ends with the test. JetStream wants to know all of
// their ports from the start, and somebody else may take one before its server does: then with others.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	var servers []*server.Server
	for tries := 0; servers == nil; tries++ {
		require.Less(t, tries, 10, "a server has not started")
		servers = tryCluster(t)
	}
	require.Eventually(t, func() bool {
		for _, s := range servers {
			if !s.JetStreamIsCurrent() {
				return false
			}
		}
		return true
	}, time.Minute, 25*time.Millisecond, "the cluster has no leader")
	b := newBus(t, servers)
	require.Eventually(t, func() bool { return b.stream("ready") == nil }, time.Minute, 25*time.Millisecond, "the leader has not heard of all servers")
	return servers
}

// tryCluster returns nil when a server does not get its port.
func tryCluster(t *testing.T) (servers []*server.Server) {
	t.Helper()
	var routes []*url.URL
	var listeners []net.Listener
	for range nodes {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		listeners = append(listeners, listener)
		routes = append(routes, &url.URL{Scheme: "nats", Host: listener.Addr().String()})
	}
	for i, route := range routes {
		port, err := strconv.Atoi(route.Port())
		require.NoError(t, err)
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("node-%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, Routes: routes,
			Cluster: server.ClusterOpts{Name: "cluster", Host: "127.0.0.1", Port: port},
		})
		require.NoError(t, err)
		require.NoError(t, listeners[i].Close())
		s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(10 * time.Second) {
			for _, s := range servers {
				s.Shutdown()
			}
			return nil
		}
	}
	return servers
}

// bus makes what is to be published to and subscribed to in a cluster.
type bus struct {
	t    *testing.T
	urls string
	js   nats.JetStreamContext
}

func newBus(t *testing.T, servers []*server.Server) *bus {
	t.Helper()
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	b := &bus{t: t, urls: strings.Join(urls, ",")}
	conn, err := nats.Connect(b.urls, b.options()...)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	b.js, err = conn.JetStream()
	require.NoError(t, err)
	return b
}

func (b *bus) options() []nats.Option {
	return []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond)}
}

// stream makes sure of a topic's. It tries again while the cluster's leader has lost sight of a server, as it may on a busy machine.
func (b *bus) stream(topic string) (err error) {
	assert.Eventually(b.t, func() bool {
		_, err = b.js.AddStream(&nats.StreamConfig{
			Name: strings.ReplaceAll(topic, ".", "_"), Subjects: []string{topic}, Replicas: nodes,
		})
		return placed(err)
	}, time.Minute, 25*time.Millisecond, "no place for %s", topic)
	return err
}

// placed tells that an error is not that of a leader which does not see all servers just now.
func placed(err error) bool { return err == nil || !strings.Contains(err.Error(), "no suitable peers") }

func (b *bus) publisher() message.Publisher {
	b.t.Helper()
	p, err := wmnats.NewPublisher(wmnats.PublisherConfig{
		URL: b.urls, NatsOptions: b.options(), Marshaler: wmnats.JSONMarshaler{},
	}, watermill.NopLogger{})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = p.Close() })
	return publisher{p, b}
}

// publisher publishes to topics whose stream it has made.
type publisher struct {
	message.Publisher
	bus *bus
}

func (p publisher) Publish(topic string, messages ...*message.Message) error {
	if err := p.bus.stream(topic); err != nil {
		return err
	}
	return p.Publisher.Publish(topic, messages...)
}

// subscriber returns one of a group, for as many topics as one likes.
func (b *bus) subscriber(group string) message.Subscriber {
	b.t.Helper()
	s, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL: b.urls, NatsOptions: b.options(), Unmarshaler: wmnats.JSONMarshaler{},
		QueueGroupPrefix: group, AckWaitTimeout: ackWait, CloseTimeout: time.Second,
		JetStream: wmnats.JetStreamConfig{
			SubscribeOptions:  []nats.SubOpt{nats.DeliverAll(), nats.AckExplicit(), nats.MaxAckPending(1), nats.AckWait(ackWait)},
			DurablePrefix:     group,
			DurableCalculator: func(prefix, topic string) string { return prefix + "_" + strings.ReplaceAll(topic, ".", "_") },
		},
	}, watermill.NopLogger{})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = s.Close() })
	return subscriber{s, b}
}

// ackWait is after how long a message comes again whose subscriber is gone.
const ackWait = 2 * time.Second

// subscriber makes the stream of a topic.
type subscriber struct {
	message.Subscriber
	bus *bus
}

func (s subscriber) SubscribeInitialize(topic string) error { return s.bus.stream(topic) }

// Subscribe tries again likewise.
func (s subscriber) Subscribe(ctx context.Context, topic string) (messages <-chan *message.Message, err error) {
	assert.Eventually(s.bus.t, func() bool {
		if err = s.bus.stream(topic); err == nil {
			messages, err = s.Subscriber.Subscribe(ctx, topic)
		}
		return placed(err)
	}, time.Minute, 25*time.Millisecond, "no place for %s", topic)
	return messages, err
}

func TestTransport(t *testing.T) {
	t.Parallel()
	servers := startCluster(t)
	transporttest.TestTransport(t, func(t *testing.T) transporttest.Bus {
		b := newBus(t, servers)
		return transporttest.Bus{Publisher: b.publisher(), Subscriber: b.subscriber}
	}, transporttest.ReplyTo)
}
