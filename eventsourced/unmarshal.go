package eventsourced

import (
	"bytes"
	"encoding/json"
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
	u.decoder = json.NewDecoder(&u.payload)
	return u
}}

// unmarshal does what [json.Unmarshal] does to what newEvent returns.
func unmarshal(payload []byte, newEvent func() Event) (Event, error) {
	u := unmarshalers.Get().(*unmarshaler)
	event := newEvent()
	if u.unmarshal(payload, event) {
		unmarshalers.Put(u)
		return event, nil
	}
	event = newEvent()
	return event, json.Unmarshal(payload, event)
}

// unmarshal tells whether payload was a value and nothing else. When not, the
// unmarshaler is in the middle of something.
func (u *unmarshaler) unmarshal(payload []byte, event Event) bool {
	u.payload.Reset(payload)
	u.fed += int64(len(payload))
	return u.decoder.Decode(event) == nil && u.decoder.InputOffset() == u.fed
}
