package amqpbus_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

func TestSubscriber(t *testing.T) {
	t.Parallel()
	for _, kind := range []amqpbus.QueueType{amqpbus.Quorum, amqpbus.Classic} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
			config := consuming("g")
			config.QueueType = kind
			subscriber := newSubscriber(t, broker, config)
			require.NoError(t, subscriber.SubscribeInitialize(topic))
			other := newSubscriber(t, broker, consuming("other"))
			require.NoError(t, other.SubscribeInitialize(topic))
			sent := numbered(20)
			require.NoError(t, newPublisher(t, broker).Publish(topic, sent...))
			messages := subscribe(t, subscriber, topic)
			first := receive(t, messages)
			require.Equal(t, sent[0].UUID, first.UUID)
			require.Equal(t, message.Metadata{"name": "Numbered"}, first.Metadata)
			first.Ack()
			require.Equal(t, numbers(20)[1:], receiveAll(t, messages, 19))
			require.Equal(t, numbers(20), receiveAll(t, subscribe(t, other, topic), 20), "each group has all")
		})
	}
}

// What was nacked comes again, before anything else, and not in a hot loop.
func TestPoisonMessage(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	subscriber := newSubscriber(t, broker, consuming("g"))
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	require.NoError(t, newPublisher(t, broker).Publish(topic, numbered(2)...))
	messages := subscribe(t, subscriber, topic)
	deliveries := 0
	for end := time.After(5 * time.Second); ; {
		select {
		case msg := <-messages:
			require.Equal(t, "0", string(msg.Payload))
			deliveries++
			msg.Nack()
			continue
		case <-end:
		}
		break
	}
	require.Greater(t, deliveries, 10)
	require.Less(t, deliveries, 100, "about one in each MaxBackOff of 100 ms")
	require.Equal(t, numbers(2), receiveAll(t, messages, 2))
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	config := consuming("g")
	config.Attempts = 3
	subscriber := newSubscriber(t, broker, config)
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	sent := numbered(2)
	require.NoError(t, newPublisher(t, broker).Publish(topic, sent...))
	messages := subscribe(t, subscriber, topic)
	for range 3 {
		msg := receive(t, messages)
		require.Equal(t, "0", string(msg.Payload))
		msg.Nack()
	}
	require.Equal(t, []string{"1"}, receiveAll(t, messages, 1))
	dead, found, err := channel(t, broker).Get(subscriber.DeadLetterQueue(topic), true)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, sent[0].UUID, dead.MessageId)
	require.Equal(t, "Numbered", dead.Type)

	// Without that queue the message stays where it is.
	_, err = channel(t, broker).QueueDelete(subscriber.DeadLetterQueue(topic), false, false, false)
	require.NoError(t, err)
	require.NoError(t, newPublisher(t, broker).Publish(topic, numbered(1)...))
	for range 7 {
		receive(t, messages).Nack()
	}
	require.Equal(t, []string{"0"}, receiveAll(t, messages, 1))
}

func TestOfSeveralSubscribersOneReceives(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	first := newSubscriber(t, broker, consuming("g"))
	require.NoError(t, first.SubscribeInitialize(topic))
	publisher := newPublisher(t, broker)
	require.NoError(t, publisher.Publish(topic, numbered(1)...))
	fromFirst := subscribe(t, first, topic)
	receiveAll(t, fromFirst, 1)
	fromSecond := subscribe(t, newSubscriber(t, broker, consuming("g")), topic)
	require.NoError(t, publisher.Publish(topic, numbered(50)...))
	for i := range 50 {
		select {
		case msg := <-fromFirst:
			require.Equal(t, numbers(50)[i], string(msg.Payload))
			msg.Ack()
		case <-fromSecond:
			require.Fail(t, "the second one stands by")
		}
	}
	require.NoError(t, publisher.Publish(topic, numbered(2)...))
	receive(t, fromFirst)
	require.NoError(t, first.Close(), "while a message is being handled")
	require.ElementsMatch(t, numbers(2), receiveAll(t, fromSecond, 2), "the second one takes over, with what was not acked")
}

func TestCompetingSubscribers(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	config := consuming("g")
	config.Competing = true
	first, second := newSubscriber(t, broker, config), newSubscriber(t, broker, config)
	require.NoError(t, first.SubscribeInitialize(topic))
	fromFirst, fromSecond := subscribe(t, first, topic), subscribe(t, second, topic)
	publisher := newPublisher(t, broker)
	held := map[bool]*message.Message{}
	for len(held) < 2 { // both hold one at the same time
		require.NoError(t, publisher.Publish(topic, numbered(1)...))
		var msg *message.Message
		isFirst := false
		select {
		case msg = <-fromFirst:
			isFirst = true
		case msg = <-fromSecond:
		}
		if held[isFirst] != nil {
			held[isFirst].Ack()
		}
		held[isFirst] = msg
	}
	for _, msg := range held {
		msg.Ack()
	}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	delivery := amqp.Delivery{
		Acknowledger: acknowledger{},
		MessageId:    "id-1",
		Type:         "BandCreated",
		Headers:      amqp.Table{"position": "7", "x-delivery-count": int64(2), "x-death": []any{amqp.Table{"count": int64(1)}}},
		Body:         []byte("{}"),
	}
	msg, err := amqpbus.Unmarshal(delivery)
	require.NoError(t, err, "headers that are no strings are left out")
	require.Equal(t, "id-1", msg.UUID, "also when no Watermill program sent it")
	require.Equal(t, message.Metadata{"name": "BandCreated", "position": "7"}, msg.Metadata)
	delivery.Headers["_watermill_message_uuid"] = "id-2"
	msg, err = amqpbus.Unmarshal(delivery)
	require.NoError(t, err)
	require.Equal(t, "id-2", msg.UUID)
	_, err = amqpbus.Unmarshal(amqp.Delivery{})
	require.ErrorIs(t, err, amqpbus.ErrPhantom)
}

type acknowledger struct{}

func (acknowledger) Ack(uint64, bool) error        { return nil }
func (acknowledger) Nack(uint64, bool, bool) error { return nil }
func (acknowledger) Reject(uint64, bool) error     { return nil }

func TestSubscriptionsEnd(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	subscriber := newSubscriber(t, broker, consuming("g"))
	ctx, cancel := context.WithCancel(t.Context())
	byContext, err := subscriber.Subscribe(ctx, topic)
	require.NoError(t, err)
	byClose := subscribe(t, subscriber, testamqp.Name(t, "another"))
	down := subscribe(t, newSubscriber(t, testamqp.NewProxy(t, "").URL(broker), consuming("g")), topic)
	cancel()
	eventually(t, "it ends with its context", func() bool { return isClosed(byContext) })
	require.False(t, isClosed(byClose))
	require.NoError(t, subscriber.Close())
	require.True(t, isClosed(byClose))
	require.NoError(t, subscriber.Close(), "closing twice is fine")
	_, err = subscriber.Subscribe(t.Context(), topic)
	require.ErrorIs(t, err, amqpbus.ErrClosed)
	require.False(t, isClosed(down), "a broker that is down is waited for")
}

func isClosed(messages <-chan *message.Message) bool {
	select {
	case _, open := <-messages:
		return !open
	default:
		return false
	}
}

func TestMessagesOutliveTheirSubscription(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	config := consuming("g")
	config.DrainTimeout = time.Minute
	subscriber := newSubscriber(t, broker, config)
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	require.NoError(t, newPublisher(t, broker).Publish(topic, numbered(2)...))
	ctx, cancel := context.WithCancel(t.Context())
	messages, err := subscriber.Subscribe(ctx, topic)
	require.NoError(t, err)
	msg := receive(t, messages)
	cancel()
	require.NoError(t, msg.Context().Err(), "its handler may finish")
	msg.Ack()
	require.Equal(t, []string{"1"}, receiveAll(t, subscribe(t, subscriber, topic), 1), "and its Ack counts")
}

func TestSubscriberConfig(t *testing.T) {
	t.Parallel()
	_, err := amqpbus.NewSubscriber("amqp://localhost/", amqpbus.SubscriberConfig{QueueType: "stream", Attempts: -1, BackOff: -1})
	require.EqualError(t, err, `amqpbus.SubscriberConfig: Group is empty
amqpbus.SubscriberConfig: QueueType is "stream", want "quorum" or "classic"
amqpbus.SubscriberConfig: Attempts is negative
amqpbus.SubscriberConfig: BackOff is negative`)
}

// problemOf waits until the subscriber has a problem that says text.
func problemOf(t *testing.T, subscriber *amqpbus.Subscriber, text string) *consumer.ProblemError {
	t.Helper()
	var problem *consumer.ProblemError
	eventually(t, "a problem that says "+text, func() bool {
		problem = nil
		return errors.As(subscriber.Problem(), &problem) && strings.Contains(problem.Error(), text)
	})
	return problem
}

func TestProblem(t *testing.T) {
	t.Parallel()
	t.Run("there is none while nothing is subscribed to", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, newSubscriber(t, testamqp.URL(t), consuming("g")).Problem())
	})
	t.Run("a broker that is down, and comes, and goes in mid-message", func(t *testing.T) {
		t.Parallel()
		broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
		proxy := testamqp.NewProxy(t, "")
		subscriber := newSubscriber(t, proxy.URL(broker), consuming("g"))
		began := time.Now()
		messages := subscribe(t, subscriber, topic)
		require.Error(t, subscriber.Problem(), "from the first moment on")
		problem := problemOf(t, subscriber, "receive from "+topic+".g at 127.0.0.1:")
		eventually(t, "tries are counted", func() bool {
			require.ErrorAs(t, subscriber.Problem(), &problem)
			return problem.Attempts > 2
		})
		require.WithinDuration(t, began, problem.Since, 5*time.Second)
		proxy.Lead(broker)
		eventually(t, "it receives", func() bool { return subscriber.Problem() == nil })
		require.NoError(t, newPublisher(t, broker).Publish(topic, numbered(1)...))
		msg := receive(t, messages)
		proxy.Lead("")
		proxy.Cut()
		problemOf(t, subscriber, "the connection is lost")
		msg.Ack()
		proxy.Lead(broker)
		eventually(t, "it receives again", func() bool { return subscriber.Problem() == nil })
		require.Equal(t, numbers(1), receiveAll(t, messages, 1))
	})
	t.Run("a queue of another kind", func(t *testing.T) {
		t.Parallel()
		broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
		require.NoError(t, newSubscriber(t, broker, consuming("g")).SubscribeInitialize(topic))
		config := consuming("g")
		config.QueueType = amqpbus.Quorum
		var logged logs
		config.Logger = logged.logger()
		subscriber := newSubscriber(t, broker, config)
		subscribe(t, subscriber, topic)
		problemOf(t, subscriber, "PRECONDITION_FAILED")
		require.ErrorContains(t, subscriber.Problem(), "ask for what it is")
		eventually(t, "it tries again", func() bool {
			var problem *consumer.ProblemError
			require.ErrorAs(t, subscriber.Problem(), &problem)
			return problem.Attempts > 3
		})
		require.Equal(t, 1, strings.Count(logged.String(), "level=WARN"), "it is logged once")
		_, err := channel(t, broker).QueueDelete(subscriber.Queue(topic), false, false, false)
		require.NoError(t, err)
		eventually(t, "the queue is as it is to be", func() bool { return subscriber.Problem() == nil })
		require.NoError(t, subscriber.Close())
		require.NoError(t, subscriber.Problem())
	})
	t.Run("a user that the broker does not know", func(t *testing.T) {
		t.Parallel()
		address, err := url.Parse(testamqp.URL(t))
		require.NoError(t, err)
		address.User = url.UserPassword("nobody", "s3cret")
		subscriber := newSubscriber(t, address.String(), consuming("g"))
		subscribe(t, subscriber, testamqp.Name(t, "topic"))
		require.NotContains(t, problemOf(t, subscriber, "403").Error(), "s3cret")
	})
	t.Run("a queue that is deleted is made again", func(t *testing.T) {
		t.Parallel()
		broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
		subscriber := newSubscriber(t, broker, consuming("g"))
		messages := subscribe(t, subscriber, topic)
		eventually(t, "it receives", func() bool { return subscriber.Problem() == nil })
		_, err := channel(t, broker).QueueDelete(subscriber.Queue(topic), false, false, false)
		require.NoError(t, err)
		publisher := newPublisher(t, broker)
		eventually(t, "a message arrives", func() bool {
			require.NoError(t, publisher.Publish(topic, numbered(1)...))
			select {
			case msg := <-messages:
				return msg.Ack()
			default:
				return false
			}
		})
	})
}

// The queue for the answers to one replay gets nothing else, and the broker removes it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	subscriber := newSubscriber(t, broker, consuming("g"))
	answers, replyTo, err := subscriber.Answers(topic)
	require.NoError(t, err)
	defer func() { require.NoError(t, answers.Close()) }()
	publisher := newPublisher(t, broker)
	require.NoError(t, publisher.CheckReply(topic, replyTo), "a relay sends there")
	messages, err := answers.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	require.NoError(t, publisher.Publish(topic, numbered(2)[1])) // to all groups
	eventually(t, "the queue is there", func() bool { return publisher.Publish(replyTo, numbered(1)...) == nil })
	msg := <-messages
	require.Equal(t, "0", string(msg.Payload))
	require.True(t, msg.Ack())

	group := strings.TrimPrefix(replyTo, amqpbus.QueueTopic(topic+"."))
	require.ErrorContains(t, newSubscriber(t, broker, consuming(group)).SubscribeInitialize(topic), "x-expires")
	config := consuming("g")
	config.Declare = amqpbus.DeclareNothing
	_, _, err = newSubscriber(t, broker, config).Answers(topic)
	require.ErrorIs(t, err, amqpbus.ErrNoQueue)
}
