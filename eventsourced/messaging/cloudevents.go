package messaging

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// CloudEventPrefix begins the keys of metadata that are attributes of a CloudEvent, as in the bindings
// for HTTP and NATS. Package amqpbus makes "cloudEvents_" of it, as the binding for AMQP has it.
const CloudEventPrefix = "ce-"

// SetCloudEvent gives the message of an event the attributes of CloudEvents 1.0 in binary mode: the payload
// stays as it is. They are, each with [CloudEventPrefix], specversion, id, source, type (the event's name),
// subject (the aggregate's name, a slash, and its id), time, sequence (the position), and traceparent
// and tracestate, if the event has them. [Unmarshal] leaves them out. source is a URI reference.
func SetCloudEvent(msg *message.Message, event eventsourced.Recorded, source string) {
	attributes := map[string]string{
		"specversion": "1.0",
		"id":          event.ID.String(),
		"source":      source,
		"type":        event.Name,
		"subject":     event.Stream.AggregateName + "/" + event.Stream.AggregateID,
		"time":        event.Time.UTC().Format(time.RFC3339Nano),
		"sequence":    formatPosition(event.Position),
		"traceparent": event.Metadata[eventsourced.MetaTraceParent],
		"tracestate":  event.Metadata[eventsourced.MetaTraceState],
	}
	for name, value := range attributes {
		if value != "" {
			msg.Metadata[CloudEventPrefix+name] = value
		}
	}
}
