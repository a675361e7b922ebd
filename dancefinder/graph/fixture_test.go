package graph_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/graph"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

// app is DanceFinder behind GraphQL, on a database of its own.
type app struct {
	t       *testing.T
	pool    *pgxpool.Pool
	service *domain.Service
	manager *readview.Manager
	hub     *live.Hub
	config  graph.Config
	gate    *identity.Gate
	log     *recorder
	url     string
	sql     *counter // of the statements of queries

	serverTime time.Duration // that the next server gives a request and its answer; 0 is no limit
}

// newApp starts one, with the config that change makes.
func newApp(t *testing.T, changes ...func(*graph.Config)) *app {
	t.Helper()
	db := readviewtest.NewDatabase(t)
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	store := pgstore.New(db.Pool, registry, pgstore.Config{Logger: quiet})
	t.Cleanup(store.Close)
	a := &app{t: t, service: domain.NewService(store), log: &recorder{}, sql: &counter{}}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(t, err)
	a.manager, err = readview.NewManager(router, store, db.Pool, readview.Config{Config: consumer.Config{Logger: quiet}})
	require.NoError(t, err)
	require.NoError(t, a.manager.Add(projections.All()...))
	a.hub = live.NewHub(store, a.manager, live.Config{PollInterval: 50 * time.Millisecond, Buffer: 8, MaxPerClient: 2, Logger: quiet})

	queries, err := pgxpool.ParseConfig(db.URL)
	require.NoError(t, err)
	queries.ConnConfig.Tracer = a.sql
	a.pool, err = pgxpool.NewWithConfig(t.Context(), queries)
	require.NoError(t, err)
	t.Cleanup(a.pool.Close)
	consistency, err := readview.NewConsistency(t.Context(), a.manager, db.Pool, readview.ConsistencyConfig{Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}, Limit: time.Second})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = router.Run(ctx) })
	running.Go(func() { _ = a.hub.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })

	a.config = graph.Config{Pool: a.pool, Service: a.service, Hub: a.hub, Consistency: consistency, Logger: slog.New(slog.NewTextHandler(a.log, nil))}
	a.serve(changes...)
	return a
}

// serve puts another handler on the same application, and returns its URL.
func (a *app) serve(changes ...func(*graph.Config)) string {
	a.t.Helper()
	config := a.config
	for _, change := range changes {
		change(&config)
	}
	handler, err := graph.NewHandler(config)
	require.NoError(a.t, err)
	server := httptest.NewUnstartedServer(nil)
	a.gate, err = identity.NewDemo(server.Listener.Addr().String(), identity.DemoConfig{Keys: [][]byte{bytes.Repeat([]byte("d"), 32)}})
	require.NoError(a.t, err)
	server.Config.ReadTimeout, server.Config.WriteTimeout = a.serverTime, a.serverTime
	server.Config.Handler = a.gate.Middleware(handler)
	server.Start()
	a.t.Cleanup(server.Close)
	a.url = server.URL
	return server.URL
}

// token returns the bearer token of a user.
func (a *app) token(name string, roles ...string) string {
	token, err := a.gate.DemoToken(name, roles...)
	require.NoError(a.t, err)
	return token
}

// catalogue is what the tests have to dance to.
type catalogue struct {
	bands []domain.BandID
	halls []domain.DanceHallID
	last  eventsourced.Position
}

// places are those of the halls; the last hall is not found on the map.
var places = []struct {
	city, municipality, state string
	at                        domain.Coordinate
}{
	{"Mora", "Mora", "Dalarna", domain.Coordinate{Latitude: 61.007, Longitude: 14.543}},
	{"Falun", "Falun", "Dalarna", domain.Coordinate{Latitude: 60.607, Longitude: 15.631}},
	{"Malmö", "Malmö", "Skåne", domain.Coordinate{Latitude: 55.606, Longitude: 13.001}},
	{"", "Norge", "Norge", domain.Coordinate{}},
}

// fill makes bands, halls and n dances from 2026-07-01 on, ten a day, and waits for them.
func (a *app) fill(bands, n int) (c catalogue) {
	a.t.Helper()
	ctx := a.t.Context()
	for i := range bands {
		id, _, err := a.service.CreateBand(ctx, domain.CreateBand{Name: "Band " + string(rune('A'+i%26)) + strings.Repeat("x", i/26)})
		require.NoError(a.t, err)
		c.bands = append(c.bands, id)
	}
	for _, p := range places {
		id, at, err := a.service.CreateDanceHall(ctx, domain.CreateDanceHall{Name: "Parken", City: p.city, Municipality: p.municipality, State: p.state})
		require.NoError(a.t, err)
		c.halls, c.last = append(c.halls, id), at
		if p.at != (domain.Coordinate{}) {
			_, c.last, err = a.service.GeocodeDanceHall(ctx, domain.GeocodeDanceHall{DanceHallID: id, Coordinate: p.at, Source: domain.SourceGazetteer, Precision: domain.PrecisionCity})
			require.NoError(a.t, err)
		}
	}
	for i := range n {
		day := domain.Date("2026-07-01").Time().AddDate(0, 0, i/10)
		_, at, err := a.service.CreateEvent(ctx, domain.CreateEvent{EventDetails: domain.EventDetails{
			Date: string(domain.DateOf(day)), StartTime: "19:00", EndTime: "01:00", BandID: c.bands[i%bands], DanceHallID: c.halls[i%len(c.halls)],
		}})
		require.NoError(a.t, err)
		c.last = at
	}
	a.wait(c.last)
	return c
}

// wait waits until the read views show a position.
func (a *app) wait(at eventsourced.Position) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(a.t, a.manager.WaitFor(ctx, at))
}

// counter counts statements.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// during counts the statements of f.
func (c *counter) during(f func()) int64 {
	before := c.n.Load()
	f()
	return c.n.Load() - before
}

// recorder keeps what is logged.
type recorder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
