package amqpbus

import (
	"fmt"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// marshaler makes AMQP messages of Watermill's, with metadata as headers. What AMQP
// has a property for is there as well, for clients that know nothing of Watermill.
type marshaler struct{ wamqp.DefaultMarshaler }

// Marshal implements [wamqp.Marshaler].
func (m marshaler) Marshal(msg *message.Message) (amqp.Publishing, error) {
	for key := range msg.Metadata {
		if len(key) > maxName {
			return amqp.Publishing{}, fmt.Errorf("the metadata key %.40q... is %w", key, ErrTooLong)
		}
	}
	publishing, err := m.DefaultMarshaler.Marshal(msg)
	if err != nil {
		return publishing, err
	}
	publishing.MessageId = short(msg.UUID)
	publishing.Type = short(msg.Metadata[messaging.MetaName])
	publishing.CorrelationId = short(msg.Metadata[eventsourced.MetaCorrelation])
	publishing.Expiration = msg.Metadata[messaging.MetaExpires]
	publishing.ContentType = "application/octet-stream"
	if publishing.Type != "" || msg.Metadata[messaging.MetaEvents] != "" {
		publishing.ContentType = "application/json"
	}
	if at, err := time.Parse(time.RFC3339Nano, msg.Metadata[messaging.MetaOccurredAt]); err == nil {
		publishing.Timestamp = at // in AMQP it has seconds
	}
	return publishing, nil
}

// maxName is how many bytes AMQP has for names and properties. Its client cuts off
// silently what is longer.
const maxName = 255

// short returns a property that fits; the header has the whole value.
func short(value string) string { return value[:min(len(value), maxName)] }

// Unmarshal implements [wamqp.Marshaler]. It fails for no delivery that a broker
// has made: that would come again at once, and for ever.
func (m marshaler) Unmarshal(delivery amqp.Delivery) (*message.Message, error) {
	if delivery.Acknowledger == nil {
		return nil, errPhantom
	}
	headers := amqp.Table{wamqp.DefaultMessageUUIDHeaderKey: delivery.MessageId}
	if delivery.Type != "" {
		headers[messaging.MetaName] = delivery.Type
	}
	for key, value := range delivery.Headers {
		if text, ok := value.(string); ok {
			headers[key] = text
		}
	}
	delivery.Headers = headers
	return m.DefaultMarshaler.Unmarshal(delivery)
}
