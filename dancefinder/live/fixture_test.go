package live_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// projections are read views whose progress a test decides on.
type projections struct {
	mu      sync.Mutex
	applied eventsourced.Position
	err     error
	asked   map[string]bool
	states  []consumer.Status
	looks   atomic.Int64
	asks    atomic.Int64
}

func (p *projections) WaitFor(ctx context.Context, position eventsourced.Position, names ...string) error {
	p.asks.Add(1)
	for {
		p.mu.Lock()
		done, err := p.applied >= position, p.err
		for _, name := range names {
			p.asked[name] = true
		}
		p.mu.Unlock()
		switch {
		case err != nil:
			return err
		case done:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond): // a test may have moved it
		}
	}
}

func (p *projections) Status(context.Context) ([]consumer.Status, error) {
	p.looks.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.states, nil
}

func (p *projections) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

type fixture struct {
	t           *testing.T
	hub         *live.Hub
	service     *domain.Service
	projections *projections
	stop        func()
	band        domain.BandID
	hall        domain.DanceHallID
	last        eventsourced.Position
}

const everything = eventsourced.Position(1 << 62)

// start runs a hub over a log with a band and a hall.
func start(t *testing.T, config live.Config) *fixture {
	t.Helper()
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	store := memstore.New(registry)
	f := &fixture{t: t, service: domain.NewService(store), projections: &projections{applied: everything, asked: map[string]bool{}}}
	config.PollInterval, config.Logger = 5*time.Millisecond, slog.New(slog.DiscardHandler)
	f.hub = live.NewHub(store, f.projections, config)
	f.band, _, err = f.service.CreateBand(t.Context(), domain.CreateBand{Name: "Lasses"})
	require.NoError(t, err)
	f.hall, f.last, err = f.service.CreateDanceHall(t.Context(), domain.CreateDanceHall{Name: "Parken", Municipality: "Mora", State: "Dalarna"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.hub.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(f.stop)
	return f
}

func (f *fixture) details(date string) domain.EventDetails {
	return domain.EventDetails{Date: date, BandID: f.band, DanceHallID: f.hall}
}

func (f *fixture) create(date string) domain.EventID {
	id, at, err := f.service.CreateEvent(f.t.Context(), domain.CreateEvent{EventDetails: f.details(date)})
	require.NoError(f.t, err)
	f.last = at
	return id
}

func (f *fixture) subscribe() *live.Subscription {
	s, err := f.hub.Subscribe(f.t.Context(), "")
	require.NoError(f.t, err)
	return s
}

func next(t *testing.T, s *live.Subscription) live.Change {
	t.Helper()
	select {
	case change, more := <-s.Changes():
		require.True(t, more, "it has ended: %v", s.Err())
		return change
	case <-time.After(10 * time.Second):
		require.Fail(t, "nothing comes")
		return live.Change{}
	}
}
