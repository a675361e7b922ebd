package readview

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Defaults of [Config].
const (
	DefaultPageEvents   = 1000
	DefaultPageBytes    = 4 << 20
	DefaultPollInterval = time.Second
	DefaultAttempts     = 3
	DefaultRetryFor     = 30 * time.Second
	DefaultDrainTimeout = 10 * time.Second
	DefaultIdleTimeout  = 30 * time.Second
	DefaultLockTimeout  = 10 * time.Second
)

// Config is the optional part of a [Manager]. The zero value works; a negative
// value is an error.
type Config struct {
	// PageEvents is how many events are applied in one transaction at most.
	// Larger pages catch up faster, smaller ones hold locks for a shorter time.
	// Defaults to [DefaultPageEvents].
	PageEvents int

	// PageBytes limits the payloads of a page in bytes, and so the memory that a
	// projection needs: three times that at most. A single event may be larger.
	// Defaults to [DefaultPageBytes].
	PageBytes int

	// PollInterval is how long a projection waits for a wake-up before it looks
	// for new events itself, and how long it takes at most until another node
	// takes over from one that died. Defaults to [DefaultPollInterval].
	PollInterval time.Duration

	// Attempts is how often an event is tried, with a back-off, before the projection
	// fails. Errors that are not the event's (a server that is down, a deadlock, a lock)
	// don't count: they are retried for ever. Defaults to [DefaultAttempts].
	Attempts int

	// RetryFor is for how long at least an event is tried whose error may pass: a
	// statement timeout, a connection that was lost while its handler ran. Defaults to
	// [DefaultRetryFor].
	RetryFor time.Duration

	// DrainTimeout is how long a page that is being applied may go on when the
	// router closes. After half of it the page ends with the event that is being
	// applied, after all of it that is rolled back, and a second later a handler that
	// has not returned is given up. Defaults to [DefaultDrainTimeout].
	DrainTimeout time.Duration

	// IdleTimeout is for how long a handler may leave the page's transaction
	// idle. After it the server ends the transaction, so that a node that is
	// stopped or cut off does not block the others for ever, and a node whose handler
	// has not returned lets another one take over. Defaults to [DefaultIdleTimeout].
	IdleTimeout time.Duration

	// LockTimeout is how long a reset waits for its locks before it gives up with
	// nothing changed: while it waits, readers of the tables wait behind it.
	// Defaults to [DefaultLockTimeout].
	LockTimeout time.Duration

	// Positions keeps the positions of the projections. Defaults to the table readviews, see
	// [Positions].
	Positions PositionStore

	// Schema is where the tables of [Migrations] are. Defaults to the first schema of the
	// search path that has them.
	Schema string

	// Node names this process in the status. It has to be another one for each process.
	// Defaults to the host's name and the process id.
	Node string

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	setDefault(&c.PageEvents, DefaultPageEvents)
	setDefault(&c.PageBytes, DefaultPageBytes)
	setDefault(&c.PollInterval, DefaultPollInterval)
	setDefault(&c.Attempts, DefaultAttempts)
	setDefault(&c.RetryFor, DefaultRetryFor)
	setDefault(&c.DrainTimeout, DefaultDrainTimeout)
	setDefault(&c.IdleTimeout, DefaultIdleTimeout)
	setDefault(&c.LockTimeout, DefaultLockTimeout)
	if c.Node == "" {
		host, _ := os.Hostname()
		c.Node = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	var problems []error
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"PageEvents", int64(c.PageEvents)},
		{"PageBytes", int64(c.PageBytes)},
		{"PollInterval", int64(c.PollInterval)},
		{"Attempts", int64(c.Attempts)},
		{"RetryFor", int64(c.RetryFor)},
		{"DrainTimeout", int64(c.DrainTimeout)},
		{"IdleTimeout", int64(c.IdleTimeout)},
		{"LockTimeout", int64(c.LockTimeout)},
	} {
		if field.value < 0 {
			problems = append(problems, fmt.Errorf("readview.Config: %s is negative", field.name))
		}
	}
	return errors.Join(problems...)
}
