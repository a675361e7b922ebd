package amqpbus_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

func TestBareClient(t *testing.T) {
	t.Parallel()
	broker := testamqp.URL(t)
	topic := testamqp.Name(t, "topic")
	ch := channel(t, broker)
	require.NoError(t, ch.ExchangeDeclare(topic, amqp.ExchangeTopic, true, false, false, false, nil), "the exchange is what the documentation says")
	queue, err := ch.QueueDeclare("", false, true, true, false, nil)
	require.NoError(t, err)
	require.NoError(t, ch.QueueBind(queue.Name, "BandCreated", topic, false, nil))

	messages := numbered(2)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	messages[1].Metadata = map[string]string{"name": "BandCreated", "correlation_id": "c-1", "occurred_at": at.Format(time.RFC3339Nano), "position": "7",
		"app_id": "bands", "ce-id": "e-1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	require.NoError(t, newPublisher(t, broker).Publish(topic, messages...))

	deliveries, err := ch.ConsumeWithContext(timeout(t), queue.Name, "", true, false, false, false, nil)
	require.NoError(t, err)
	d := <-deliveries
	require.Equal(t, "1", string(d.Body), "a binding chooses by name")
	require.Equal(t, "BandCreated", d.RoutingKey)
	require.Equal(t, messages[1].UUID, d.MessageId)
	require.Equal(t, "BandCreated", d.Type)
	require.Equal(t, "application/json", d.ContentType)
	require.Equal(t, "c-1", d.CorrelationId)
	require.True(t, at.Equal(d.Timestamp))
	require.Equal(t, amqp.Persistent, d.DeliveryMode)
	require.Equal(t, "7", d.Headers["position"])
	require.Equal(t, "bands", d.AppId)
	require.Equal(t, "e-1", d.Headers["cloudEvents_id"], "as CloudEvents' binding for AMQP has it")
	require.NotContains(t, d.Headers, "ce-id")
	require.Equal(t, messages[1].Metadata["traceparent"], d.Headers["traceparent"])

	back, err := amqpbus.Unmarshal(d)
	require.NoError(t, err)
	require.Equal(t, messages[1].Metadata, back.Metadata)
	d.Headers = amqp.Table{"cloudEvents:id": "e-2"}
	back, err = amqpbus.Unmarshal(d)
	require.NoError(t, err)
	require.Equal(t, "e-2", back.Metadata["ce-id"])
	require.Equal(t, "bands", back.Metadata["app_id"])
}

func TestPublishersOfOneProcessKeepTheirOrder(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	subscriber := newSubscriber(t, broker, consuming("g"))
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	publisher := newPublisher(t, broker)
	var publishing sync.WaitGroup
	for range 4 {
		publishing.Go(func() {
			if err := publisher.Publish(topic, numbered(1500)...); err != nil { // more than are in flight
				t.Error(err)
			}
		})
	}
	publishing.Wait()
	received := receiveAll(t, subscribe(t, subscriber, topic), 6000)
	for i := range 4 {
		require.Equal(t, numbers(1500), received[i*1500:(i+1)*1500])
	}
}

func TestPublishWithoutABroker(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	proxy := testamqp.NewProxy(t, "")
	publisher := newPublisher(t, proxy.URL(broker))
	require.Error(t, publisher.Publish(topic, numbered(1)...), "down at the start")
	proxy.Lead(broker)
	require.NoError(t, publisher.Publish(topic, numbered(1)...))
	proxy.Cut()
	eventually(t, "a lost connection is replaced", func() bool { return publisher.Publish(topic, numbered(1)...) == nil })
	require.NoError(t, publisher.Publish(topic, numbered(1)...))
	require.NoError(t, publisher.Publish(topic), "nothing")
	require.NoError(t, publisher.Close())
	require.ErrorIs(t, publisher.Publish(topic, numbered(1)...), amqpbus.ErrClosed)
	require.NoError(t, publisher.Close(), "closing twice is fine")
}

// What one event has become goes to whoever has bound the name of any part, once.
func TestMessageOfSeveralNames(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	received := map[string]<-chan *message.Message{}
	for group, bindings := range map[string][]string{"first": {"Noted"}, "second": {"Remarked"}, "both": {"Noted", "Remarked"}, "all": {"#"}, "other": {"Paid"}} {
		config := consuming(group)
		config.Bindings = bindings
		subscriber := newSubscriber(t, broker, config)
		require.NoError(t, subscriber.SubscribeInitialize(topic))
		received[group] = subscribe(t, subscriber, topic)
	}
	messages := numbered(2)
	delete(messages[0].Metadata, "name")
	messages[0].Metadata.Set(messaging.MetaNames, `["Noted","Remarked"]`)
	messages[1].Metadata.Set("name", "Paid")
	publisher := newPublisher(t, broker)
	require.NoError(t, publisher.Publish(topic, messages...))
	for group, want := range map[string][]string{"first": {"0"}, "second": {"0"}, "both": {"0"}, "all": {"0", "1"}, "other": {"1"}} {
		require.Equal(t, want, receiveAll(t, received[group], len(want)), group)
		select {
		case msg := <-received[group]:
			require.Nil(t, msg, group)
		default:
		}
	}
	messages[0].Metadata.Set(messaging.MetaNames, `Noted`)
	require.ErrorContains(t, publisher.Publish(topic, messages[0]), `metadata names is no JSON array of names: "Noted"`)
}

// Nobody publishes, and the one who asks learns within two seconds that nobody could.
func TestProblemOfAQuietPublisher(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	proxy := testamqp.NewProxy(t, "")
	publisher := newPublisher(t, proxy.URL(broker))
	tells := func(what string, down bool) {
		t.Helper()
		require.Eventually(t, func() bool { return (publisher.Problem() != nil) == down }, 2*time.Second, 25*time.Millisecond, what)
	}
	tells("down at the start", true)
	var problem *consumer.ProblemError
	require.ErrorAs(t, publisher.Problem(), &problem)
	require.Less(t, time.Since(problem.Since), time.Minute)
	proxy.Lead(broker)
	tells("it has come up", false)
	require.NoError(t, publisher.Publish(topic, numbered(1)...))
	proxy.Lead("")
	proxy.Cut()
	tells("it is gone", true)
	proxy.Lead(broker)
	tells("it is back", false)
	require.NoError(t, publisher.Close())
	require.NoError(t, publisher.Problem(), "what is closed has none")
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	broker := testamqp.URL(t)
	publisher := newPublisher(t, broker)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	messages := numbered(1)
	messages[0].SetContext(ctx)
	require.ErrorIs(t, publisher.Publish(testamqp.Name(t, "topic"), messages...), context.Canceled)
}

func TestExchangeOfAnotherKind(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	ch := channel(t, broker)
	require.NoError(t, ch.ExchangeDeclare(topic, amqp.ExchangeFanout, false, true, false, false, nil))
	publisher := newPublisher(t, broker)
	for range 2 {
		err := publisher.Publish(topic, numbered(1)...)
		require.ErrorContains(t, err, "declare the exchange")
		require.ErrorContains(t, err, "PRECONDITION_FAILED")
	}
	require.NoError(t, publisher.Publish(testamqp.Name(t, "another"), numbered(1)...))
	require.ErrorContains(t, newSubscriber(t, broker, consuming("g")).SubscribeInitialize(topic), "PRECONDITION_FAILED")
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "localhost", "http://localhost/", "amqp://", "amqp://guest:secret@%zz/", "amqp://guest:secret@host:port/"} {
		_, err := amqpbus.NewPublisher(address, amqpbus.PublisherConfig{})
		require.ErrorIs(t, err, amqpbus.ErrURL, address)
		require.NotContains(t, err.Error(), "secret")
		_, err = amqpbus.NewSubscriber(address, amqpbus.SubscriberConfig{Group: "g"})
		require.ErrorIs(t, err, amqpbus.ErrURL, address)
	}
}

func TestPasswordsAreNotLogged(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(testamqp.URL(t))
	require.NoError(t, err)
	right, _ := address.User.Password()
	for _, password := range []string{right, "s3cret-and-wrong"} {
		address.User = url.UserPassword(address.User.Username(), password)
		var logged logs
		publisher, err := amqpbus.NewPublisher(address.String(), amqpbus.PublisherConfig{Logger: logged.logger()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, publisher.Close()) })
		topic := testamqp.Name(t, "topic")
		err = publisher.Publish(topic, numbered(1)...)
		config := consuming("g")
		config.Logger = logged.logger()
		subscriber := newSubscriber(t, address.String(), config)
		subscribe(t, subscriber, topic)
		if password != right {
			require.ErrorContains(t, err, "403")
			require.NotContains(t, err.Error(), password)
			eventually(t, "the subscription says why it waits", func() bool { return len(logged.String()) > 0 })
		}
		require.NoError(t, subscriber.Close())
		require.NotContains(t, logged.String(), password)
	}
}

// A queue with a limit that refuses what is beyond it makes the broker nack.
func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	ch := channel(t, broker)
	require.NoError(t, ch.ExchangeDeclare(topic, amqp.ExchangeTopic, true, false, false, false, nil))
	queue, err := ch.QueueDeclare("", false, true, true, false, amqp.Table{"x-max-length": 2, "x-overflow": "reject-publish"})
	require.NoError(t, err)
	require.NoError(t, ch.QueueBind(queue.Name, "#", topic, false, nil))
	publisher := newPublisher(t, broker)
	require.NoError(t, publisher.Publish(topic, numbered(2)...))
	require.ErrorIs(t, publisher.Publish(topic, numbered(2)...), amqpbus.ErrNotConfirmed)
	_, err = ch.QueuePurge(queue.Name, false)
	require.NoError(t, err)
	require.NoError(t, publisher.Publish(topic, numbered(1)...), "it goes on")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	address, trusted := tlsProxy(t, broker)
	subscriber, err := amqpbus.NewSubscriber(address, amqpbus.SubscriberConfig{Group: "g", TLS: trusted, Logger: silent})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, subscriber.Close()) })
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	publisher, err := amqpbus.NewPublisher(address, amqpbus.PublisherConfig{TLS: trusted, Logger: silent})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	require.NoError(t, publisher.Publish(topic, numbered(3)...))
	require.Equal(t, numbers(3), receiveAll(t, subscribe(t, subscriber, topic), 3))
	err = newPublisher(t, address).Publish(topic, numbered(1)...)
	require.ErrorContains(t, err, "certificate", "one that nobody knows is refused")
	require.ErrorIs(t, err, messaging.ErrUnreachable)
}

func TestPublishToAQueue(t *testing.T) {
	t.Parallel()
	broker := testamqp.URL(t)
	publisher := newPublisher(t, broker)
	name := testamqp.Name(t, "queue")
	require.ErrorIs(t, publisher.Publish(amqpbus.QueueTopic(name), numbered(1)...), amqpbus.ErrUnroutable)
	ch := channel(t, broker)
	_, err := ch.QueueDeclare(name, false, true, true, false, nil)
	require.NoError(t, err)
	require.NoError(t, publisher.Publish(amqpbus.QueueTopic(name), numbered(1)...))
	_, found, err := ch.Get(name, true)
	require.NoError(t, err)
	require.True(t, found)
}

func TestWhatIsTooLongForAMQP(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	long := strings.Repeat("x", 300)
	publisher := newPublisher(t, broker)
	require.ErrorIs(t, publisher.Publish(long, numbered(1)...), amqpbus.ErrTooLong)
	require.ErrorIs(t, publisher.Publish(amqpbus.QueueTopic(long), numbered(1)...), amqpbus.ErrTooLong)
	messages := numbered(1)
	messages[0].Metadata[long] = "key"
	require.ErrorIs(t, publisher.Publish(topic, messages...), amqpbus.ErrTooLong)
	_, err := newSubscriber(t, broker, consuming("g")).Subscribe(t.Context(), long)
	require.ErrorIs(t, err, amqpbus.ErrTooLong)

	subscriber := newSubscriber(t, broker, consuming("g"))
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	messages = numbered(1)
	messages[0].UUID, messages[0].Metadata["correlation_id"] = long, long
	require.NoError(t, publisher.Publish(topic, messages...))
	msg := receive(t, subscribe(t, subscriber, topic))
	require.Equal(t, long, msg.UUID, "the header has what does not fit the property")
	require.Equal(t, long, msg.Metadata["correlation_id"])
}

func TestCheckReply(t *testing.T) {
	t.Parallel()
	publisher := newPublisher(t, "amqp://localhost/")
	for _, own := range []string{"a.events", "queue:a.events.b", "queue:a.events.b.loans"} {
		require.NoError(t, publisher.CheckReply("a.events", own))
	}
	for _, other := range []string{"", "b.events", "a.events.b", "queue:", "queue:a.events", "queue:a.events.", "queue:a.eventsb", "queue:b.events.b", "queue:a.events.b.dead"} {
		require.ErrorIs(t, publisher.CheckReply("a.events", other), amqpbus.ErrReplyTo, other)
	}
}
