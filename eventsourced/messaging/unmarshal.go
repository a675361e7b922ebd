package messaging

import (
	"cmp"
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

func decodeBase64(payload []byte) (decoded []byte, err error) {
	if err := json.Unmarshal(payload, &decoded); err != nil { // into bytes: a string in base64
		return nil, fmt.Errorf("metadata %q: the payload is not base64: %w", markPayload, err)
	}
	return decoded, nil
}
