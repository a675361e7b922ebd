package eventsourced

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/internal/plainjson"
)

// Codec encodes events as payloads and decodes them again. It is given to a registry by
// [WithCodec], and may wrap [JSON]: to encrypt what is personal, to count, to trace. ctx is
// that of whoever appends or reads, so keys and traces have a way in.
//
// Payloads are JSON in every store and in every message; what is not is refused with
// [ErrInvalid] when it is appended. So encryption and compression happen inside of it, as
// in a string in base64. Upcasters come before Decode and see payloads as they are stored.
//
// A Codec is safe for concurrent use, and keeps none of its arguments.
type Codec interface {
	// Encode returns the payload of an event: all that is not in its [BaseEvent].
	Encode(ctx context.Context, event Event) ([]byte, error)

	// Decode sets event, which is new and empty, to a stored payload of the current
	// schema version. It returns an error rather than half of it.
	Decode(ctx context.Context, stored Stored, event Event) error
}

// Stored is an event as it is stored, for those who decode and upcast it. It is read-only.
type Stored struct {
	Name          string
	SchemaVersion int // of the payload
	Stream        Stream
	Time          time.Time // when it happened
	Metadata      Metadata
	Payload       json.RawMessage
}

// As returns the event under another name, or schema version, and with another payload, for
// a [ReplaceFunc].
func (s Stored) As(name string, schemaVersion int, payload json.RawMessage) Stored {
	s.Name, s.SchemaVersion, s.Payload = name, schemaVersion, payload
	return s
}

func storedOf(recorded *Recorded) Stored {
	return Stored{recorded.Name, recorded.SchemaVersion, recorded.Stream, recorded.Time, recorded.Metadata, recorded.Payload}
}

// WithCodec sets how a registry's events are encoded. By default that is [JSON].
func WithCodec(codec Codec) RegistryOption { return codecOption{codec} }

type codecOption struct{ codec Codec }

func (o codecOption) configure(c *registryConfig) { c.codecs = append(c.codecs, o.codec) }

// JSON is the codec of encoding/json. Numbers in fields of type any are [json.Number], which
// is exact.
type JSON struct{}

var _ Codec = JSON{}

// Encode implements [Codec]. It returns [ErrInvalid] for a string that is not UTF-8, as
// JSON has no other.
func (JSON) Encode(_ context.Context, event Event) ([]byte, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	if !validUTF8(event, payload) {
		return nil, fmt.Errorf("%w: a string in it is not UTF-8, which JSON would replace", ErrInvalid)
	}
	return payload, nil
}

// Decode implements [Codec]. It does what [json.Unmarshal] does, but for numbers in fields
// of type any.
func (JSON) Decode(_ context.Context, stored Stored, event Event) error {
	if plainjson.Decode(stored.Payload, event) {
		return nil
	}
	reflect.ValueOf(event).Elem().SetZero()
	u := unmarshalers.Get().(*unmarshaler)
	if u.unmarshal(stored.Payload, event) {
		unmarshalers.Put(u)
		return nil
	}
	reflect.ValueOf(event).Elem().SetZero()
	if !json.Valid(stored.Payload) {
		return json.Unmarshal(stored.Payload, event) // it says what is wrong
	}
	return newDecoder(bytes.NewReader(stored.Payload)).Decode(event)
}

// unmarshaler decodes payloads one after the other. [json.Unmarshal] makes anew what
// a [json.Decoder] keeps: of a small payload's decoding that is half the time, and
// most of the memory.
type unmarshaler struct {
	payload bytes.Reader
	decoder *json.Decoder
	fed     int64 // bytes, of all payloads
}

var unmarshalers = sync.Pool{New: func() any {
	u := &unmarshaler{}
	u.decoder = newDecoder(&u.payload)
	return u
}}

// newDecoder returns a decoder that keeps numbers exactly, also in a field of type any.
func newDecoder(payload io.Reader) *json.Decoder {
	decoder := json.NewDecoder(payload)
	decoder.UseNumber()
	return decoder
}

// unmarshal tells whether payload was a value and nothing else. When not, the
// unmarshaler is in the middle of something.
func (u *unmarshaler) unmarshal(payload []byte, event Event) bool {
	u.payload.Reset(payload)
	u.fed += int64(len(payload))
	return u.decoder.Decode(event) == nil && u.decoder.InputOffset() == u.fed
}
