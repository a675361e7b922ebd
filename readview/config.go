package readview

import (
	"errors"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// Defaults of [Config].
const (
	DefaultPageEvents  = 1000
	DefaultPageBytes   = 4 << 20
	DefaultAttempts    = 3
	DefaultRetryFor    = 30 * time.Second
	DefaultBackOff     = 100 * time.Millisecond
	DefaultLockTimeout = 10 * time.Second
	DefaultMaxParked   = 10_000
)

// Config is the optional part of a [Manager]. The zero value works; a negative
// value is an error.
type Config struct {
	// Config is what all consumers have in common.
	//
	// BackOff defaults to [DefaultBackOff] here. DrainTimeout is how long a page that is
	// being applied may go on: after half of it the page ends with the event that is being
	// applied, after all of it that is rolled back, and a second later a handler that has
	// not returned is given up. HangTimeout is also for how long a handler may leave the
	// page's transaction idle: then the server ends it, so that a node that is stopped or
	// cut off does not block the others for ever.
	consumer.Config

	// PageEvents is how many events are applied in one transaction at most.
	// Larger pages catch up faster, smaller ones hold locks for a shorter time. A transaction whose
	// handlers have taken 2 s, or a quarter of HangTimeout if that is less, ends with the event that
	// is being applied, and the rest of the page follows in the next one.
	// Defaults to [DefaultPageEvents].
	PageEvents int

	// PageBytes limits the payloads of a page in bytes, and so the memory that a
	// projection needs: four times that at most. A single event may be larger.
	// Defaults to [DefaultPageBytes].
	PageBytes int

	// Attempts is how often an event is tried, with a back-off, before the projection
	// fails. Errors that are not the event's (a server that is down, a deadlock, a lock)
	// don't count: they are retried for ever. Defaults to [DefaultAttempts].
	Attempts int

	// RetryFor is for how long at least an event is tried whose error may pass: a
	// statement timeout, a connection that was lost while its handler ran. Defaults to
	// [DefaultRetryFor].
	RetryFor time.Duration

	// LockTimeout is how long a reset waits for its locks before it gives up with
	// nothing changed: while it waits, readers of the tables wait behind it.
	// Defaults to [DefaultLockTimeout].
	LockTimeout time.Duration

	// MaxParked is how many events of a projection may be parked, see [ParkFailures]. A
	// projection that would have to park more stops. Defaults to [DefaultMaxParked].
	MaxParked int

	// VerifyEvery is how often each projection is verified on schedule, as by [Manager.Verify], by the node that applies it: so
	// that a row that somebody has changed by hand is found. Defaults to 0, which is never. A projection is verified while it is live and
	// nobody rebuilds or verifies it, one after the other of a manager, and not again before [VerifyPause] times as long as that took: one
	// that takes an hour once in 21 hours, whatever VerifyEvery is. What it finds is on record, see Verify of
	// [consumer.Status]; the operator log has it when it is another outcome than the time before, with the actor "schedule".
	//
	// It wants what a verification wants, CREATE on the database, and 8 connections of the pool at least, so that as many as it takes are left to
	// all others; without, it says so, and tries again. Projections of [Manager.AddRemote] are left out, as their whole history would
	// have to be asked for each time, and so are those without Tables.
	VerifyEvery time.Duration

	// Positions keeps the positions of the projections. Defaults to the table readviews, see
	// [Positions].
	Positions PositionStore
}

func (c Config) withDefaults() Config {
	setDefault(&c.BackOff, DefaultBackOff)
	c.Config = c.Config.WithDefaults()
	setDefault(&c.PageEvents, DefaultPageEvents)
	setDefault(&c.PageBytes, DefaultPageBytes)
	setDefault(&c.Attempts, DefaultAttempts)
	setDefault(&c.RetryFor, DefaultRetryFor)
	setDefault(&c.LockTimeout, DefaultLockTimeout)
	setDefault(&c.MaxParked, DefaultMaxParked)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	problems := c.Problems("readview.Config")
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"PageEvents", int64(c.PageEvents)},
		{"PageBytes", int64(c.PageBytes)},
		{"Attempts", int64(c.Attempts)},
		{"RetryFor", int64(c.RetryFor)},
		{"LockTimeout", int64(c.LockTimeout)},
		{"MaxParked", int64(c.MaxParked)},
		{"VerifyEvery", int64(c.VerifyEvery)},
	} {
		if field.value < 0 {
			problems = append(problems, fmt.Errorf("readview.Config: %s is negative", field.name))
		}
	}
	if c.Positions != nil && need.Nil(c.Positions) {
		problems = append(problems, errors.New("readview.Config: Positions is a nil pointer"))
	}
	return errors.Join(problems...)
}
