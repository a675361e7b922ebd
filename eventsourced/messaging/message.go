package messaging

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Keys of a message's metadata. All are there in a message made by [Marshal], but
// for MetaEventID and MetaTags. The event's own metadata stands beside them, such as
// [eventsourced.MetaCorrelation]; an own entry under one of these keys is left out.
const (
	MetaName          = "name"           // of the event; where Watermill's cqrs looks for it
	MetaAggregateName = "aggregate_name" // of the stream
	MetaAggregateID   = "aggregate_id"   // of the stream
	MetaVersion       = "version"        // in the stream
	MetaSchemaVersion = "schema_version" // of the payload, the current one
	MetaPosition      = "position"       // in the log
	MetaOccurredAt    = "occurred_at"    // RFC 3339, with fractions of a second
	MetaEventID       = "event_id"       // where it is not the message's UUID, see [Publisher]
	MetaTags          = "tags"           // a JSON array, see [eventsourced.EventData]; not there without any
	MetaWireVersion   = "wire_version"   // of the message's form, see [WireVersion]
)

// WireVersion is the version of the form that messages of events have; that of pages and requests for
// history is in package relay. It changes when an older program would misread a newer one's. What does not
// tell is of version 1; any other version is refused with [ErrWireVersion].
const WireVersion = 1

// CheckWireVersion returns [ErrWireVersion] for a message of a version that this program does
// not know.
func CheckWireVersion(msg *message.Message) error {
	if version, told := msg.Metadata[MetaWireVersion]; told && version != strconv.Itoa(WireVersion) {
		return fmt.Errorf("message %.40q: %w: it is of version %.20q, and this program knows %d", msg.UUID, ErrWireVersion, version, WireVersion)
	}
	return nil
}

// More keys, of messages that a relay sends: see package relay.
const (
	// MetaPrevious is the position of the message that was sent to the topic before
	// this one, 0 before the first. Who knows all up to it has missed nothing.
	MetaPrevious = "previous_position"

	// MetaEvents is how many events the payload has, in a message that is a page of history.
	// A message of a single event does not have it.
	MetaEvents = "events"

	// MetaNames are, in a message of several events that one has become, their names: a JSON array.
	// A transport that routes by name routes it by each of them, once.
	MetaNames = "names"

	// MetaLast is "true" in the last page that answers a request for history. If its position
	// is below [MetaHead], there is more to ask for.
	MetaLast = "last"

	// MetaHead is, in a page that answers a request for history, the relay's position: all
	// that was published is at or below it, and so is what its consumers know, unless
	// the log went back. 1 is before the first event.
	MetaHead = "head_position"

	// MetaAsker is who asked, in a page that answers a request for history: it has only what
	// that one wants.
	MetaAsker = "asker"

	// MetaFailure is, in the last page of an answer, a JSON object with the event that ends it,
	// as that can't be sent, and why: event_id, name, position and error. Without an event (position
	// 0) the error is why there is nothing of what was asked for.
	MetaFailure = "failure"

	// MetaExpires is after how many milliseconds nobody waits for a message any longer, a request
	// for history: whoever carries it may drop it then.
	MetaExpires = "expires_ms"

	// MetaPublication is the number, an @, and the position of when the relay began to publish more events
	// than before: who has read before that has missed something, and needs the history again. In
	// a page that answers a request it is about the events asked for, in a live message about all.
	// It is not there if nothing has changed since the relay's beginning.
	MetaPublication = "publication"

	// MetaAppID is which application has published the message.
	MetaAppID = "app_id"
)

// Marks in the metadata of an event that was made of a message. Marshal undoes
// what they stand for.
const (
	markUUID    = "watermill_uuid"    // the message's UUID, which is not the event's id
	markPayload = "watermill_payload" // "base64": the message's payload is not JSON
)

var reserved = []string{
	MetaName, MetaAggregateName, MetaAggregateID, MetaVersion, MetaSchemaVersion,
	MetaPosition, MetaOccurredAt, MetaEventID, MetaTags, MetaPrevious, MetaEvents, MetaLast, MetaHead, MetaAsker, MetaFailure, MetaExpires, MetaPublication, MetaAppID, MetaWireVersion, markUUID, markPayload,
}

// Marshal makes the message of a stored event, in today's form: mostly one, and one for each
// part of an event that was split, see [eventsourced.Registry.Upcast]. The
// messages share nothing with the event. The error is an
// [*eventsourced.DecodeError].
func Marshal(ctx context.Context, registry *eventsourced.Registry, recorded eventsourced.Recorded) ([]*message.Message, error) {
	parts, err := registry.Upcast(ctx, recorded)
	if err != nil {
		return nil, err
	}
	messages := make([]*message.Message, len(parts))
	for i, part := range parts {
		if messages[i], err = MarshalRecorded(part); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// MarshalRecorded makes the message of an event as it is, whether or not a registry knows
// it: of one that is in its current schema version, or was translated. The error is an
// [*eventsourced.DecodeError].
func MarshalRecorded(event eventsourced.Recorded) (*message.Message, error) {
	payload := slices.Clone(event.Payload)
	if event.Metadata[markPayload] == "base64" {
		var err error
		if payload, err = decodeBase64(event.Payload); err != nil {
			return nil, &eventsourced.DecodeError{Event: event, Err: err}
		}
	}
	id := event.ID.String()
	msg := message.NewMessage(cmp.Or(event.Metadata[markUUID], id), payload)
	for key, value := range event.Metadata {
		if !slices.Contains(reserved, key) {
			msg.Metadata[key] = value
		}
	}
	if msg.UUID != id {
		msg.Metadata[MetaEventID] = id
	}
	if len(event.Tags) > 0 {
		tags, err := json.Marshal(event.Tags)
		if err != nil {
			return nil, &eventsourced.DecodeError{Event: event, Err: err}
		}
		msg.Metadata[MetaTags] = string(tags)
	}
	msg.Metadata[MetaWireVersion] = strconv.Itoa(WireVersion)
	msg.Metadata[MetaName] = event.Name
	msg.Metadata[MetaAggregateName] = event.Stream.AggregateName
	msg.Metadata[MetaAggregateID] = event.Stream.AggregateID
	msg.Metadata[MetaVersion] = strconv.FormatInt(int64(event.Version), 10)
	msg.Metadata[MetaSchemaVersion] = strconv.Itoa(event.SchemaVersion)
	msg.Metadata[MetaPosition] = formatPosition(event.Position)
	msg.Metadata[MetaOccurredAt] = event.Time.Format(time.RFC3339Nano)
	return msg, nil
}

func formatPosition(p eventsourced.Position) string { return strconv.FormatInt(int64(p), 10) }

// The log's payloads are JSON. One that is not is kept as a JSON string in base64.
func encodeBase64(payload []byte) []byte {
	return fmt.Appendf(nil, "%q", base64.StdEncoding.EncodeToString(payload))
}
