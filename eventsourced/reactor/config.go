package reactor

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Defaults of [Config].
const (
	DefaultAttempts = 5
	DefaultRetryFor = 30 * time.Second
)

// OnFailure says what a [Reactor] does about an event that it can't handle.
type OnFailure int

const (
	// StopAtFailure stops the reactor at the event, until [Reactor.Resume] or a
	// restart of the process. No event is handled before those before it are.
	StopAtFailure OnFailure = iota

	// ParkFailures puts the event aside, with its error, and goes on, until
	// [Reactor.Resume]. Events that don't depend on each other want this.
	ParkFailures
)

// Config is the configuration of a [Reactor]. Only Name is required; a
// negative value is an error.
type Config struct {
	// Config is what all consumers have in common. HangTimeout is that of one call of a
	// reaction.
	consumer.Config

	// Name identifies the reactor and its position for ever.
	Name string

	// OnFailure defaults to [StopAtFailure].
	OnFailure OnFailure

	// Attempts is how often an event is tried before that. Defaults to
	// [DefaultAttempts].
	Attempts int

	// RetryFor is for how long at least an event is tried whose error may pass: a
	// statement timeout, a deadline, a lock that others hold, a provider that can't be
	// reached. Defaults to [DefaultRetryFor].
	RetryFor time.Duration

	// StartAtHead lets a new reactor begin with the events that come after its
	// first start. By default it begins with the first event of the log, and
	// reacts to all of the past.
	StartAtHead bool
}

func (c Config) withDefaults() Config {
	c.Config = c.Config.WithDefaults()
	c.Attempts = cmp.Or(c.Attempts, DefaultAttempts)
	c.RetryFor = cmp.Or(c.RetryFor, DefaultRetryFor)
	return c
}

func (c Config) problems() []error {
	problems := c.Problems("reactor.Config")
	if c.Name == "" || len(c.Name) > eventsourced.MaxName {
		problems = append(problems, fmt.Errorf("reactor.Config: Name needs 1 to %d bytes", eventsourced.MaxName))
	}
	if c.Attempts < 0 {
		problems = append(problems, errors.New("reactor.Config: Attempts is negative"))
	}
	if c.RetryFor < 0 {
		problems = append(problems, errors.New("reactor.Config: RetryFor is negative"))
	}
	if c.OnFailure != StopAtFailure && c.OnFailure != ParkFailures {
		problems = append(problems, fmt.Errorf("reactor.Config: OnFailure is %d, want StopAtFailure or ParkFailures", c.OnFailure))
	}
	return problems
}
