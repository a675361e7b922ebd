package relay

import (
	"errors"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

var (
	// ErrNotInTheWay is returned by [Relay.Skip] for an event that can leave, or stays
	// inside, and for a position that no event has.
	ErrNotInTheWay = errors.New("the event is not in the way")

	errNoTopic = errors.New("it has no topic; it is Translate that keeps events inside")
)

// TranslateError is returned for an event that can't be made a message: by its upcasters,
// Translate or Topic. Nothing passes it, live, and history ends before it, until the
// program is mended or it is left out, see [Relay.Skip].
type TranslateError struct {
	Position eventsourced.Position
	EventID  eventsourced.EventID
	Name     string // under which it is stored
	Stream   eventsourced.Stream
	Err      error
}

func newTranslateError(event eventsourced.Recorded, err error) *TranslateError {
	return &TranslateError{event.Position, event.ID, event.Name, event.Stream, err}
}

func (e *TranslateError) Error() string {
	return fmt.Sprintf("relay %s of %s, position %d, id %s: %s", e.Name, e.Stream, e.Position, e.EventID, e.Err)
}

func (e *TranslateError) Unwrap() error { return e.Err }
