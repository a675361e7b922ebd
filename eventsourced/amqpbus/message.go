package amqpbus

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
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
		if len(headerKey(key)) > maxName {
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
	publishing.AppId = short(msg.Metadata[messaging.MetaAppID])
	publishing.ContentType = "application/octet-stream"
	if publishing.Type != "" || msg.Metadata[messaging.MetaEvents] != "" {
		publishing.ContentType = "application/json"
	}
	if at, err := time.Parse(time.RFC3339Nano, msg.Metadata[messaging.MetaOccurredAt]); err == nil {
		publishing.Timestamp = at // in AMQP it has seconds
	}
	headers := make(amqp.Table, len(publishing.Headers))
	for key, value := range publishing.Headers {
		headers[headerKey(key)] = value
	}
	publishing.Headers = headers
	return publishing, nil
}

// The prefixes of attributes of a CloudEvent that its binding for AMQP knows. It prefers the first
// one, which JMS can select by.
const (
	cloudEventPrefix      = "cloudEvents_"
	otherCloudEventPrefix = "cloudEvents:"
)

// headerKey returns the header of a metadata key.
func headerKey(key string) string {
	if attribute, is := strings.CutPrefix(key, messaging.CloudEventPrefix); is {
		return cloudEventPrefix + attribute
	}
	return key
}

// metadataKey returns the metadata key of a header.
func metadataKey(header string) string {
	for _, prefix := range []string{cloudEventPrefix, otherCloudEventPrefix} {
		if attribute, is := strings.CutPrefix(header, prefix); is {
			return messaging.CloudEventPrefix + attribute
		}
	}
	return header
}

// route returns the routing key of a message. One of several events has more, in a header that the
// broker routes by and takes out.
func route(msg *message.Message, publishing *amqp.Publishing, routingKey func(*message.Message) string) (string, error) {
	text, several := msg.Metadata[messaging.MetaNames]
	if !several {
		return routingKey(msg), nil
	}
	var names, keys []string
	if err := json.Unmarshal([]byte(text), &names); err != nil || len(names) == 0 {
		return "", fmt.Errorf("metadata %s is no JSON array of names: %.100q", messaging.MetaNames, text)
	}
	for _, name := range names {
		one := message.NewMessage(msg.UUID, msg.Payload)
		one.Metadata = maps.Clone(msg.Metadata)
		one.Metadata[messaging.MetaName] = name
		if key := routingKey(one); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if len(keys) > 1 {
		others := make([]any, len(keys)-1)
		for i, key := range keys[1:] {
			others[i] = key
		}
		publishing.Headers["BCC"] = others
	}
	return keys[0], nil
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
	if delivery.AppId != "" {
		headers[messaging.MetaAppID] = delivery.AppId
	}
	for key, value := range delivery.Headers {
		if text, ok := value.(string); ok {
			headers[metadataKey(key)] = text
		}
	}
	delivery.Headers = headers
	return m.DefaultMarshaler.Unmarshal(delivery)
}
