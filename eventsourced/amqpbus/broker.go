package amqpbus

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A node that does not answer keeps us from trying the next one, if there is one.
const (
	dialTimeout       = 10 * time.Second
	dialTimeoutOfMany = 3 * time.Second
)

// broker is where to connect to: one address, or those of a cluster's nodes.
type broker struct {
	urls      []string
	hosts     []string // of the URLs, to name them without their passwords
	tls       *tls.Config
	heartbeat time.Duration

	next atomic.Int64 // the address that is tried first
}

// newBroker takes the addresses of a list that is separated by commas. It begins with a
// random one, so that the clients of a cluster are spread over it. It returns [ErrURL].
func newBroker(list string, tlsConfig *tls.Config, heartbeat time.Duration) (*broker, error) {
	b := &broker{tls: tlsConfig, heartbeat: cmp.Or(heartbeat, DefaultHeartbeat)}
	// A password may have a comma, but no slash.
	list = strings.NewReplacer(",amqp://", "\namqp://", ",amqps://", "\namqps://").Replace(strings.ReplaceAll(list, ", ", ","))
	for address := range strings.SplitSeq(list, "\n") {
		parsed, err := url.Parse(address)
		if err != nil || parsed.Scheme != "amqp" && parsed.Scheme != "amqps" || parsed.Host == "" ||
			strings.Count(address, "://") != 1 || strings.Contains(parsed.EscapedPath(), ",") {
			return nil, ErrURL
		}
		if _, err := amqp.ParseURI(address); err != nil {
			return nil, ErrURL
		}
		b.urls, b.hosts = append(b.urls, address), append(b.hosts, parsed.Host)
	}
	b.next.Store(rand.Int64N(int64(len(b.urls))))
	return b, nil
}

// String returns the hosts.
func (b *broker) String() string { return strings.Join(b.hosts, ",") }

// another has the next address tried first: the last one has failed.
func (b *broker) another() { b.next.Add(1) }

// dial connects to the first address that takes us. It ends with ctx. dialed, if not
// nil, gets the connection below.
func (b *broker) dial(ctx context.Context, name string, dialed func(net.Conn)) (*amqp.Connection, error) {
	var below atomic.Pointer[net.Conn]
	stop := context.AfterFunc(ctx, func() {
		if conn := below.Load(); conn != nil {
			_ = (*conn).Close()
		}
	})
	defer stop()
	config := b.config(name, func(conn net.Conn) {
		if below.Store(&conn); ctx.Err() != nil {
			_ = conn.Close()
		}
		if dialed != nil {
			dialed(conn)
		}
	})
	first, n := b.next.Load(), int64(len(b.urls))
	errs := make([]error, n)
	for i := range n {
		at := (first + i) % n
		conn, err := amqp.DialConfig(b.urls[at], config)
		if err == nil {
			b.next.CompareAndSwap(first, first+i)
			return conn, nil
		}
		if errs[at] = err; ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	if n == 1 {
		return nil, errs[0]
	}
	all := fmt.Errorf("%s: %w", b.hosts[0], errs[0])
	for at, err := range errs[1:] { // always in this order: the text is compared
		all = fmt.Errorf("%w; %s: %w", all, b.hosts[at+1], err)
	}
	return nil, all
}

// config is how we connect.
func (b *broker) config(name string, dialed func(net.Conn)) amqp.Config {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	timeout := dialTimeout
	if len(b.urls) > 1 {
		timeout = dialTimeoutOfMany
	}
	dial := amqp.DefaultDial(timeout)
	return amqp.Config{
		Heartbeat:       b.heartbeat,
		TLSClientConfig: b.tls,
		Properties:      properties,
		Dial: func(network, address string) (net.Conn, error) {
			conn, err := dial(network, address)
			if err == nil {
				dialed(conn)
			}
			return conn, err
		},
	}
}

// major returns the first number of a broker's version, 0 if it does not tell.
func major(conn *amqp.Connection) int {
	version, _ := conn.Properties["version"].(string)
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// explain adds what to do about a refusal.
func explain(err error) error {
	var refusal *amqp.Error
	if !errors.As(err, &refusal) {
		return err
	}
	switch {
	case refusal.Code == amqp.PreconditionFailed && strings.Contains(refusal.Reason, "x-delivery-limit"):
		return fmt.Errorf("%w (it drops what was delivered so often, which a projection can't do without: "+
			"move what is in it: Subscriber.Upgrade, queues upgrade; or, if a policy sets delivery-limit to -1, have Declare: DeclareNothing)", err)
	case refusal.Code == amqp.PreconditionFailed:
		return fmt.Errorf("%w (ask for what it is, or move what is in it: Subscriber.Upgrade, queues upgrade; delete what has that name, if nothing in it is needed)", err)
	case refusal.Code == amqp.AccessRefused:
		return fmt.Errorf("%w (grant that, or have Declare say what is there without us)", err)
	case refusal.Code == amqp.NotFound:
		return fmt.Errorf("%w (who runs the broker has to declare it, or bring its node back)", err)
	}
	return err
}
