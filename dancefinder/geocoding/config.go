package geocoding

import (
	"log/slog"
	"math/rand/v2"
	"time"
)

// Defaults of [WorkerConfig].
const (
	DefaultConcurrency  = 8
	DefaultPollInterval = time.Second
	DefaultJobTimeout   = time.Minute
	DefaultMaxAttempts  = 10
	DefaultMinBackoff   = 5 * time.Second
	DefaultMaxBackoff   = time.Hour
)

// storeTimeout is how long what must be stored even at the end may take.
const storeTimeout = 5 * time.Second

// maxOutage is how long a worker waits at most before it looks whether the
// database is back.
const maxOutage = 30 * time.Second

// leaseMargin is how much longer a claim holds than its work may take: time to
// store the outcome, and for the clocks of two machines to run apart.
const leaseMargin = 30 * time.Second

// WorkerConfig is the optional part of a [Worker]. The zero value works; a value
// of 0 or less means the default.
type WorkerConfig struct {
	// Concurrency is how many halls are looked up at once by this process; each
	// uses a connection of the pool at times. Set it to 1 for [Nominatim], where
	// more would only wait for each other. Defaults to [DefaultConcurrency].
	Concurrency int

	// PollInterval is how long an idle worker waits before it looks for jobs
	// itself: those that other processes queued, and those to be tried again.
	// Defaults to [DefaultPollInterval].
	PollInterval time.Duration

	// Timeout is how long one job may take, the call and the command together.
	// The job of a process that died is taken over half a minute later than that.
	// Defaults to [DefaultJobTimeout].
	Timeout time.Duration

	// MaxAttempts is how often a job is tried before it is failed. A pause that
	// the provider wants does not count. Defaults to [DefaultMaxAttempts].
	MaxAttempts int

	// MinBackoff is the delay after the first failed attempt, and MaxBackoff the
	// longest: it doubles with each attempt. The true delay is a random one
	// between half of that and all of it. A job that is to wait longer than any of the
	// worker's durations is due: the database's clock went back. So give all workers of
	// a queue the same ones. They default to [DefaultMinBackoff] and
	// [DefaultMaxBackoff].
	MinBackoff, MaxBackoff time.Duration

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

func (c WorkerConfig) withDefaults() WorkerConfig {
	c.Concurrency, c.MaxAttempts = max(c.Concurrency, 0), max(c.MaxAttempts, 0)
	setDefault(&c.Concurrency, DefaultConcurrency)
	setDefault(&c.MaxAttempts, DefaultMaxAttempts)
	for _, field := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.PollInterval, DefaultPollInterval},
		{&c.Timeout, DefaultJobTimeout},
		{&c.MinBackoff, DefaultMinBackoff},
		{&c.MaxBackoff, DefaultMaxBackoff},
	} {
		*field.value = max(*field.value, 0)
		setDefault(field.value, field.fallback)
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

// longestWait is how long a job waits at most, for whatever reason.
func (c WorkerConfig) longestWait() time.Duration {
	return max(c.MaxBackoff, c.Timeout+leaseMargin, maxPause)
}

// backoff returns the delay after an attempt, counted from 1.
func (c WorkerConfig) backoff(attempt int) time.Duration {
	delay := doubled(c.MinBackoff, attempt-1, c.MaxBackoff)
	return delay/2 + rand.N(delay/2+1)
}

// doubled returns d, doubled so many times, but not above limit.
func doubled(d time.Duration, times int, limit time.Duration) time.Duration {
	for range times {
		if d >= limit/2 {
			return limit
		}
		d *= 2
	}
	return min(d, limit)
}
