package relay_test

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

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/internal/testchild"
)

// childVariable makes this test binary a node that kills itself: a point, how often it is
// passed, a database URL, a broker's and a topic.
const childVariable = "RELAY_TEST_CHILD"

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
	publisher, err := amqpbus.NewPublisher(plan[3], amqpbus.PublisherConfig{})
	if err != nil {
		return err
	}
	config := relayingTo(plan[4])
	it, err := relay.New(store, pool, halving{publisher, die}, config)
	if err != nil {
		return err
	}
	relay.SetFailpoint(it, die)
	return it.Run(ctx)
}

func relayingTo(topic string) relay.Config {
	config := consumertest.Relaying()
	config.GroupEvents = 7
	config.Topic = func(eventsourced.Recorded) string { return topic }
	return config
}

// halving publishes messages in two halves, with a point in between.
type halving struct {
	message.Publisher
	point func(string)
}

func (h halving) Publish(topic string, messages ...*message.Message) error {
	half := len(messages) / 2
	if err := h.Publisher.Publish(topic, messages[:half]...); err != nil {
		return err
	}
	h.point("half-published")
	return h.Publisher.Publish(topic, messages[half:]...)
}

// dies runs a child that kills itself.
func (b *bank) dies(plan ...string) {
	b.T.Helper()
	node := exec.Command(testchild.Path(b.T)) //nolint:noctx // it ends by itself
	node.Env = append(os.Environ(), childVariable+"="+strings.Join(plan, " "))
	node.Stderr = os.Stderr
	require.ErrorContains(b.T, node.Run(), "killed", "the node reaches its point")
}

func TestRelayKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	b, broker, topic := newBank(t), testamqp.URL(t), testamqp.Name(t, "bank")
	conn, err := amqp.Dial(broker)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	channel, err := conn.Channel()
	require.NoError(t, err)
	require.NoError(t, channel.ExchangeDeclare(topic, amqp.ExchangeTopic, true, false, false, false, nil))
	queue, err := channel.QueueDeclare("", false, true, true, false, nil)
	require.NoError(t, err)
	require.NoError(t, channel.QueueBind(queue.Name, "#", topic, false, nil))
	deliveries, err := channel.Consume(queue.Name, "", true, true, false, false, nil)
	require.NoError(t, err)

	var events []eventsourced.Recorded
	points := []string{"publishing", "half-published", "published", "saved"}
	for round := range soak.Times(6, 80) {
		events = append(events, b.Deposit(14)...) // two groups at least
		point := points[round%len(points)]
		b.dies(point, fmt.Sprint(1+rand.IntN(2)), b.DB.URL, broker, topic)
		b.Exec(`UPDATE consumers SET lease_until = '-infinity'`) // or the next one would wait for its end
	}
	events = append(events, b.Deposit(1)...)
	publisher, err := amqpbus.NewPublisher(broker, amqpbus.PublisherConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	b.Relay(publisher, relayingTo(topic))

	// As a consumer does it that knows the rule.
	known, repeated := "0", 0
	var ids []string
	for len(ids) < len(events) {
		select {
		case d := <-deliveries:
			position, previous := d.Headers["position"].(string), d.Headers["previous_position"].(string)
			if len(position) < len(known) || len(position) == len(known) && position <= known {
				repeated++
				continue
			}
			require.Equal(t, known, previous, "nothing is missing")
			known = position
			ids = append(ids, d.MessageId)
		case <-time.After(time.Minute):
			require.Fail(t, "messages are missing")
		}
	}
	require.Equal(t, consumertest.IDsOf(events), ids, "everything in order")
	require.NotZero(t, repeated, "at least once")
}
