package amqpbus_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

// A relay publishes like this, and a projection of another context receives like this. What is published
// before a group's first Subscribe is not for it, unless SubscribeInitialize has made its queue.
func Example() {
	broker, topic := testamqp.URL(exampleTest{}), testamqp.Name(exampleTest{}, "bank") // amqp://user:password@host and "bank"
	publisher, err := amqpbus.NewPublisher(broker, amqpbus.PublisherConfig{})
	check(err)
	subscriber, err := amqpbus.NewSubscriber(broker, amqpbus.SubscriberConfig{Group: "branch"})
	check(err)
	check(subscriber.SubscribeInitialize(topic))

	check(publisher.Publish(topic,
		message.NewMessage(eventsourced.NewEventID().String(), []byte(`{"amount": 5}`)),
		message.NewMessage(eventsourced.NewEventID().String(), []byte(`{"amount": 7}`))))

	messages, err := subscriber.Subscribe(context.Background(), topic)
	check(err)
	for range 2 {
		msg := <-messages
		fmt.Println(string(msg.Payload))
		msg.Ack() // the next one comes only now
	}
	check(subscriber.Close())
	check(publisher.Close())
	// Output:
	// {"amount": 5}
	// {"amount": 7}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// exampleTest is a test for testamqp, where there is none.
type exampleTest struct{ testing.TB }

func (exampleTest) Helper()                      {}
func (exampleTest) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
