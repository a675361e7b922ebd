package eventsourced

import (
	"errors"
	"fmt"
)

var (
	// ErrConflict is returned by Append and [Repository.Save] when the stream is
	// not as expected: somebody else appended first. Load again and decide again;
	// [Repository.Update] does. The error is a [*ConflictError].
	ErrConflict = errors.New("stream has changed")

	// ErrNotFound is returned by [Repository.Load] and [Repository.Change] for a stream
	// without events.
	ErrNotFound = errors.New("no such aggregate")

	// ErrExists is returned by [Repository.Create] for a stream that has events.
	ErrExists = errors.New("the aggregate exists already")

	// ErrCommandUsed is returned by a [Repository] for the second change of a stream in
	// one execution of a command, see [WithCommand]. Nothing is stored.
	ErrCommandUsed = errors.New("the command has changed the stream already, or is about to: use eventsourced.WithStep for another change")

	// ErrDuplicateID is returned by Append when some of the event ids are in the
	// log already, or all of them but in another stream. Ids are never used again.
	ErrDuplicateID = errors.New("event id is used already")

	// ErrInvalid is returned by Append, and by [Registry.Encode], for input that no repetition
	// makes valid: a name, an id or a payload outside its limits, a string that is not UTF-8; and by reads for
	// a [LogQuery] that makes no sense.
	ErrInvalid = errors.New("invalid")

	// ErrTooManyEvents is returned by [Record] and Append past [MaxEvents].
	ErrTooManyEvents = fmt.Errorf("%w: more than %d events in one append", ErrInvalid, MaxEvents)

	// ErrNotApplied is returned by [Record], and by what loads an aggregate, for an event
	// that has no ApplyTo for an aggregate without Apply. The text says what to write.
	ErrNotApplied = errors.New("nothing applies it")

	// ErrUnsupported is returned by a store for a [LogQuery] with a field that it can't read by.
	// None of the stores here returns it.
	ErrUnsupported = errors.New("the store can't do this")

	// ErrUnknownEvent is returned by [Registry.Decode] and what calls it for an
	// event whose name, or whose schema version, the registry does not know, and
	// by [Registry.Encode] for a type that is not registered.
	ErrUnknownEvent = errors.New("unknown event")

	// ErrNewerEvent is an [ErrUnknownEvent] of an event whose schema version is above the one that the registry knows.
	ErrNewerEvent = fmt.Errorf("%w: it was written by a newer version of the program", ErrUnknownEvent)
)

// ConflictError says which expectation failed. It unwraps to [ErrConflict].
type ConflictError struct {
	Stream   Stream
	Expected Expected
	Actual   Version // the stream's last version, 0 when it has no events
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("append to %s: %v: expected %s, found version %d", e.Stream, ErrConflict, e.Expected, e.Actual)
}

// Unwrap returns [ErrConflict].
func (e *ConflictError) Unwrap() error { return ErrConflict }

// DecodeError says which stored event could not be turned into an [Event], and
// why. It unwraps to the cause: [ErrUnknownEvent], an upcaster's error or one of
// encoding/json.
type DecodeError struct {
	Event Recorded
	Err   error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("decode %s (schema %d) of %s, version %d, position %d, id %s: %v",
		e.Event.Name, e.Event.SchemaVersion, e.Event.Stream, e.Event.Version, e.Event.Position, e.Event.ID, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }
