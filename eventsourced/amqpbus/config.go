package amqpbus

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Defaults of [PublisherConfig] and [SubscriberConfig].
const (
	DefaultConfirmTimeout = 30 * time.Second
	DefaultBackOff        = 50 * time.Millisecond
	DefaultMaxBackOff     = 5 * time.Second
	DefaultDrainTimeout   = 10 * time.Second
	DefaultHeartbeat      = 5 * time.Second
	DefaultPrefetch       = 1
	FeedPrefetch          = 100 // of a subscriber that feeds a projection, see [Subscriber.ForFeed]
)

// Declares is what a [Publisher] or [Subscriber] makes at the broker.
type Declares string

const (
	// DeclareAll makes exchanges, queues and bindings that are not there, and fails
	// if they are there with other properties. It needs the permission to configure
	// all of them.
	DeclareAll Declares = "all"

	// DeclareQueue makes the queue of a group and its bindings, not the exchange of
	// the topic, which is another context's and has to be there. It needs the
	// permissions to configure and write the queue and to read the exchange.
	DeclareQueue Declares = "queue"

	// DeclareNothing makes nothing: who runs the broker does. What is not there is
	// a failure. It needs the permission to write what is published to, and to read
	// the queue. Nobody can check then what kind of queue it is: see "Queues that
	// others declare" in the package documentation.
	DeclareNothing Declares = "nothing"
)

func (d Declares) problem(config string) error {
	switch d {
	case "", DeclareAll, DeclareQueue, DeclareNothing:
		return nil
	}
	return fmt.Errorf("%s: Declare is %q, want %q, %q or %q", config, d, DeclareAll, DeclareQueue, DeclareNothing)
}

// PublisherConfig is the optional part of a [Publisher]. The zero value works; a
// negative value is an error.
type PublisherConfig struct {
	// TLS is for an amqps URL. Defaults to the system's certificates.
	TLS *tls.Config

	// Heartbeat is how often the broker shows that it lives; after three missing
	// ones a connection is given up. In seconds, or [DefaultHeartbeat].
	Heartbeat time.Duration

	// Declare is whether exchanges are made. Defaults to [DeclareAll]; DeclareQueue
	// is DeclareNothing here.
	Declare Declares

	// RoutingKey returns the routing key of a message. Defaults to its metadata
	// [messaging.MetaName]. For a message of several events that one has become it is called with
	// the name of each, and the message goes to who has bound any of the keys, once.
	RoutingKey func(*message.Message) string

	// ConfirmTimeout is how long Publish waits for the broker. Defaults to
	// [DefaultConfirmTimeout].
	ConfirmTimeout time.Duration

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

func (c PublisherConfig) withDefaults() PublisherConfig {
	c.ConfirmTimeout = cmp.Or(c.ConfirmTimeout, DefaultConfirmTimeout)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Declare = cmp.Or(c.Declare, DeclareAll)
	if c.RoutingKey == nil {
		c.RoutingKey = func(msg *message.Message) string { return msg.Metadata[messaging.MetaName] }
	}
	return c
}

func (c PublisherConfig) validate() error {
	problems := []error{c.Declare.problem("amqpbus.PublisherConfig")}
	if c.ConfirmTimeout < 0 {
		problems = append(problems, errors.New("amqpbus.PublisherConfig: ConfirmTimeout is negative"))
	}
	if badHeartbeat(c.Heartbeat) {
		problems = append(problems, errors.New("amqpbus.PublisherConfig: Heartbeat is not in seconds"))
	}
	return errors.Join(problems...)
}

// badHeartbeat tells what AMQP would make another time, or none.
func badHeartbeat(heartbeat time.Duration) bool {
	return heartbeat < 0 || heartbeat%time.Second != 0
}

// QueueType is a kind of queue.
type QueueType string

// The kinds of queues.
const (
	// Classic queues are on one node, which has to come back for them to go on.
	Classic QueueType = "classic"

	// Quorum queues are on several nodes of a cluster and go on without one of
	// them. On a single node they are no safer than Classic ones: what was
	// confirmed outlives a crash of either. After a crash of its only node
	// RabbitMQ 3.10 takes half a minute to deliver from them again.
	Quorum QueueType = "quorum"
)

// SubscriberConfig is the configuration of a [Subscriber]. Only Group is required; a
// negative value is an error.
type SubscriberConfig struct {
	// Group names who consumes: all subscribers of one group share a queue, and
	// each group has all messages. Give each projection a group of its own.
	Group string

	// TLS is for an amqps URL. Defaults to the system's certificates.
	TLS *tls.Config

	// Heartbeat is how often the broker shows that it lives; after three missing
	// ones a connection is given up. In seconds, or [DefaultHeartbeat].
	Heartbeat time.Duration

	// Declare is what Subscribe makes at the broker. Defaults to [DeclareAll].
	Declare Declares

	// QueueType of a queue that is there is changed by [Subscriber.Upgrade] only.
	// Choose [Quorum] in a cluster, for requests' queues as well. Defaults to
	// [Classic].
	QueueType QueueType

	// Prefetch is how many messages the broker sends ahead of their Acks. They are
	// handed out one after the other all the same, see AtOnce. With more than 1 live messages need
	// not wait for the broker's note of each Ack, which in a quorum queue is a round
	// through the cluster; and after a lost connection up to so many that were
	// handled come again, in order. Defaults to [DefaultPrefetch], for a projection, which keeps the
	// position, to [FeedPrefetch].
	Prefetch int

	// AtOnce is how many of those are handed out before the first of them is acked, in
	// order. It is at most Prefetch. Defaults to 1, for handlers that need one after the other, and for a projection to
	// Prefetch: it puts right what overtakes another, and applies what has piled up while it was away in pages
	// instead of with a transaction a message.
	AtOnce int

	// Bindings are the routing keys that the queue is bound with: names of events,
	// with * for a word and # for any number of words. Defaults to "#", all. A
	// projection needs all, to notice when one is missing.
	Bindings []string

	// Competing lets all subscribers of the group receive at the same time, when
	// order does not matter. Defaults to false: one receives, the others stand by.
	Competing bool

	// Attempts is how often a message may be nacked before it goes to the queue's
	// dead-letter queue, "<queue>.dead". 0 is for ever, as projections need it.
	Attempts int

	// BackOff is how long a message waits after its first Nack before it comes
	// again, and how long a connection that failed waits. It doubles with each one
	// in a row. Defaults to [DefaultBackOff].
	BackOff time.Duration

	// MaxBackOff limits that. Defaults to [DefaultMaxBackOff].
	MaxBackOff time.Duration

	// DrainTimeout is how long Close waits for the Ack or Nack of a message that is
	// being handled; after that its context is cancelled, and it comes again.
	// Defaults to [DefaultDrainTimeout].
	DrainTimeout time.Duration

	// Logger defaults to [slog.Default].
	Logger *slog.Logger

	temporary bool // see Subscriber.Answers
}

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	c.QueueType = cmp.Or(c.QueueType, Classic)
	c.Declare = cmp.Or(c.Declare, DeclareAll)
	c.BackOff = cmp.Or(c.BackOff, DefaultBackOff)
	c.MaxBackOff = cmp.Or(c.MaxBackOff, DefaultMaxBackOff)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, DefaultDrainTimeout)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if len(c.Bindings) == 0 {
		c.Bindings = []string{"#"}
	}
	return c
}

func (c SubscriberConfig) validate() error {
	var problems []error
	switch {
	case strings.TrimSpace(c.Group) == "":
		problems = append(problems, errors.New("amqpbus.SubscriberConfig: Group is empty"))
	case strings.ContainsFunc(c.Group, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		problems = append(problems, fmt.Errorf("amqpbus.SubscriberConfig: Group %q has a space or a control character", c.Group))
	}
	if c.QueueType != "" && c.QueueType != Quorum && c.QueueType != Classic {
		problems = append(problems, fmt.Errorf("amqpbus.SubscriberConfig: QueueType is %q, want %q or %q", c.QueueType, Quorum, Classic))
	}
	if problem := c.Declare.problem("amqpbus.SubscriberConfig"); problem != nil {
		problems = append(problems, problem)
	}
	if badHeartbeat(c.Heartbeat) {
		problems = append(problems, errors.New("amqpbus.SubscriberConfig: Heartbeat is not in seconds"))
	}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"Prefetch", int64(c.Prefetch)}, {"AtOnce", int64(c.AtOnce)},
		{"Attempts", int64(c.Attempts)},
		{"BackOff", int64(c.BackOff)},
		{"MaxBackOff", int64(c.MaxBackOff)},
		{"DrainTimeout", int64(c.DrainTimeout)},
	} {
		if field.value < 0 {
			problems = append(problems, fmt.Errorf("amqpbus.SubscriberConfig: %s is negative", field.name))
		}
	}
	if c.AtOnce > cmp.Or(c.Prefetch, DefaultPrefetch) {
		problems = append(problems, fmt.Errorf("amqpbus.SubscriberConfig: AtOnce is %d, and Prefetch only %d: the broker would not send as many", c.AtOnce, cmp.Or(c.Prefetch, DefaultPrefetch)))
	}
	if c.Prefetch > math.MaxUint16 {
		problems = append(problems, fmt.Errorf("amqpbus.SubscriberConfig: Prefetch is %d, and AMQP has %d at most", c.Prefetch, math.MaxUint16))
	}
	if c = c.withDefaults(); c.BackOff > c.MaxBackOff {
		problems = append(problems, fmt.Errorf("amqpbus.SubscriberConfig: BackOff (%v) is more than MaxBackOff (%v)", c.BackOff, c.MaxBackOff))
	}
	if slices.Contains(c.Bindings, "") {
		problems = append(problems, errors.New("amqpbus.SubscriberConfig: Bindings has an empty one, which nothing comes by"))
	}
	return errors.Join(problems...)
}

// backOff is the wait after so many failures in a row, from 1: at random, so that not
// all connect at once to a broker that comes back.
func (c SubscriberConfig) backOff(failures int) time.Duration {
	return wait.BackOff{First: c.BackOff, Last: c.MaxBackOff}.After(failures)
}
