package messaging

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Defaults of [SubscriberConfig].
const (
	DefaultPollInterval = time.Second
	DefaultBackOff      = 10 * time.Millisecond
	DefaultMaxBackOff   = 5 * time.Second
	DefaultDrainTimeout = 10 * time.Second
	DefaultHangTimeout  = 30 * time.Second
)

// SubscriberConfig is the optional part of a [Subscriber]. The zero value works; a
// negative value is an error.
type SubscriberConfig struct {
	// ConsumerGroup names the durable position that subscribers share, one for
	// each topic. A new group starts with the first event of the log. When it is
	// empty, every subscription starts there, keeps no position and has all
	// events to itself: that suits what is built up anew in memory at each start.
	ConsumerGroup string

	// PollInterval is how long a subscription waits for a wake-up at most before it
	// looks for new events itself, and how long it takes at most until another
	// subscriber of the group takes over from one that died. Defaults to
	// [DefaultPollInterval].
	PollInterval time.Duration

	// BackOff is how long an event waits after its first Nack before it comes
	// again, and a subscription after an error of the database before it goes on.
	// It doubles with each one in a row. Defaults to [DefaultBackOff].
	BackOff time.Duration

	// MaxBackOff limits that. Defaults to [DefaultMaxBackOff].
	MaxBackOff time.Duration

	// DrainTimeout is how long Close waits for the Ack or Nack of a message that is
	// being handled; after that its context is cancelled, and it comes again.
	// Defaults to [DefaultDrainTimeout].
	DrainTimeout time.Duration

	// HangTimeout is how long the handling of one message may take. After that it
	// counts as hanging: it is in the log and in the status, its context ends, and
	// until it ends, too, the lease is not renewed, so that another subscriber of the
	// group takes over. Defaults to [DefaultHangTimeout].
	HangTimeout time.Duration

	// Unregistered allows topics that are no names of the registry: those of messages
	// that a [Publisher] stores under names of their own. By default Subscribe refuses
	// them, as a name that is spelled wrong would never get an event.
	Unregistered bool

	// Node names this process in the table consumers. Defaults to the host's name
	// and the process id.
	Node string

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	c.PollInterval = cmp.Or(c.PollInterval, DefaultPollInterval)
	c.BackOff = cmp.Or(c.BackOff, DefaultBackOff)
	c.MaxBackOff = cmp.Or(c.MaxBackOff, DefaultMaxBackOff)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, DefaultDrainTimeout)
	c.HangTimeout = cmp.Or(c.HangTimeout, DefaultHangTimeout)
	if c.Node == "" {
		host, _ := os.Hostname()
		c.Node = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

func (c SubscriberConfig) problems(positions PositionStore) []error {
	problems := c.durations("messaging.SubscriberConfig")
	if c.ConsumerGroup != "" && isNil(positions) {
		problems = append(problems, errors.New("messaging.SubscriberConfig: ConsumerGroup needs a PositionStore"))
	}
	return problems
}

// isNil tells that a dependency is not there: nil, or an interface that holds a nil
// pointer.
func isNil(dependency any) bool {
	value := reflect.ValueOf(dependency)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// logProblems finds what would be a nil pointer later, in the arguments of constructor.
func logProblems(constructor string, log eventsourced.Log) []error {
	switch {
	case isNil(log):
		return []error{fmt.Errorf("messaging.%s: the log is nil", constructor)}
	case log.Registry() == nil:
		return []error{fmt.Errorf("messaging.%s: the log has no registry", constructor)}
	}
	return nil
}

// durations reports those that are negative, in a config of that name.
func (c SubscriberConfig) durations(name string) (problems []error) {
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"PollInterval", c.PollInterval},
		{"BackOff", c.BackOff},
		{"MaxBackOff", c.MaxBackOff},
		{"DrainTimeout", c.DrainTimeout},
		{"HangTimeout", c.HangTimeout},
	} {
		if field.value < 0 {
			problems = append(problems, fmt.Errorf("%s: %s is negative", name, field.name))
		}
	}
	return problems
}

// leaseTime is for how long a lease holds. The one who waits for its end and then
// takes over has done so within the poll interval.
func (c SubscriberConfig) leaseTime() time.Duration { return c.PollInterval * 4 / 5 }

// backOff is the wait after so many failures in a row, from 1.
func (c SubscriberConfig) backOff(failures int) time.Duration {
	wait := c.BackOff
	for range failures - 1 {
		if wait *= 2; wait >= c.MaxBackOff {
			break
		}
	}
	return min(wait, c.MaxBackOff)
}

// Defaults of [RelayConfig].
const (
	DefaultRelayName   = "relay"
	DefaultTopic       = "events"
	DefaultGroupEvents = 500
)

// RelayConfig is the optional part of a [Relay]. The zero value works; a negative
// value is an error.
type RelayConfig struct {
	// Name identifies the relay and its position for ever. Defaults to
	// [DefaultRelayName].
	Name string

	// Topic returns the topic of an event, never none. It has to return the same one for ever.
	// A consumer receives the events of one topic in order, so events that belong
	// together belong into one topic. By default all go to [DefaultTopic].
	Topic func(eventsourced.Recorded) string

	// Names are the names of the events that leave the context. The others are no
	// concern of anybody else, and may change without asking. By default all leave.
	Names []string

	// Translate returns the form in which an event, in today's schema version,
	// leaves the context: its Name, SchemaVersion (1 if it is 0), Payload and
	// Metadata; the rest stays. Without a name the event stays inside. It has to be a pure function,
	// and may be called concurrently. By default events leave as they are.
	Translate func(eventsourced.Recorded) (eventsourced.Recorded, error)

	// StartAtHead lets a new relay begin with the events that come after its first
	// start, when consumers are to ask for the history. By default it begins with
	// the first event of the log.
	StartAtHead bool

	// GroupEvents is how many events are published at once, and how many come
	// twice at most after a crash. Defaults to [DefaultGroupEvents].
	GroupEvents int

	// Requests is where consumers ask for history, see [ReplayRequest]. Only the
	// active node subscribes. By default there is no history to be had.
	Requests message.Subscriber

	// RequestTopic is the topic of those requests. Defaults to the name of the
	// relay and ".requests".
	RequestTopic string

	// PollInterval, BackOff, MaxBackOff, DrainTimeout, HangTimeout, Node and Logger are
	// those of [SubscriberConfig], with the same defaults. HangTimeout is that of one
	// call: of Publish, Translate or Topic.
	PollInterval time.Duration
	BackOff      time.Duration
	MaxBackOff   time.Duration
	DrainTimeout time.Duration
	HangTimeout  time.Duration
	Node         string
	Logger       *slog.Logger
}

func (c RelayConfig) withDefaults() RelayConfig {
	c.Name = cmp.Or(c.Name, DefaultRelayName)
	c.GroupEvents = cmp.Or(c.GroupEvents, DefaultGroupEvents)
	c.RequestTopic = cmp.Or(c.RequestTopic, c.Name+".requests")
	if c.Topic == nil {
		c.Topic = func(eventsourced.Recorded) string { return DefaultTopic }
	}
	return c
}

func (c RelayConfig) following() SubscriberConfig {
	return SubscriberConfig{
		PollInterval: c.PollInterval, BackOff: c.BackOff, MaxBackOff: c.MaxBackOff,
		DrainTimeout: c.DrainTimeout, HangTimeout: c.HangTimeout, Node: c.Node, Logger: c.Logger,
	}.withDefaults()
}

func (c RelayConfig) problems(log eventsourced.Log) []error {
	problems := c.following().durations("messaging.RelayConfig")
	if c.GroupEvents < 0 {
		problems = append(problems, errors.New("messaging.RelayConfig: GroupEvents is negative"))
	}
	if len(c.Name) > eventsourced.MaxName {
		problems = append(problems, fmt.Errorf("messaging.RelayConfig: Name has more than %d bytes", eventsourced.MaxName))
	}
	if c.Requests != nil && isNil(c.Requests) {
		problems = append(problems, errors.New("messaging.RelayConfig: Requests is a nil pointer"))
	}
	if len(logProblems("", log)) > 0 {
		return problems
	}
	for _, name := range c.Names {
		if log.Registry().SchemaVersion(name) == 0 {
			problems = append(problems, fmt.Errorf("messaging.RelayConfig: Names has %q, which is no event of the registry", name))
		}
	}
	return problems
}

// Defaults of [ReactorConfig].
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

// ReactorConfig is the configuration of a [Reactor]. Only Name is required; a
// negative value is an error.
type ReactorConfig struct {
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

	// PollInterval, BackOff, MaxBackOff, DrainTimeout, HangTimeout, Node and Logger are
	// those of [SubscriberConfig], with the same defaults. HangTimeout is that of one
	// call: of a reaction.
	PollInterval time.Duration
	BackOff      time.Duration
	MaxBackOff   time.Duration
	DrainTimeout time.Duration
	HangTimeout  time.Duration
	Node         string
	Logger       *slog.Logger
}

func (c ReactorConfig) withDefaults() ReactorConfig {
	c.Attempts = cmp.Or(c.Attempts, DefaultAttempts)
	c.RetryFor = cmp.Or(c.RetryFor, DefaultRetryFor)
	return c
}

func (c ReactorConfig) following() SubscriberConfig {
	return SubscriberConfig{
		PollInterval: c.PollInterval, BackOff: c.BackOff, MaxBackOff: c.MaxBackOff,
		DrainTimeout: c.DrainTimeout, HangTimeout: c.HangTimeout, Node: c.Node, Logger: c.Logger,
	}.withDefaults()
}

func (c ReactorConfig) problems() []error {
	problems := c.following().durations("messaging.ReactorConfig")
	if c.Name == "" || len(c.Name) > eventsourced.MaxName {
		problems = append(problems, fmt.Errorf("messaging.ReactorConfig: Name needs 1 to %d bytes", eventsourced.MaxName))
	}
	if c.Attempts < 0 {
		problems = append(problems, errors.New("messaging.ReactorConfig: Attempts is negative"))
	}
	if c.RetryFor < 0 {
		problems = append(problems, errors.New("messaging.ReactorConfig: RetryFor is negative"))
	}
	if c.OnFailure != StopAtFailure && c.OnFailure != ParkFailures {
		problems = append(problems, fmt.Errorf("messaging.ReactorConfig: OnFailure is %d, want StopAtFailure or ParkFailures", c.OnFailure))
	}
	return problems
}
