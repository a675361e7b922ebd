package amqpbus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

func TestDeadLettersAreListedAndRequeued(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	config := consuming("g")
	config.Attempts = 2
	subscriber, other := newSubscriber(t, broker, config), newSubscriber(t, broker, consuming("other"))
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	require.NoError(t, other.SubscribeInitialize(topic))
	sent := numbered(3)
	sent[0].Metadata.Set("colour", "red")
	require.NoError(t, newPublisher(t, broker).Publish(topic, sent...))
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(t, err)
	router.AddMiddleware(amqpbus.Reasons)
	router.AddConsumerHandler("handler", topic, subscriber, func(msg *message.Message) error {
		switch string(msg.Payload) {
		case "0":
			return errors.New("the mail server says no")
		case "1":
			panic("a bug")
		}
		cancel()
		return nil
	})
	require.NoError(t, router.Run(ctx))

	subscriber = newSubscriber(t, broker, config)
	for range 2 { // listing leaves them there
		letters, err := subscriber.DeadLetters(t.Context(), topic, 10)
		require.NoError(t, err)
		require.Len(t, letters, 2)
		require.WithinDuration(t, time.Now(), letters[0].Time, time.Since(began)+time.Second)
		letters[0].Time = time.Time{}
		letter := amqpbus.DeadLetter{
			Message: letters[0].Message, Reason: "the mail server says no", Tries: 2, Queue: topic + ".g", Topic: topic,
		}
		require.Equal(t, letter, letters[0])
		require.True(t, sent[0].Equals(letters[0].Message))
		require.Equal(t, "panic: a bug", letters[1].Reason)
	}
	letters, err := subscriber.DeadLetters(t.Context(), topic, 1)
	require.NoError(t, err)
	require.Len(t, letters, 1)

	requeued, err := subscriber.Requeue(t.Context(), topic, sent[1].UUID)
	require.NoError(t, err)
	require.Len(t, requeued, 1)
	messages := subscribe(t, subscriber, topic)
	require.Equal(t, []string{"1"}, receiveAll(t, messages, 1))
	requeued, err = subscriber.Requeue(t.Context(), topic)
	require.NoError(t, err)
	require.Len(t, requeued, 1)
	again := receive(t, messages)
	require.True(t, sent[0].Equals(again), "as it came first")
	again.Ack()
	require.Equal(t, numbers(3), receiveAll(t, subscribe(t, other, topic), 3), "another group has it once")

	_, err = channel(t, broker).QueueDelete(subscriber.DeadLetterQueue(topic), false, false, false)
	require.NoError(t, err)
	_, err = subscriber.DeadLetters(t.Context(), topic, 1)
	require.ErrorContains(t, err, "no queue '"+topic+".g.dead' in vhost '/'\" (a subscriber with Attempts makes it")
}
