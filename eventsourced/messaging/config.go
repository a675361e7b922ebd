package messaging

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Defaults of [SubscriberConfig].
const (
	DefaultPollInterval = time.Second
	DefaultBackOff      = 10 * time.Millisecond
	DefaultMaxBackOff   = 5 * time.Second
	DefaultDrainTimeout = 10 * time.Second
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
	if c.Node == "" {
		host, _ := os.Hostname()
		c.Node = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

func (c SubscriberConfig) validate(positions PositionStore) error {
	var problems []error
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"PollInterval", c.PollInterval},
		{"BackOff", c.BackOff},
		{"MaxBackOff", c.MaxBackOff},
		{"DrainTimeout", c.DrainTimeout},
	} {
		if field.value < 0 {
			problems = append(problems, fmt.Errorf("messaging.SubscriberConfig: %s is negative", field.name))
		}
	}
	if c.ConsumerGroup != "" && positions == nil {
		problems = append(problems, errors.New("messaging.SubscriberConfig: ConsumerGroup needs a PositionStore"))
	}
	return errors.Join(problems...)
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
