package geocoding

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound is returned by a [Geocoder] that knows no such place. Asking
	// again soon is useless.
	ErrNotFound = errors.New("no such place")

	// ErrRateLimited is what a [*RateLimitedError] unwraps to.
	ErrRateLimited = errors.New("rate limited")

	// ErrTemporary is returned by a [Geocoder] when the provider can't be reached,
	// is too slow or has failed: it may work later.
	ErrTemporary = errors.New("the provider failed")

	// ErrBadResponse is returned by a [Geocoder] when the provider refuses the
	// request, or answers what it should not. It is likely to be set up wrongly.
	ErrBadResponse = errors.New("unexpected response")

	// ErrNoEvent is returned by [Worker.Enqueue] outside the handler of an event.
	ErrNoEvent = errors.New("no event is being handled in this context")
)

// RateLimitedError says that the provider must not be asked for a while, by
// anybody. It unwraps to [ErrRateLimited].
type RateLimitedError struct {
	RetryAfter time.Duration // above 0
}

func (e *RateLimitedError) Error() string {
	return fmt.Sprintf("%v, try again after %s", ErrRateLimited, e.RetryAfter)
}

// Unwrap returns [ErrRateLimited].
func (e *RateLimitedError) Unwrap() error { return ErrRateLimited }
