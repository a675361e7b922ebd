package eventsourced

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
)

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

// unmarshal does what [json.Unmarshal] does to what newEvent returns, but for numbers
// in fields of type any, which are [json.Number].
func unmarshal(payload []byte, newEvent func() Event) (Event, error) {
	u := unmarshalers.Get().(*unmarshaler)
	event := newEvent()
	if u.unmarshal(payload, event) {
		unmarshalers.Put(u)
		return event, nil
	}
	event = newEvent()
	if !json.Valid(payload) {
		return event, json.Unmarshal(payload, event) // it says what is wrong
	}
	return event, newDecoder(bytes.NewReader(payload)).Decode(event)
}

// unmarshal tells whether payload was a value and nothing else. When not, the
// unmarshaler is in the middle of something.
func (u *unmarshaler) unmarshal(payload []byte, event Event) bool {
	u.payload.Reset(payload)
	u.fed += int64(len(payload))
	return u.decoder.Decode(event) == nil && u.decoder.InputOffset() == u.fed
}
