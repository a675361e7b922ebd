package live

import "errors"

// Why a [Subscription] ended, or was not to be had.
var (
	// ErrSlow ends a subscription whose changes were not taken in time. What it
	// missed is not known: ask anew.
	ErrSlow = errors.New("the subscriber does not keep up")

	// ErrStopped ends all subscriptions when the hub stops, and refuses new ones.
	ErrStopped = errors.New("the hub has stopped")

	// ErrTooMany refuses a subscription beyond [Config.MaxSubscribers].
	ErrTooMany = errors.New("there are too many subscribers")

	// ErrTooManyOfClient refuses one beyond [Config.MaxPerClient].
	ErrTooManyOfClient = errors.New("the client has too many subscriptions")
)
