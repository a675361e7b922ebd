package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Defaults of [Config].
const (
	DefaultMaxRequests    = 200
	DefaultMaxBody        = 1 << 20
	DefaultRequestTimeout = 10 * time.Second
	DefaultWriteTimeout   = 30 * time.Second
	DefaultDrainTimeout   = 15 * time.Second
)

// Config is what a site is made of.
type Config struct {
	Page     http.Handler // answers what nobody else does. Required
	GraphQL  http.Handler // Required
	GraphiQL http.Handler // nil: there is none, as in production
	Admin    http.Handler // of /admin/; nil: there is none
	Gate     Gate         // Required

	// Health answers /healthz. By default it says that the process runs.
	Health http.Handler

	// Ready returns why taking requests makes no sense here, such as a database that
	// can't be reached. Required.
	Ready func(context.Context) error

	// Streams are the paths at which the page sends events.
	Streams []string

	// TrustedOrigins may send requests from their pages, such as "https://example.org".
	TrustedOrigins []string

	// MaxRequests are answered at a time; others wait for a second, and are told to come
	// again. Defaults to [DefaultMaxRequests].
	MaxRequests int

	// MaxBody is the limit of a request's body, in bytes. Defaults to [DefaultMaxBody].
	MaxBody int64

	// RequestTimeout is how long the answer to a request may take. Defaults to
	// [DefaultRequestTimeout].
	RequestTimeout time.Duration

	// WriteTimeout is how long a client may take over what is written to it.
	// Defaults to [DefaultWriteTimeout].
	WriteTimeout time.Duration

	// DrainTimeout is how long requests may go on when the site closes. Defaults to
	// [DefaultDrainTimeout].
	DrainTimeout time.Duration

	// Traces makes a span of each request; nil: there are none.
	Traces trace.TracerProvider

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

// Gate says who is asking, as identity.Gate.
type Gate interface {
	Middleware(next http.Handler) http.Handler
	Register(mux *http.ServeMux)
}

// Site answers requests. Its methods are safe for concurrent use.
type Site struct {
	config  Config
	handler http.Handler
	slots   chan struct{}
	closing chan struct{} // closed when it takes no more requests
}

// New returns a site. The error names every problem.
func New(config Config) (*Site, error) {
	var problems []error
	for name, missing := range map[string]bool{
		"Page": config.Page == nil, "GraphQL": config.GraphQL == nil, "Gate": config.Gate == nil, "Ready": config.Ready == nil,
	} {
		if missing {
			problems = append(problems, fmt.Errorf("%s is required", name))
		}
	}
	if config.MaxRequests < 0 || config.MaxBody < 0 || config.RequestTimeout < 0 || config.WriteTimeout < 0 || config.DrainTimeout < 0 {
		problems = append(problems, errors.New("a limit is negative"))
	}
	protection := http.NewCrossOriginProtection()
	for _, origin := range config.TrustedOrigins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			problems = append(problems, fmt.Errorf("TrustedOrigins: %w", err))
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("the site's config: %w", errors.Join(problems...))
	}
	config = config.withDefaults()
	s := &Site{config: config, slots: make(chan struct{}, config.MaxRequests), closing: make(chan struct{})}

	inner := http.NewServeMux()
	config.Gate.Register(inner)
	inner.Handle("/graphql", config.GraphQL)
	if config.GraphiQL != nil {
		inner.Handle("/graphiql/", config.GraphiQL)
	}
	if config.Admin != nil {
		inner.Handle("/admin/", config.Admin)
	}
	inner.Handle("/", config.Page)

	outer := http.NewServeMux()
	if s.config.Health == nil {
		s.config.Health = http.HandlerFunc(s.health)
	}
	outer.Handle("GET /healthz", s.config.Health)
	outer.HandleFunc("GET /readyz", s.ready)
	var answers http.Handler = inner
	if config.Traces != nil {
		answers = traced(config.Traces, answers)
	}
	outer.Handle("/", s.limit(protection.Handler(config.Gate.Middleware(answers))))
	s.handler = outer
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.MaxRequests == 0 {
		c.MaxRequests = DefaultMaxRequests
	}
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = DefaultRequestTimeout
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// ServeHTTP implements [http.Handler], for a server of one's own; [Site.Serve] also
// keeps slow clients from holding a connection.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers what comes to listener until ctx ends: then it takes no more
// connections, ends the streams, lets requests finish within [Config.DrainTimeout] and
// returns nil. It is called once, and closes the listener.
func (s *Site) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       s.config.RequestTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug), // of what clients do wrong
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		close(s.closing)
		return err
	case <-ctx.Done():
	}
	close(s.closing)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.DrainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if err != nil {
		s.config.Logger.WarnContext(ctx, "requests were cut off when the site closed", "after", s.config.DrainTimeout)
		err = server.Close()
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// isStream tells whether the request is for server-sent events, where there are any.
func (s *Site) isStream(r *http.Request) bool {
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return false
	}
	return r.URL.Path == "/graphql" && r.Method == http.MethodPost || slices.Contains(s.config.Streams, r.URL.Path)
}
