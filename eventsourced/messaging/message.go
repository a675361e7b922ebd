package messaging

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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

// Unmarshal returns the event of a message that [Marshal] made, wherever the
// message has been since: [eventsourced.Registry.Decode] takes it. It returns
// [ErrMalformed], with all that is wrong, and [ErrWireVersion].
func Unmarshal(msg *message.Message) (eventsourced.Recorded, error) {
	if err := CheckWireVersion(msg); err != nil {
		return eventsourced.Recorded{}, err
	}
	r := reader{msg: msg}
	id := r.id(cmp.Or(msg.Metadata[MetaEventID], msg.UUID))
	recorded := eventsourced.Recorded{
		EventData: r.event(id, defaults{}),
		Stream: eventsourced.Stream{
			AggregateName: r.text(MetaAggregateName, ""),
			AggregateID:   r.text(MetaAggregateID, ""),
		},
		Version:  eventsourced.Version(r.number(MetaVersion, "")),
		Position: eventsourced.Position(r.number(MetaPosition, "")),
	}
	if err := r.err(); err != nil {
		return eventsourced.Recorded{}, err
	}
	return recorded, nil
}

// reader reads a message's metadata and notes what is wrong with it. An empty
// value counts as a missing one; without a default that is a problem.
type reader struct {
	msg      *message.Message
	problems []error
}

// defaults are values of metadata keys that may be missing.
type defaults struct{ name, schemaVersion, occurredAt string }

// event returns the message as the event id.
func (r *reader) event(id eventsourced.EventID, d defaults) eventsourced.EventData {
	event := eventsourced.EventData{
		ID:            id,
		Name:          r.text(MetaName, d.name),
		SchemaVersion: int(r.number(MetaSchemaVersion, d.schemaVersion)),
		Time:          r.time(MetaOccurredAt, d.occurredAt),
		Payload:       slices.Clone(r.msg.Payload),
		Tags:          r.tags(),
	}
	metadata := eventsourced.Metadata{}
	cloudEvent := r.msg.Metadata[CloudEventPrefix+"id"] == id.String() // the attributes are of SetCloudEvent
	for key, value := range r.msg.Metadata {
		if !slices.Contains(reserved, key) && !(cloudEvent && strings.HasPrefix(key, CloudEventPrefix)) {
			metadata[key] = value
		}
	}
	if r.msg.UUID != "" && r.msg.UUID != id.String() {
		metadata[markUUID] = r.msg.UUID
	}
	if !json.Valid(event.Payload) || !utf8.Valid(event.Payload) {
		metadata[markPayload] = "base64"
		event.Payload = encodeBase64(event.Payload)
	}
	if len(metadata) > 0 {
		event.Metadata = metadata
	}
	return event
}

func (r *reader) tags() (tags []string) {
	value := r.msg.Metadata[MetaTags]
	if value == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(value), &tags); err != nil {
		r.problems = append(r.problems, fmt.Errorf("metadata %q: %.40q, want a JSON array of strings", MetaTags, value))
	}
	return tags
}

func (r *reader) id(value string) eventsourced.EventID {
	id, err := eventsourced.ParseEventID(value)
	if err != nil {
		r.problems = append(r.problems, err)
	}
	return id
}

func (r *reader) text(key, fallback string) string {
	value := cmp.Or(r.msg.Metadata[key], fallback)
	if value == "" {
		r.problems = append(r.problems, fmt.Errorf("metadata %q is missing", key))
	}
	return value
}

// number returns a number from 1.
func (r *reader) number(key, fallback string) int64 {
	value := r.text(key, fallback)
	n, err := strconv.ParseInt(value, 10, 64)
	if value != "" && (err != nil || n < 1) {
		r.problems = append(r.problems, fmt.Errorf("metadata %q: %.40q, want a number from 1", key, value))
	}
	return n
}

func (r *reader) time(key, fallback string) time.Time {
	value := r.text(key, fallback)
	at, err := time.Parse(time.RFC3339Nano, value)
	at = at.UTC()
	if value != "" && (err != nil || at.Year() < 0 || at.Year() > 9999) {
		r.problems = append(r.problems, fmt.Errorf("metadata %q: %.40q, want a time such as 2026-01-02T15:04:05.999999Z", key, value))
	}
	return at
}

func (r *reader) err() error {
	if err := errors.Join(r.problems...); err != nil {
		return fmt.Errorf("message %.40q: %w: %w", r.msg.UUID, ErrMalformed, err)
	}
	return nil
}

// The log's payloads are JSON. One that is not is kept as a JSON string in base64.
func encodeBase64(payload []byte) []byte {
	return fmt.Appendf(nil, "%q", base64.StdEncoding.EncodeToString(payload))
}

func decodeBase64(payload []byte) (decoded []byte, err error) {
	if err := json.Unmarshal(payload, &decoded); err != nil { // into bytes: a string in base64
		return nil, fmt.Errorf("metadata %q: the payload is not base64: %w", markPayload, err)
	}
	return decoded, nil
}
