package health

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// Defaults of [Config].
const (
	DefaultInterval = 5 * time.Second
	DefaultTimeout  = 2 * time.Second
)

// Database is what is asked whether it can be reached, such as a *pgxpool.Pool.
type Database interface {
	Ping(ctx context.Context) error
}

// Loop is what runs consumers in this process.
type Loop interface {
	// Hangs returns those in which something has not returned for so long that only the end of the process ends it.
	// It must be quick, and ask nobody.
	Hangs() []consumer.ID
}

// Config of a [Health]. The zero value works; a negative value is an error.
type Config struct {
	// Status tells how consumers stand. Without it nothing is said of them.
	Status func(ctx context.Context) ([]consumer.Status, error)

	// Loops are what this program runs that may hang for good, such as a readview.Manager and reactors:
	// [Health.Live] answers 503 while one does. By default nothing is asked.
	Loops []Loop

	// Interval is how long what Status has said is good for, however many ask. Defaults to
	// [DefaultInterval].
	Interval time.Duration

	// Timeout is how long the database may take to answer. Defaults to [DefaultTimeout].
	Timeout time.Duration

	// Logger is told why Status or the database does not answer. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Condition is how a consumer is, as far as who looks after it has to know.
type Condition string

const (
	// OK is a consumer that handles what there is, on this node or another one.
	OK Condition = "ok"
	// Behind is one that runs while events wait, whether or not it gets on.
	Behind Condition = "behind"
	// Failed is one that stopped at an event, or is ahead of the log: somebody has to decide.
	Failed Condition = "failed"
	// Dead is one that no node runs.
	Dead Condition = "dead"
	// Paused is one that somebody paused.
	Paused Condition = "paused"
)

// Of returns the condition of a consumer.
func Of(status consumer.Status) Condition {
	switch status.State {
	case consumer.Live:
		return OK
	case consumer.Paused:
		return Paused
	case consumer.Failed, consumer.Ahead:
		return Failed
	case consumer.Standby:
		if status.Node == "" {
			return Dead
		}
		if status.Failure != nil || status.Lag > behindAfter {
			return Behind
		}
		return OK
	default: // it catches up, tries again, or stalls
		return Behind
	}
}

// lookAtMost is how long a program may seem not to run when the database hangs.
const lookAtMost = 500 * time.Millisecond

// behindAfter is how long events may wait for what another node applies.
const behindAfter = 2 * time.Second

// Health answers for one node. Its methods can be called concurrently.
type Health struct {
	database Database
	config   Config
	draining atomic.Bool

	mu      sync.Mutex
	looked  time.Time
	all     []Consumer
	unknown bool
}

// Consumer is what is told of one.
type Consumer struct {
	Kind      consumer.Kind  `json:"kind"`
	Name      string         `json:"name"`
	Topic     string         `json:"topic,omitempty"`
	Condition Condition      `json:"condition"`
	State     consumer.State `json:"state"`
	Lag       float64        `json:"lag_seconds"`
}

// New returns the health of a node that works on a database. It asks nothing yet. The error names every problem: a database or a loop that
// is nil, a negative value.
func New(database Database, config Config) (*Health, error) {
	var problems []error
	if need.Nil(database) {
		problems = append(problems, errors.New("health.New: database is required"))
	}
	for i, loop := range config.Loops {
		if need.Nil(loop) {
			problems = append(problems, fmt.Errorf("health.Config.Loops[%d] is nil", i))
		}
	}
	if config.Interval < 0 {
		problems = append(problems, fmt.Errorf("health.Config.Interval: %s is negative", config.Interval))
	}
	if config.Timeout < 0 {
		problems = append(problems, fmt.Errorf("health.Config.Timeout: %s is negative", config.Timeout))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	config.Interval = cmp.Or(config.Interval, DefaultInterval)
	config.Timeout = cmp.Or(config.Timeout, DefaultTimeout)
	config.Logger = cmp.Or(config.Logger, slog.Default())
	return &Health{database: database, config: config}, nil
}

// Drain makes the node not ready from now on: call it when it is about to end.
func (h *Health) Drain() { h.draining.Store(true) }

// CheckReady returns nil when requests may be sent to this node, otherwise [ErrDraining] or why the
// database can't be reached.
func (h *Health) CheckReady(ctx context.Context) error {
	if h.draining.Load() {
		return ErrDraining
	}
	ctx, cancel := context.WithTimeout(ctx, h.config.Timeout)
	defer cancel()
	if err := h.database.Ping(ctx); err != nil {
		return fmt.Errorf("health: the database can't be reached: %w", err)
	}
	return nil
}

// Consumers returns how the consumers stand, at most [Config.Interval] old; known is false when that
// could not be read.
func (h *Health) Consumers(ctx context.Context) (all []Consumer, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.config.Status == nil || !h.looked.IsZero() && time.Since(h.looked) < h.config.Interval {
		return h.all, !h.unknown
	}
	// Whoever asks first may hang up: the answer is for all. Who waits too long starts the program again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(h.config.Timeout, lookAtMost))
	defer cancel()
	stand, err := h.config.Status(ctx)
	if h.looked, h.all, h.unknown = time.Now(), nil, err != nil; err != nil {
		h.config.Logger.WarnContext(ctx, "health: the status of the consumers can't be read", "error", err)
		return nil, false
	}
	for _, s := range stand {
		h.all = append(h.all, Consumer{Kind: s.Kind, Name: s.Name, Topic: s.Topic, Condition: Of(s), State: s.State, Lag: s.Lag.Seconds()})
	}
	return h.all, true
}

// Hangs returns the consumers that hang in this process.
func (h *Health) Hangs() (all []consumer.ID) {
	for _, loop := range h.config.Loops {
		all = append(all, loop.Hangs()...)
	}
	return all
}

// Live answers whether this program gets on, and how its consumers stand.
func (h *Health) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all, known := h.Consumers(r.Context())
		code, what := http.StatusOK, report{Status: "alive", Known: &known, Consumers: all}
		for _, id := range h.Hangs() {
			code, what.Status = http.StatusServiceUnavailable, "hangs"
			what.Hangs = append(what.Hangs, id.String())
		}
		answer(w, r, code, what)
	})
}

// Ready answers whether to send requests to this node.
func (h *Health) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch err := h.CheckReady(r.Context()); {
		case err == nil:
			answer(w, r, http.StatusOK, report{Status: "ready"})
		case errors.Is(err, ErrDraining):
			answer(w, r, http.StatusServiceUnavailable, report{Status: "draining"})
		default:
			h.config.Logger.WarnContext(r.Context(), "this node is not ready", "error", err)
			answer(w, r, http.StatusServiceUnavailable, report{Status: "not ready"})
		}
	})
}

type report struct {
	Status    string     `json:"status"`
	Hangs     []string   `json:"hangs,omitempty"`
	Known     *bool      `json:"consumers_known,omitempty"`
	Consumers []Consumer `json:"consumers,omitempty"`
}

func answer(w http.ResponseWriter, r *http.Request, code int, what report) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	accept := r.Header.Get("Accept")
	if strings.HasPrefix(accept, "text/plain") && !strings.Contains(accept, "json") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = fmt.Fprintln(w, strings.Join(append([]string{what.Status}, what.Hangs...), " "))
		for _, c := range what.Consumers {
			_, _ = fmt.Fprintf(w, "%s %s: %s (%s, lag %.1fs)\n", c.Kind, strings.TrimSpace(c.Name+" "+c.Topic), c.Condition, c.State, c.Lag)
		}
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what)
}
