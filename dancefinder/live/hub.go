package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/internal/need"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// Log is where the hub learns what happens: a store.
type Log interface {
	eventsourced.Log
	eventsourced.StreamReader
}

// Projections answers for the read views: a [readview.Manager].
type Projections interface {
	WaitFor(ctx context.Context, position eventsourced.Position, names ...string) error
	Status(ctx context.Context) ([]consumer.Status, error)
}

// Defaults of [Config].
const (
	DefaultBuffer         = 256
	DefaultMaxSubscribers = 1000
	DefaultMaxPerClient   = 10
	DefaultPollInterval   = time.Second
)

// Config is the optional part of a Hub. The zero value works.
type Config struct {
	// Buffer is how many changes wait for one subscriber before it counts as slow.
	// Defaults to [DefaultBuffer].
	Buffer int

	// MaxSubscribers limits the subscriptions of this process. Defaults to
	// [DefaultMaxSubscribers].
	MaxSubscribers int

	// MaxPerClient limits the subscriptions of one client, as [Hub.Subscribe] is told
	// who that is. Defaults to [DefaultMaxPerClient].
	MaxPerClient int

	// PollInterval is how often the hub looks by itself, without a wake-up, and how
	// soon it notices that a read view is filled anew. Defaults to
	// [DefaultPollInterval].
	PollInterval time.Duration

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

// Hub tells subscribers of changes. Its methods are safe for concurrent use; Run is
// called once.
type Hub struct {
	log         Log
	projections Projections
	config      Config

	mu          sync.Mutex
	subscribers map[*Subscription]struct{}
	perClient   map[string]int
	stopped     bool
	came        chan struct{} // somebody has subscribed to an idle hub

	heights map[string]height // of the projections; Run's own
}

// NewHub returns a hub that does nothing until Run. It panics with all that is nil, or negative in config.
func NewHub(log Log, projections Projections, config Config) *Hub {
	var problems []error
	if config.Buffer < 0 || config.MaxSubscribers < 0 || config.MaxPerClient < 0 || config.PollInterval < 0 {
		problems = append(problems, fmt.Errorf("a limit of the config is negative: %+v", config))
	}
	need.All("live.NewHub", map[string]any{"log": log, "projections": projections}, problems...)
	config.Buffer = cmp.Or(config.Buffer, DefaultBuffer)
	config.MaxSubscribers = cmp.Or(config.MaxSubscribers, DefaultMaxSubscribers)
	config.MaxPerClient = cmp.Or(config.MaxPerClient, DefaultMaxPerClient)
	config.PollInterval = cmp.Or(config.PollInterval, DefaultPollInterval)
	config.Logger = cmp.Or(config.Logger, slog.Default())
	return &Hub{
		log: log, projections: projections, config: config,
		subscribers: map[*Subscription]struct{}{}, perClient: map[string]int{}, came: make(chan struct{}, 1),
		heights: map[string]height{},
	}
}

// pageEvents is how many events the hub holds in memory.
const pageEvents = 200

// Run follows the log until ctx ends, and then ends all subscriptions with
// [ErrStopped]. It returns nil: what goes wrong meanwhile is logged and tried again.
func (h *Hub) Run(ctx context.Context) error {
	defer h.stop()
	wake := h.log.Listen(ctx)
	poll := time.NewTicker(h.config.PollInterval)
	defer poll.Stop()
	at := unknown // nobody is there
	failing := false
	for {
		err := h.step(ctx, &at)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			h.config.Logger.WarnContext(ctx, "live changes are late", "error", err, "position", at)
		}
		failing = err != nil
		look := false
		select {
		case <-ctx.Done():
			return nil
		case <-h.came:
			look = true // so that a reset from now on is noticed
		case <-wake:
		case <-poll.C:
			look = true
		}
		if !look {
			continue
		}
		if err := h.watch(ctx); err != nil && ctx.Err() == nil {
			h.config.Logger.WarnContext(ctx, "the state of the read views is not known", "error", err)
		}
	}
}

// step tells what has happened above at, and moves it.
func (h *Hub) step(ctx context.Context, at *eventsourced.Position) error {
	for h.Subscribers() > 0 {
		if *at == unknown {
			if *at = h.earliest(); *at == unknown {
				return nil // whoever has subscribed wakes us when it is known
			}
		}
		query := eventsourced.LogQuery{After: *at, Names: slices.Sorted(maps.Keys(kinds)), Limit: pageEvents}
		var page []eventsourced.Recorded
		for recorded, err := range h.log.ReadLog(ctx, query) {
			if err != nil {
				return err
			}
			page = append(page, recorded)
		}
		if len(page) == 0 {
			return nil
		}
		if err := h.tell(ctx, page); err != nil {
			return err
		}
		*at = page[len(page)-1].Position
	}
	*at = unknown
	return nil
}

// earliest returns from where on the subscribers are to be told.
func (h *Hub) earliest() eventsourced.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := unknown
	for s := range h.subscribers {
		if s.from != unknown && (at == unknown || s.from < at) {
			at = s.from
		}
	}
	return at
}

func (h *Hub) tell(ctx context.Context, page []eventsourced.Recorded) error {
	changes := make([]Change, 0, len(page))
	for _, recorded := range page {
		c, err := h.change(ctx, recorded)
		if err != nil {
			// The projection stops there, too, and says more about it.
			h.config.Logger.WarnContext(ctx, "a change can't be told", "error", err, "position", recorded.Position)
			if ctx.Err() != nil || !errors.As(err, new(*eventsourced.DecodeError)) {
				return err
			}
			continue
		}
		changes = append(changes, c)
	}
	for _, name := range shownBy {
		// A projection that stands still is not waited for: when it gets on, it is
		// Refreshed.
		err := h.projections.WaitFor(ctx, page[len(page)-1].Position, name)
		if err != nil && !errors.Is(err, readview.ErrNotRunning) {
			return err
		}
	}
	h.send(changes...)
	return nil
}
