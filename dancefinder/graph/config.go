package graph

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/readview"
)

// Config is what a handler works with.
type Config struct {
	Pool        *pgxpool.Pool         // that answers queries. Required.
	Service     *domain.Service       // that takes commands. Required.
	Hub         *live.Hub             // that subscriptions are fed from; whoever runs it, runs it. Required.
	Consistency *readview.Consistency // over the database of Pool. Required.

	// Logger gets what must not be shown. Defaults to [slog.Default].
	Logger *slog.Logger

	// Limits of what one request may ask for.
	Limits Limits

	// Development answers questions about the schema itself, and helps with names that
	// are mistyped. Off in production: who looks for weak spots begins there.
	Development bool

	// TrustedDocuments answers nothing but the documents of [Documents].
	TrustedDocuments bool

	// ClientFunc names who a request comes from, to limit the subscriptions of those who
	// are not logged in. Defaults to the host of the connection: set it behind a proxy.
	ClientFunc func(*http.Request) string
}

// Limits of one request. Zero values stand for the defaults.
type Limits struct {
	Body       int64 // bytes of a body, and of the query of a URL; 65,536
	Tokens     int   // of a document; 1,000
	Depth      int   // of fields within fields; 12
	RootFields int   // of an operation, fragments included; 10
	Aliases    int   // of a document; 30

	// Complexity is how many fields an answer may have: those under a list count as often
	// as it may be long. 15,000, which is a page of 200 dances with all there is to know.
	Complexity int

	Time             time.Duration // of a query or mutation; 10 s
	SubscriptionTime time.Duration // after which the client has to subscribe anew; an hour
	KeepAlive        time.Duration // between the signs of life of a subscription; 15 s
	WriteTime        time.Duration // that a client may take to read what was written; 10 s
}

func (l Limits) withDefaults() Limits {
	l.Body = cmp.Or(l.Body, 64<<10)
	l.Tokens = cmp.Or(l.Tokens, 1000)
	l.Depth = cmp.Or(l.Depth, 12)
	l.RootFields = cmp.Or(l.RootFields, 10)
	l.Aliases = cmp.Or(l.Aliases, 30)
	l.Complexity = cmp.Or(l.Complexity, 15_000)
	l.Time = cmp.Or(l.Time, 10*time.Second)
	l.SubscriptionTime = cmp.Or(l.SubscriptionTime, time.Hour)
	l.KeepAlive = cmp.Or(l.KeepAlive, 15*time.Second)
	l.WriteTime = cmp.Or(l.WriteTime, 10*time.Second)
	return l
}

// check returns the config with its defaults, or all that is wrong with it.
func (c Config) check() (Config, error) {
	var problems []error
	for _, required := range []struct {
		name    string
		missing bool
	}{
		{"Pool", c.Pool == nil}, {"Service", c.Service == nil}, {"Hub", c.Hub == nil}, {"Consistency", c.Consistency == nil},
	} {
		if required.missing {
			problems = append(problems, errors.New("graph.Config: "+required.name+" is nil"))
		}
	}
	if l := c.Limits; l.Body < 0 || min(l.Tokens, l.Depth, l.RootFields, l.Aliases, l.Complexity) < 0 ||
		min(l.Time, l.SubscriptionTime, l.KeepAlive, l.WriteTime) < 0 {
		problems = append(problems, errors.New("graph.Config: a limit is negative"))
	}
	c.Limits = c.Limits.withDefaults()
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.ClientFunc == nil {
		c.ClientFunc = func(r *http.Request) string {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				return r.RemoteAddr
			}
			return host
		}
	}
	return c, errors.Join(problems...)
}
