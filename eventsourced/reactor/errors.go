package reactor

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotParked is returned by those who resume or skip something that is not parked.
var ErrNotParked = errors.New("not parked")

var errMissing = errors.New("the event is not in the log any more")

// tooManyError is why a reactor stops that should park one event more.
func tooManyError(most int64, cause error) error {
	return fmt.Errorf("%d events are parked, and no more are (Config.MaxParked): %w", most, cause)
}

// wish is what a reaction wants to be done about its error.
type wish struct {
	error
	kind  wishKind
	after time.Duration
}

type wishKind int

const (
	noWish wishKind = iota
	wantsRetry
	wantsPark
	wantsSkip
)

// Unwrap returns the error.
func (w *wish) Unwrap() error { return w.error }

// Retry returns err as an error of a reaction's that has the event tried again after so long,
// and not sooner, as a server says that can't serve now. The event is not given up at
// such an error, however long it has been failing. It returns nil for nil.
func Retry(after time.Duration, err error) error {
	return wishing(&wish{err, wantsRetry, max(after, 0)})
}

// Park returns err as an error of a reaction's that has the event parked at once, whatever
// [Config.OnFailure] says: it is not worth trying again before somebody has looked. It returns
// nil for nil.
func Park(err error) error { return wishing(&wish{err, wantsPark, 0}) }

// Skip returns err as an error of a reaction's that has the event passed over for good, with
// a line in the log and in the table reactor_skipped: see [Parking.Skipped]. It returns nil
// for nil.
func Skip(err error) error { return wishing(&wish{err, wantsSkip, 0}) }

func wishing(w *wish) error {
	if w.error == nil {
		return nil
	}
	return w
}

// wishOf returns what an error wants; the outermost wish counts.
func wishOf(err error) (wishKind, time.Duration) {
	var w *wish
	if errors.As(err, &w) {
		return w.kind, w.after
	}
	return noWish, 0
}
