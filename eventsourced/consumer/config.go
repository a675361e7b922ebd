package consumer

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/internal/pgschema"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Defaults of [Config].
const (
	DefaultPollInterval = time.Second
	DefaultBackOff      = 10 * time.Millisecond
	DefaultMaxBackOff   = 5 * time.Second
	DefaultDrainTimeout = 10 * time.Second
	DefaultHangTimeout  = 30 * time.Second
)

// Config is what projections, reactors, relays and subscribers have in common. The
// configuration of each has one in it, so that a program makes one and gives it to all.
// The zero value works; a negative value is an error.
type Config struct {
	// PollInterval is how long a consumer waits for a wake-up at most before it looks
	// for new events itself, and how long it takes at most until another node takes
	// over from one that died. Defaults to [DefaultPollInterval].
	PollInterval time.Duration

	// BackOff is how long a consumer waits after a failure before it tries again. It
	// doubles with each one in a row. Defaults to [DefaultBackOff].
	BackOff time.Duration

	// MaxBackOff limits that. Defaults to [DefaultMaxBackOff], or BackOff if that is longer. One
	// that is shorter than BackOff is an error.
	MaxBackOff time.Duration

	// DrainTimeout is how long what is under way may go on when a consumer is to end;
	// after that its context is cancelled, and it is done again by whoever is next.
	// Defaults to [DefaultDrainTimeout].
	DrainTimeout time.Duration

	// HangTimeout is how long one call of what is not ours may take: of a reaction, of
	// Publish, of a message's handler. After that it counts as hanging: it is in the log
	// and in the status, its context ends, and until it ends, too, the lease is not
	// renewed, so that another node takes over. Defaults to [DefaultHangTimeout].
	HangTimeout time.Duration

	// Node names this process in the status. It has to be another one for each process.
	// Defaults to [DefaultNode].
	Node string

	// Logger defaults to [slog.Default].
	Logger *slog.Logger

	// Observer is told what consumers do. By default nobody is.
	Observer Observer

	// Tracer is told of what consumers do when it begins. By default nobody is.
	Tracer Tracer

	// Schema has the tables. By default it is the first one of the connection's search
	// path that has them.
	Schema string
}

// DefaultNode returns the host's name and the process id: one name for all that runs in
// this process.
func DefaultNode() string { return defaultNode() }

var defaultNode = sync.OnceValue(func() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s:%d", host, os.Getpid())
})

// WithDefaults returns the configuration with the defaults for what is not set.
func (c Config) WithDefaults() Config {
	c.PollInterval = cmp.Or(c.PollInterval, DefaultPollInterval)
	c.BackOff = cmp.Or(c.BackOff, DefaultBackOff)
	c.MaxBackOff = cmp.Or(c.MaxBackOff, max(DefaultMaxBackOff, c.BackOff))
	c.DrainTimeout = cmp.Or(c.DrainTimeout, DefaultDrainTimeout)
	c.HangTimeout = cmp.Or(c.HangTimeout, DefaultHangTimeout)
	c.Node = cmp.Or(c.Node, DefaultNode())
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Observer == nil {
		c.Observer = NoObserver{}
	}
	if c.Tracer == nil {
		c.Tracer = NoTracer{}
	}
	return c
}

// Problems returns what is wrong with the configuration, which is a part of that of the
// name: "relay.Config".
func (c Config) Problems(name string) (problems []error) {
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
	if 0 < c.MaxBackOff && c.MaxBackOff < c.BackOff {
		problems = append(problems, fmt.Errorf("%s: MaxBackOff is shorter than BackOff", name))
	}
	if err := pgschema.Schema(c.Schema).Validate(); err != nil {
		problems = append(problems, fmt.Errorf("%s: Schema %w", name, err))
	}
	return problems
}

// LeaseTime is for how long a lease holds. The one who waits for its end and then
// takes over has done so within the poll interval.
func (c Config) LeaseTime() time.Duration { return c.PollInterval * 4 / 5 }

// BackOffAfter is the wait after so many failures in a row, from 1.
func (c Config) BackOffAfter(failures int) time.Duration {
	return wait.BackOff{First: c.BackOff, Last: c.MaxBackOff}.Limit(failures)
}
