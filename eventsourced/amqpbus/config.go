package amqpbus

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Defaults of [PublisherConfig] and [SubscriberConfig].
const (
	DefaultConfirmTimeout = 30 * time.Second
	DefaultBackOff        = 50 * time.Millisecond
	DefaultMaxBackOff     = 5 * time.Second
	DefaultDrainTimeout   = 10 * time.Second
)

// PublisherConfig is the optional part of a [Publisher]. The zero value works; a
// negative value is an error.
type PublisherConfig struct {
	// TLS is for an amqps URL. Defaults to the system's certificates.
	TLS *tls.Config

	// RoutingKey returns the routing key of a message. Defaults to its metadata
	// [messaging.MetaName].
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
	if c.RoutingKey == nil {
		c.RoutingKey = func(msg *message.Message) string { return msg.Metadata[messaging.MetaName] }
	}
	return c
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

	// QueueType of a queue can't be changed once it is there. Choose [Quorum] in a
	// cluster. Defaults to [Classic].
	QueueType QueueType

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
}

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	c.QueueType = cmp.Or(c.QueueType, Classic)
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
	if strings.TrimSpace(c.Group) == "" {
		problems = append(problems, errors.New("amqpbus.SubscriberConfig: Group is empty"))
	}
	if c.QueueType != "" && c.QueueType != Quorum && c.QueueType != Classic {
		problems = append(problems, fmt.Errorf("amqpbus.SubscriberConfig: QueueType is %q, want %q or %q", c.QueueType, Quorum, Classic))
	}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"Attempts", int64(c.Attempts)},
		{"BackOff", int64(c.BackOff)},
		{"MaxBackOff", int64(c.MaxBackOff)},
		{"DrainTimeout", int64(c.DrainTimeout)},
	} {
		if field.value < 0 {
			problems = append(problems, fmt.Errorf("amqpbus.SubscriberConfig: %s is negative", field.name))
		}
	}
	return errors.Join(problems...)
}

// backOff is the wait after so many failures in a row, from 1.
func (c SubscriberConfig) backOff(failures int) time.Duration {
	return wait.BackOff{First: c.BackOff, Last: c.MaxBackOff}.Limit(failures)
}

const (
	dialTimeout = 10 * time.Second
	heartbeat   = 10 * time.Second // two missing ones end a connection
)

// checkURL returns the address in an URL, to log it without its password.
func checkURL(address string) (host string, err error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "amqp" && parsed.Scheme != "amqps" || parsed.Host == "" {
		return "", ErrURL
	}
	if _, err := amqp.ParseURI(address); err != nil {
		return "", ErrURL
	}
	return parsed.Host, nil
}

// connection is how we connect; dialed, if set, gets the connection below.
func connection(name string, tlsConfig *tls.Config, dialed func(net.Conn)) amqp.Config {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	dial := amqp.DefaultDial(dialTimeout)
	return amqp.Config{
		Heartbeat:       heartbeat,
		TLSClientConfig: tlsConfig,
		Properties:      properties,
		Dial: func(network, address string) (net.Conn, error) {
			conn, err := dial(network, address)
			if err == nil && dialed != nil {
				dialed(conn)
			}
			return conn, err
		},
	}
}
