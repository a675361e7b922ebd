package eventsourced

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// EventID identifies an event everywhere and for ever: in the log, in messages
// and in failures. Appending the same id twice stores it once.
type EventID [16]byte

// NewEventID returns a UUID of version 7 (RFC 9562): milliseconds of the clock,
// then random bits, so that ids made in turn lie close together in an index.
func NewEventID() EventID {
	var id EventID
	_, _ = rand.Read(id[6:]) // never fails: crypto/rand ends the program instead
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli())<<16)
	copy(id[:6], ms[:6])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// derivedID returns a UUID of version 8 (of our own making) that follows from what
// is given.
func derivedID(kind string, parts ...[]byte) EventID {
	hash := sha256.New()
	for _, part := range append([][]byte{[]byte(kind)}, parts...) {
		_ = binary.Write(hash, binary.BigEndian, uint32(len(part))) // a hash takes everything
		_, _ = hash.Write(part)
	}
	id := EventID(hash.Sum(nil)[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// PartID returns the id of a part, counted from 0, of an event that has become several: always the same.
func PartID(event EventID, part int) EventID {
	return derivedID("part", event[:], []byte(strconv.Itoa(part)))
}

// ParseEventID reads the form that [EventID.String] writes, in either case. Any
// UUID is accepted, whatever its version.
func ParseEventID(s string) (EventID, error) {
	var id EventID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return EventID{}, fmt.Errorf("event id %.40q: want a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057", s)
	}
	at := 0
	for _, part := range []string{s[:8], s[9:13], s[14:18], s[19:23], s[24:]} {
		n, err := hex.Decode(id[at:], []byte(part))
		if err != nil {
			return EventID{}, fmt.Errorf("event id %q: %w", s, err)
		}
		at += n
	}
	return id, nil
}

// IsZero tells whether no id was given.
func (id EventID) IsZero() bool { return id == EventID{} }

// String returns the id as a UUID in lower case.
func (id EventID) String() string {
	text, _ := id.MarshalText()
	return string(text)
}

// MarshalText implements [encoding.TextMarshaler].
func (id EventID) MarshalText() ([]byte, error) {
	text := make([]byte, 0, 36)
	for i, end := range []int{4, 6, 8, 10, 16} {
		if i > 0 {
			text = append(text, '-')
		}
		start := []int{0, 4, 6, 8, 10}[i]
		text = hex.AppendEncode(text, id[start:end])
	}
	return text, nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *EventID) UnmarshalText(text []byte) error {
	parsed, err := ParseEventID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}
