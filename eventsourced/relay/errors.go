package relay

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

var (
	// ErrNotThere is returned by [Relay.Skip] for an event that can leave, or stays
	// inside, for a position that no event has, and for an event that only this program can't read, as it is older than the event.
	ErrNotThere = errors.New("the event is not in the way")

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

// IsTranslateFailure tells that a failure of a relay, its own or one that an answer has, is of an event that can't be translated, or of which that
// does not end. Such an event may be left out by [Relay.Skip] if nobody can mend it; what can't be published otherwise mostly wants a broker.
func IsTranslateFailure(f *consumer.Failure) bool {
	return f.Position != 0 && (strings.HasPrefix(f.Error, "relay "+f.EventName+" of ") || strings.HasPrefix(f.Error, "Translate"))
}

func (e *TranslateError) Unwrap() error { return e.Err }
