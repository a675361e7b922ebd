package amqpbus

import (
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

var ErrPhantom = errPhantom

// Unmarshal is what becomes of a delivery.
func Unmarshal(delivery amqp.Delivery) (*message.Message, error) {
	return marshaler{}.Unmarshal(delivery)
}

// Arguments are those of a group's queue, for a broker of a version.
func Arguments(kind QueueType, major int) amqp.Table {
	return SubscriberConfig{Group: "g", QueueType: kind}.arguments(major, false)
}
