// Package webtest runs the page for tests: on a database of its own, with projections
// that follow, the demo's login, and the dances of the design's pictures.
package webtest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/dancefinder/eventsourcing/dancefinder/admin"
	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/dancefinder/web"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// Now is when the page believes to be: the day of the design's pictures.
var Now = time.Date(2026, time.November, 26, 14, 31, 0, 0, time.FixedZone("", 3600))

// Site is a page that runs until the test ends.
type Site struct {
	URL     string
	Pool    *pgxpool.Pool
	Store   *pgstore.Store
	Service *domain.Service
	Manager *readview.Manager
	Gate    *identity.Gate
	Hub     *live.Hub

	t testing.TB
}

// New starts a page without a dance. changeFunc may change its configuration.
func New(t testing.TB, changeFunc func(*web.Config)) *Site {
	t.Helper()
	db := readviewtest.NewDatabase(t)
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	s := &Site{Pool: db.Pool, Store: pgstore.New(db.Pool, registry, pgstore.Config{}), t: t}
	t.Cleanup(s.Store.Close)
	s.Service = domain.NewService(s.Store)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(t, err)
	s.Manager, err = readview.NewManager(router, s.Store, db.Pool, readview.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Manager.Add(projections.All()...))
	s.Hub = live.NewHub(s.Store, s.Manager, live.Config{PollInterval: 100 * time.Millisecond, MaxPerClient: 100})
	consistency, err := readview.NewConsistency(t.Context(), s.Manager, db.Pool, readview.ConsistencyConfig{Keys: [][]byte{make([]byte, readview.MinKey)}})
	require.NoError(t, err)
	s.Gate, err = identity.NewDemo("127.0.0.1:0", identity.DemoConfig{})
	require.NoError(t, err)
	config := web.Config{
		Pool: db.Pool, Service: s.Service, Consistency: consistency, Projections: s.Manager, Hub: s.Hub,
		Login: s.Gate.Login(), Now: func() time.Time { return Now },
	}
	if changeFunc != nil {
		changeFunc(&config)
	}
	page, err := web.NewHandler(config)
	require.NoError(t, err)
	mux := http.NewServeMux()
	s.Gate.Register(mux)
	mux.Handle("/", page)
	operators, err := admin.New(s.Manager, s.Store, db.Pool, s.Gate.Login(), readviewui.Config{})
	require.NoError(t, err)
	mux.Handle(admin.Path, operators)
	server := httptest.NewServer(http.NewCrossOriginProtection().Handler(s.Gate.Middleware(mux)))
	s.URL = server.URL
	t.Cleanup(server.Close)
	t.Cleanup(operators.Close)
	s.run(router)
	return s
}

// run applies events until the test ends. The hub ends first, and with it what the
// server still streams.
func (s *Site) run(router *message.Router) {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	var group errgroup.Group
	group.Go(func() error { return router.Run(ctx) })
	group.Go(func() error { return s.Hub.Run(ctx) })
	s.t.Cleanup(func() {
		stop()
		require.NoError(s.t, group.Wait())
	})
	<-router.Running()
}

// Wait returns when the read views show all that was done by the methods of s.
func (s *Site) Wait() {
	s.t.Helper()
	head, err := s.Store.Head(s.t.Context())
	require.NoError(s.t, err)
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	require.NoError(s.t, s.Manager.WaitFor(ctx, head))
}

// Token returns what logs in as name, as a bearer token.
func (s *Site) Token(name string) string {
	s.t.Helper()
	token, err := s.Gate.DemoToken(name)
	require.NoError(s.t, err)
	return token
}

// Clock returns a clock that shows [Now] and goes on by a second with each look, so that
// whatever is remembered for less is looked at again.
func Clock() func() time.Time {
	var looks atomic.Int64
	return func() time.Time { return Now.Add(time.Duration(looks.Add(1)) * time.Second) }
}
