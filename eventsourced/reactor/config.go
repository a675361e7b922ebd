package reactor

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// Defaults of [Config].
const (
	DefaultAttempts  = 5
	DefaultRetryFor  = 15 * time.Minute
	DefaultMaxDelay  = time.Minute
	DefaultMaxParked = 10_000
)

// OnFailure says what a [Reactor] does about an event that it can't handle.
type OnFailure int

const (
	// StopAtFailure stops the reactor at the event, until [Reactor.Resume] or a
	// restart of the process. No event is handled before those before it are.
	StopAtFailure OnFailure = iota

	// ParkFailures puts the event aside, with its error and with the later events of its
	// stream, and goes on with other streams, until [Reactor.Resume]. Streams that don't
	// depend on each other want this.
	ParkFailures
)

// Config is the configuration of a [Reactor]. Only Name is required; a
// negative value is an error.
type Config struct {
	// Config is what all consumers have in common. BackOff is the wait before the second
	// try of an event. HangTimeout is that of one call of a reaction.
	consumer.Config

	// Name identifies the reactor and its position for ever.
	Name string

	// OnFailure defaults to [StopAtFailure].
	OnFailure OnFailure

	// RetryFor is for how long at least an event is tried before that: first at once, then
	// with waits that double, up to MaxDelay, each shortened by up to half at random. A
	// restart begins anew. Defaults to [DefaultRetryFor].
	RetryFor time.Duration

	// Attempts is how often an event is tried at least before that. Defaults to
	// [DefaultAttempts].
	Attempts int

	// MaxDelay limits the wait between two tries of an event. Defaults to
	// [DefaultMaxDelay]. While it is the database that is down, MaxBackOff does.
	MaxDelay time.Duration

	// Concurrency is how many events may be handled at the same time. Events of one stream
	// are handled in order, one after the other, always. With 1, the default, so are all
	// events.
	Concurrency int

	// MaxParked is how many events may be parked. A reactor that would have to park more
	// stops. Defaults to [DefaultMaxParked].
	MaxParked int

	// StartAtHead lets a new reactor begin with the events that come after its
	// first start. By default it begins with the first event of the log, and
	// reacts to all of the past.
	StartAtHead bool

	// Committed, if set, is called after each transaction of an [OnTx]. Defaults to the log's
	// Wake, if it has one: what was appended is seen at once. One whose log is another store
	// than it appends to has that one's here.
	Committed func()
}

func (c Config) withDefaults(log eventsourced.Log) Config {
	c.Config = c.Config.WithDefaults()
	c.Attempts = cmp.Or(c.Attempts, DefaultAttempts)
	c.RetryFor = cmp.Or(c.RetryFor, DefaultRetryFor)
	c.MaxDelay = cmp.Or(c.MaxDelay, DefaultMaxDelay)
	c.Concurrency = cmp.Or(c.Concurrency, 1)
	c.MaxParked = cmp.Or(c.MaxParked, DefaultMaxParked)
	if c.Committed == nil {
		c.Committed = func() {}
		if waker, ok := log.(interface{ Wake() }); ok {
			c.Committed = waker.Wake
		}
	}
	return c
}

func (c Config) problems() []error {
	problems := append(c.Problems("reactor.Config"), need.Name("reactor.Config: Name", c.Name))
	for _, field := range []struct {
		name     string
		negative bool
	}{
		{"Attempts", c.Attempts < 0},
		{"RetryFor", c.RetryFor < 0},
		{"MaxDelay", c.MaxDelay < 0},
		{"Concurrency", c.Concurrency < 0},
		{"MaxParked", c.MaxParked < 0},
	} {
		if field.negative {
			problems = append(problems, errors.New("reactor.Config: "+field.name+" is negative"))
		}
	}
	if c.OnFailure != StopAtFailure && c.OnFailure != ParkFailures {
		problems = append(problems, fmt.Errorf("reactor.Config: OnFailure is %d, want StopAtFailure or ParkFailures", c.OnFailure))
	}
	return problems
}
