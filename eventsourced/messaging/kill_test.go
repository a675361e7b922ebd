package messaging_test

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
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/internal/testchild"
)

// childVariable makes the test binary a node that kills itself: "relay" or
// "reactor", a point, how often it is passed, a database URL, and for a relay a
// broker's and a topic.
const childVariable = "MESSAGING_TEST_CHILD"

func child(plan []string) error {
	what, point, url := plan[0], plan[1], plan[3]
	var left int
	if _, err := fmt.Sscan(plan[2], &left); err != nil {
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
	store := pgstore.New(pool, registry(), pgstore.Config{})
	positions := messaging.NewPositions(pool)
	if what == "reactor" {
		reactor, err := messaging.NewReactor(store, positions, reacting(), depositor(store))
		if err != nil {
			return err
		}
		messaging.SetReactorFailpoint(reactor, die)
		return reactor.Run(ctx)
	}
	publisher, err := amqpbus.NewPublisher(plan[4], amqpbus.PublisherConfig{})
	if err != nil {
		return err
	}
	config := relayingTo(plan[5])
	relay, err := messaging.NewRelay(store, positions, halving{publisher, die}, config)
	if err != nil {
		return err
	}
	messaging.SetRelayFailpoint(relay, die)
	return relay.Run(ctx)
}

func relayingTo(topic string) messaging.RelayConfig {
	config := relaying()
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
	b.t.Helper()
	node := exec.Command(testchild.Path(b.t)) //nolint:noctx // it ends by itself
	node.Env = append(os.Environ(), childVariable+"="+strings.Join(plan, " "))
	node.Stderr = os.Stderr
	require.ErrorContains(b.t, node.Run(), "killed", "the node reaches its point")
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
	for round := range soak.Times(12, 80) {
		events = append(events, b.deposit(14)...) // two groups at least
		point := points[round%len(points)]
		b.dies("relay", point, fmt.Sprint(1+rand.IntN(2)), b.db.URL, broker, topic)
		b.exec(`UPDATE consumers SET lease_until = '-infinity'`) // or the next one would wait for its end
	}
	events = append(events, b.deposit(1)...)
	publisher, err := amqpbus.NewPublisher(broker, amqpbus.PublisherConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	b.relay(publisher, relayingTo(topic))

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
	require.Equal(t, idsOf(events), ids, "everything in order")
	require.NotZero(t, repeated, "at least once")
}

var account = eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "copy"}

// depositor answers each deposit with a command that must not be carried out twice.
func depositor(store eventsourced.Store) messaging.Reaction {
	accounts := eventsourced.NewRepository[Account](store, account.AggregateName, eventsourced.RepositoryConfig{})
	return messaging.On(func(ctx context.Context, e *Deposited) error {
		cause := eventsourced.FromContext(ctx)
		if cause.Stream == account {
			return nil
		}
		ctx = eventsourced.WithCommand(ctx, eventsourced.CommandID(cause, "copy"))
		_, err := accounts.Update(ctx, account.AggregateID, func(a *Account) error {
			return eventsourced.Record(a, &Deposited{Amount: e.Amount})
		})
		return err
	})
}

func TestReactorKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var events []eventsourced.Recorded
	for round := range soak.Times(8, 40) {
		events = append(events, b.deposit(3)...)
		b.dies("reactor", []string{"handled", "saved"}[round%2], fmt.Sprint(1+rand.IntN(2)), b.db.URL)
		b.exec(`UPDATE consumers SET lease_until = '-infinity'`)
	}
	b.reactor(reacting(), depositor(b.store))
	var causes []string
	b.eventually("every event had its effect", func() bool {
		causes = nil
		for copied, err := range b.store.ReadStream(t.Context(), account, 0) {
			require.NoError(t, err)
			causes = append(causes, copied.Metadata[eventsourced.MetaCausation])
		}
		return len(causes) >= len(events)
	})
	require.Equal(t, idsOf(events), causes, "once, and in order")
}
