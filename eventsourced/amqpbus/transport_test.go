package amqpbus_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/transporttest"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

func TestTransport(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*amqpbus.SubscriberConfig){
		"classic queues": func(*amqpbus.SubscriberConfig) {},
		"quorum queues, with some messages sent ahead": func(c *amqpbus.SubscriberConfig) { c.QueueType, c.Prefetch = amqpbus.Quorum, 20 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transporttest.TestTransport(t, func(t *testing.T) transporttest.Bus {
				broker := testamqp.URL(t)
				return transporttest.Bus{
					Publisher: newPublisher(t, broker),
					Subscriber: func(group string) message.Subscriber {
						config := consuming(group)
						change(&config)
						return newSubscriber(t, broker, config)
					},
					ReplyTo: func(topic, group string) string { return amqpbus.QueueTopic(topic + "." + group) },
				}
			})
		})
	}
}
