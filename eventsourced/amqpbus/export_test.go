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
