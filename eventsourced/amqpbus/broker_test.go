package amqpbus_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

// Of a cluster's nodes one is enough, whichever it is.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	nodes := []*testamqp.Proxy{testamqp.NewProxy(t, ""), testamqp.NewProxy(t, ""), testamqp.NewProxy(t, "")}
	all := nodes[0].URL(broker) + "," + nodes[1].URL(broker) + ", " + nodes[2].URL(broker)
	subscriber, publisher := newSubscriber(t, all, consuming("g")), newPublisher(t, all)
	messages := subscribe(t, subscriber, topic)
	for round := range 4 {
		problem := problemOf(t, subscriber, "receive from "+topic+".g at 127.0.0.1:").Error()
		require.NotContains(t, problem, "\n")
		nodes[round%3].Lead(broker)
		eventually(t, "it receives", func() bool { return subscriber.Problem() == nil })
		msg := numbered(1)[0]
		eventually(t, "it publishes", func() bool { return publisher.Publish(topic, msg) == nil })
		eventually(t, "it arrives", func() bool { // perhaps after the one before, whose Ack was lost
			received := receive(t, messages)
			return received.Ack() && received.UUID == msg.UUID
		})
		nodes[round%3].Lead("")
		nodes[round%3].Cut()
	}
}

// A node that takes the connection and no more is not tried again first.
func TestFailureLeadsToAnotherNode(t *testing.T) {
	t.Parallel()
	broker := testamqp.URL(t)
	var logged logs
	nodes := []*testamqp.Proxy{testamqp.NewProxy(t, broker), testamqp.NewProxy(t, broker), testamqp.NewProxy(t, broker)}
	publisher, err := amqpbus.NewPublisher(nodes[0].URL(broker)+","+nodes[1].URL(broker)+","+nodes[2].URL(broker), amqpbus.PublisherConfig{Declare: amqpbus.DeclareNothing, Logger: logged.logger()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	for range nodes { // there is no such exchange
		require.ErrorContains(t, publisher.Publish(testamqp.Name(t, "nowhere"), numbered(1)...), "NOT_FOUND")
	}
	for _, node := range nodes {
		address, err := url.Parse(node.URL(broker))
		require.NoError(t, err)
		require.Contains(t, logged.String(), "broker="+address.Host)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"amqp://a/,http://b/", "amqp://a/,", "", "amqp://a/ amqp://b/", ","} {
		_, err := amqpbus.NewPublisher(list, amqpbus.PublisherConfig{})
		require.ErrorIs(t, err, amqpbus.ErrURL, list)
	}
	for _, list := range []string{"amqp://u:a,b@h/", "amqp://u:a,b@h/,amqps://u:a,b@h:5671/v"} {
		_, err := amqpbus.NewPublisher(list, amqpbus.PublisherConfig{})
		require.NoError(t, err, list)
	}
}

// What belongs to those who run the broker is there, or it is missed.
func TestDeclare(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	config := consuming("g")
	config.Declare = amqpbus.DeclareQueue
	owned := newSubscriber(t, broker, config)
	require.ErrorContains(t, owned.SubscribeInitialize(topic), "no exchange '"+topic)
	publisher, err := amqpbus.NewPublisher(broker, amqpbus.PublisherConfig{Declare: amqpbus.DeclareNothing, Logger: silent})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	require.ErrorContains(t, publisher.Publish(topic, numbered(1)...), "who runs the broker has to declare it")
	config.Declare = amqpbus.DeclareNothing
	subscriber := newSubscriber(t, broker, config)
	messages := subscribe(t, subscriber, topic)
	problemOf(t, subscriber, "no queue '"+topic+".g'")
	require.NoError(t, channel(t, broker).ExchangeDeclare(topic, amqp.ExchangeTopic, true, false, false, false, nil))
	require.NoError(t, owned.SubscribeInitialize(topic))
	eventually(t, "it receives", func() bool { return subscriber.Problem() == nil })
	require.NoError(t, publisher.Publish(topic, numbered(3)...))
	require.Equal(t, numbers(3), receiveAll(t, messages, 3))
	_, err = amqpbus.NewSubscriber(broker, amqpbus.SubscriberConfig{Group: "g", Declare: "all of it", Heartbeat: time.Millisecond})
	require.ErrorContains(t, err, `Declare is "all of it"`)
	require.ErrorContains(t, err, "Heartbeat is not in seconds")
}

// A queue that drops what was delivered a number of times is no queue for a projection.
func TestDeliveryLimit(t *testing.T) {
	t.Parallel()
	require.NotContains(t, amqpbus.Arguments(amqpbus.Quorum, 3), "x-delivery-limit", "which refuses -1")
	require.Equal(t, -1, amqpbus.Arguments(amqpbus.Quorum, 4)["x-delivery-limit"])
	require.NotContains(t, amqpbus.Arguments(amqpbus.Classic, 4), "x-delivery-limit")

	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	config := consuming("g")
	config.QueueType = amqpbus.Quorum
	subscriber := newSubscriber(t, broker, config)
	_, err := channel(t, broker).QueueDeclare(subscriber.Queue(topic), true, false, false, false,
		amqp.Table{"x-queue-type": "quorum", "x-single-active-consumer": true, "x-delivery-limit": 20})
	require.NoError(t, err)
	subscribe(t, subscriber, topic)
	problemOf(t, subscriber, "it drops what was delivered so often")
}

// The broker sends some ahead; they are handed out one by one, and come again in order.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	for _, kind := range []amqpbus.QueueType{amqpbus.Quorum, amqpbus.Classic} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
			proxy := testamqp.NewProxy(t, broker)
			config := consuming("g")
			config.QueueType, config.Prefetch = kind, 20
			subscriber := newSubscriber(t, proxy.URL(broker), config)
			require.NoError(t, subscriber.SubscribeInitialize(topic))
			require.NoError(t, newPublisher(t, broker).Publish(topic, numbered(100)...))
			messages := subscribe(t, subscriber, topic)
			require.Equal(t, numbers(3), receiveAll(t, messages, 3))
			held := receive(t, messages)
			bare := channel(t, broker)
			eventually(t, "20 are with the subscriber", func() bool {
				state, err := bare.QueueDeclarePassive(subscriber.Queue(topic), true, false, false, false, nil)
				require.NoError(t, err)
				return state.Messages == 100-3-20
			})
			select {
			case <-messages:
				require.Fail(t, "the next one waits for the Ack")
			default:
			}
			proxy.Cut()
			problemOf(t, subscriber, "")
			held.Ack() // too late
			require.Equal(t, numbers(100)[3:], receiveAll(t, messages, 97), "nothing was acked, so nothing is overtaken")
		})
	}
}

// So many are handed out, in order, before the first is acked; a Nack brings its message again, and no other.
func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	config := consuming("g")
	config.Prefetch, config.AtOnce = 20, 5
	subscriber := newSubscriber(t, broker, config)
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	require.NoError(t, newPublisher(t, broker).Publish(topic, numbered(9)...))
	messages := subscribe(t, subscriber, topic)
	var held []*message.Message
	for n := range 5 {
		held = append(held, receive(t, messages))
		require.Equal(t, numbers(9)[n], string(held[n].Payload))
	}
	select {
	case <-messages:
		require.Fail(t, "the sixth waits for an Ack")
	default:
	}
	held[2].Ack()
	sixth := receive(t, messages)
	require.Equal(t, numbers(9)[5], string(sixth.Payload))
	held[0].Nack()
	again := receive(t, messages)
	require.Equal(t, numbers(9)[0], string(again.Payload))
	for _, msg := range []*message.Message{held[1], held[3], held[4], sixth, again} {
		msg.Ack()
	}
	require.Equal(t, numbers(9)[6:], receiveAll(t, messages, 3))
	queue := channel(t, broker)
	eventually(t, "all are acked", func() bool {
		state, err := queue.QueueDeclarePassive(subscriber.Queue(topic), true, false, false, false, nil)
		return err == nil && state.Messages == 0
	})
}
