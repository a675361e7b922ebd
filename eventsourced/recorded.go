package eventsourced

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Position is an event's place in the log: microseconds since the Unix epoch,
// strictly increasing in the order of commits and unique to the event. 0 stands
// before the first event. There are gaps.
type Position int64

// Time returns the position as a time. For an event that is when it was
// appended, or a little later where many were appended at once.
func (p Position) Time() time.Time { return time.UnixMicro(int64(p)).UTC() }

// Version is an event's place in its stream: 1, 2, 3, without gaps. It is the
// version of the aggregate after that event.
type Version int64

// Stream names the events of one aggregate.
type Stream struct {
	AggregateName string // the kind, such as "domain.Band"
	AggregateID   string // which one
}

// String returns the stream as "name/id".
func (s Stream) String() string { return s.AggregateName + "/" + s.AggregateID }

// Recorded is an event as it stands in the log, not yet decoded:
// [Registry.Decode] turns it into an [Event]. The receiver may keep it but must
// not change Payload, Metadata or Tags.
type Recorded struct {
	EventData
	Stream   Stream
	Version  Version
	Position Position
}

// EventData is an event that is encoded and ready to be appended. [Registry.Encode]
// makes it. The same EventData, appended again, is stored once.
type EventData struct {
	ID            EventID
	Name          string    // the registered name, such as "BandCreated"
	SchemaVersion int       // the payload's, from 1
	Time          time.Time // when it happened, from the year 0 to 9999; kept as UTC, in microseconds
	Payload       []byte    // valid JSON
	Metadata      Metadata  // nil when there is none

	// Tags are what else the event is about, such as "course:7" and "student:3", for decisions that
	// need the events of several streams. They are stored and given back, in this order, nil when
	// there are none; nothing reads by them yet.
	Tags []string
}

// Limits of names and appends, the same in every store. The limit of a payload is
// the store's.
const (
	MaxName          = 200      // bytes in an event name, an aggregate name or an aggregate id
	MaxEvents        = 1000     // events in one append
	MaxSchemaVersion = 1 << 30  // of a payload
	MaxMetadata      = 16 << 10 // bytes in the keys and values of an event's metadata
	MaxTags          = 16       // of an event, all different, each with at most MaxName bytes
)

// What of an event's time is stored and sent is the same everywhere: JSON and RFC 3339 go no
// further.
var (
	minTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	endTime = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ValidateAppend reports what no store accepts, all problems at once, each
// wrapping [ErrInvalid] or [ErrDuplicateID]. Stores call it before they write.
func ValidateAppend(stream Stream, events []EventData, maxPayload int) error {
	problems := []error{
		validateName("aggregate name", stream.AggregateName),
		validateName("aggregate id", stream.AggregateID),
	}
	switch {
	case len(events) == 0:
		problems = append(problems, fmt.Errorf("%w: an append needs at least one event", ErrInvalid))
	case len(events) > MaxEvents:
		problems = append(problems, fmt.Errorf("%w: %d", ErrTooManyEvents, len(events)))
	}
	if len(events) <= MaxEvents {
		ids := make(map[EventID]struct{}, len(events))
		for i, event := range events {
			problems = append(problems, validateEvent(i, event, maxPayload))
			ids[event.ID] = struct{}{}
		}
		if len(ids) < len(events) {
			problems = append(problems, fmt.Errorf("%w: twice in one append", ErrDuplicateID))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("append to %s: %w", stream, err)
	}
	return nil
}

func validateEvent(i int, event EventData, maxPayload int) error {
	if err := validateName("event name", event.Name); err != nil {
		return fmt.Errorf("event %d: %w", i, err)
	}
	switch {
	case event.ID.IsZero():
		return fmt.Errorf("event %d, %s: %w: it has no id", i, event.Name, ErrInvalid)
	case event.SchemaVersion < 1 || event.SchemaVersion > MaxSchemaVersion:
		return fmt.Errorf("event %d, %s: %w: schema version %d, want 1 to %d", i, event.Name, ErrInvalid, event.SchemaVersion, MaxSchemaVersion)
	case event.Time.Before(minTime) || !event.Time.Before(endTime):
		return fmt.Errorf("event %d, %s: %w: its time is not in the years 0 to 9999", i, event.Name, ErrInvalid)
	case len(event.Payload) == 0:
		return fmt.Errorf("event %d, %s: %w: it has no payload", i, event.Name, ErrInvalid)
	case len(event.Payload) > maxPayload:
		return fmt.Errorf("event %d, %s: %w: a payload of %d bytes, the limit is %d", i, event.Name, ErrInvalid, len(event.Payload), maxPayload)
	}
	if err := cmp.Or(validateMetadata(event.Metadata), validateTags(event.Tags)); err != nil {
		return fmt.Errorf("event %d, %s: %w", i, event.Name, err)
	}
	return nil
}

func validateTags(tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%w: %d tags, the limit is %d", ErrInvalid, len(tags), MaxTags)
	}
	for i, tag := range tags {
		if err := validateName("tag", tag); err != nil {
			return err
		}
		if slices.Contains(tags[:i], tag) {
			return fmt.Errorf("%w: the tag %q is there twice", ErrInvalid, tag)
		}
	}
	return nil
}

func validateMetadata(metadata Metadata) error {
	size := 0
	for key, value := range metadata {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return fmt.Errorf("%w: the metadata %q is not UTF-8", ErrInvalid, key)
		}
		size += len(key) + len(value)
	}
	if size > MaxMetadata {
		return fmt.Errorf("%w: metadata of %d bytes, the limit is %d", ErrInvalid, size, MaxMetadata)
	}
	return nil
}

func validateName(what, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("%w: the %s is empty", ErrInvalid, what)
	case len(name) > MaxName:
		return fmt.Errorf("%w: the %s %.40q... has %d bytes, the limit is %d", ErrInvalid, what, name, len(name), MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: the %s %q has a control character or is not UTF-8", ErrInvalid, what, name)
	}
	return nil
}
