//go:build linux

package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

// firesWithin is what docs/monitoring/alerts.yml promises. CI's machine may be busy with other tests.
var firesWithin = soak.For(4*time.Minute, time.Minute)

// faults are what may happen to a system in production, done to one: programs in processes of their own, scraped
// by a Prometheus with the rules of docs/monitoring.
var faults = map[string]func(*testing.T){
	"an event that a projection can't apply": func(t *testing.T) {
		d := newTables(t)
		d.imports(july)
		p := watch(t, metered(spawn(t, nil, d.args([]string{"projector", "--metrics-listen", "127.0.0.1:0"})...)))
		require.NoError(t, d.app().project(t))
		p.awaits(`consumer_state{name="band",state="live"}==1`)
		_, err := d.Pool.Exec(t.Context(), `UPDATE events SET payload = '{"Name": 7}' WHERE tstamp = (SELECT max(tstamp) FROM events WHERE name = 'BandCreated')`)
		require.NoError(t, err)
		d.done("readviews", "reset", "band")
		p.fires("ConsumerFailed", "band", firesWithin)
	},
	"a row of a read view that was changed by hand": func(t *testing.T) {
		d := newTables(t)
		d.imports(july)
		p := watch(t, metered(spawn(t, nil, d.args([]string{"projector", "--verify-every", defaultVerifyEvery.String(), "--metrics-listen", "127.0.0.1:0"})...)))
		require.NoError(t, d.app().project(t))
		p.awaits(`consumer_verify_different_rows{name="band"}==0`)
		_, err := d.Pool.Exec(t.Context(), `UPDATE band SET name = 'Nobody' WHERE name = (SELECT max(name) FROM band)`)
		require.NoError(t, err)
		p.fires("ConsumerDiffers", "band", firesWithin)
	},
}

// inSoak are those that take minutes, or root.
var inSoak = map[string]func(*testing.T){
	"a projector that is killed, and another node says so": func(t *testing.T) {
		d := newTables(t)
		projector := spawn(t, nil, d.args([]string{"projector"})...)
		require.NoError(t, d.app().project(t))
		web := spawn(t, nil, d.args([]string{"serve", "--demo-login", "--web-only", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"})...)
		p := watch(t, metered(web))
		p.awaits(`consumer_state{name="band",state="live"}==1`)
		require.NoError(t, projector.command.Process.Kill())
		p.fires("ConsumerNotRun", "band", firesWithin)
	},
	"the only node that is killed": func(t *testing.T) {
		d := newTables(t)
		projector := spawn(t, nil, d.args([]string{"projector", "--metrics-listen", "127.0.0.1:0"})...)
		p := watch(t, metered(projector))
		p.awaits(`consumer_status_up==1`)
		require.NoError(t, projector.command.Process.Kill())
		p.fires("StatusUnknown", "", firesWithin)
	},
	"a broker that is stopped": func(t *testing.T) {
		broker, err := devservices.StartRabbitMQ(t.Context(), devservices.RabbitMQConfig{})
		require.NoError(t, err)
		t.Cleanup(func() { _ = broker.Close() })
		d := newTables(t)
		p := watch(t, metered(spawn(t, nil, d.args([]string{"projector", "--amqp-url", broker.URL(), "--metrics-listen", "127.0.0.1:0"})...)))
		d.imports(july)
		p.awaits(`consumer_events_total{name="relay"}>0`)
		require.NoError(t, broker.Close())
		_, _, err = d.app().service.CreateBand(t.Context(), domain.CreateBand{Name: "Tallmoz"})
		require.NoError(t, err)
		p.fires("ConsumerDoesNotGetOn", relayName, firesWithin)
	},
	"the log's lock that is held": func(t *testing.T) {
		d := newTables(t)
		s, address := meteredSite(t, d)
		p := watch(t, address)
		p.awaits(`consumer_status_up==1`)
		tx, err := d.Pool.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		log := pgstore.New(d.Pool, d.app().store.Registry(), pgstore.Config{IdleTimeout: time.Hour})
		events, err := log.Registry().Encode(t.Context(), &domain.BandCreated{})
		require.NoError(t, err)
		_, err = log.AppendTx(t.Context(), tx, eventsourced.Stream{AggregateName: "held", AggregateID: "1"}, eventsourced.Any, events)
		require.NoError(t, err)
		s.goesOn(t)
		p.fires("LogLockHeld", "", firesWithin)
	},
	"a disk that is full": func(t *testing.T) {
		d, fill := onSmallDisk(t)
		s, address := meteredSite(t, d)
		p := watch(t, address)
		p.awaits(`consumer_status_up==1`)
		s.goesOn(t)
		p.awaits(`eventlog_appends_total{outcome="appended"}>3`)
		fill()
		p.fires("AppendsFail", "", firesWithin)
	},
	"nothing, and all are silent": func(t *testing.T) {
		d := newTables(t)
		s, address := meteredSite(t, d)
		p := watch(t, address)
		p.awaits(`consumer_status_up==1`)
		d.imports(july)
		s.goesOn(t)
		p.silent(90 * time.Second) // the longest time of a rule that wakes somebody is 40 s
		require.True(t, p.scraped(`eventlog_appends_total{outcome="appended"}>10`), "it was at work")
	},
}

// Each fault has its alert, within the time that the rules state, and there is none without.
func TestAlerts(t *testing.T) {
	t.Parallel()
	for name, fault := range faults { // one after the other, as times count
		t.Run(name, fault)
	}
	if !soak.On {
		return
	}
	for name, fault := range inSoak {
		t.Run(name, fault)
	}
}

// metered returns the address of a program's metrics.
func metered(c *child) string {
	c.t.Helper()
	return c.says(`url=http://(127\.0\.0\.1:\d+)/metrics`)
}

// says waits until a program writes something to its log, and returns what the brackets enclose.
func (c *child) says(pattern string) (found string) {
	c.t.Helper()
	expression := regexp.MustCompile(pattern)
	require.Eventually(c.t, func() bool {
		all := expression.FindStringSubmatch(c.stderr.String())
		if all != nil {
			found = all[1]
		}
		return all != nil
	}, patience, 20*time.Millisecond, "%s: %s", pattern, c.stderr)
	return found
}

// meteredSite starts a site, and returns the address of its metrics.
func meteredSite(t *testing.T, d *database) (served, string) {
	t.Helper()
	c := spawn(t, nil, d.args([]string{"serve", "--demo-login", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--verify-every", defaultVerifyEvery.String()})...)
	s := served{t: t, url: "http://" + c.says(`serves the page and GraphQL" url=http://(127\.0\.0\.1:\d+)`)}
	return s, metered(c)
}

// goesOn has a visitor save something again and again until the test ends, whatever comes of it.
func (s served) goesOn(t *testing.T) {
	t.Helper()
	anna := s.login("anna")
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	t.Cleanup(func() {
		stop()
		<-ended
	})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			document := `{"query": "mutation { ` + []string{"ignoreCity", "unignoreCity"}[i%2] + `(city: \"Mora\") { errors { code } } }"}`
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/graphql", strings.NewReader(document))
			if err != nil {
				return
			}
			request.Header.Set(anna[0], anna[1])
			request.Header.Set("Content-Type", "application/json")
			if response, err := http.DefaultClient.Do(request); err == nil {
				_ = response.Body.Close()
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
}

// awaits waits until a query has a result.
func (p *monitor) awaits(query string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return p.scraped(query) }, patience, 100*time.Millisecond, "%s", query)
}

// onSmallDisk returns DanceFinder's database on a disk of its own, and what fills that.
func onSmallDisk(t *testing.T) (*database, func()) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256m,mode=0755"), "it mounts a small disk, which takes root's rights")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) //nolint:gosec // the server runs as another user
	server, err := devservices.StartPostgres(t.Context(), devservices.PostgresConfig{Dir: filepath.Join(dir, "postgres"),
		Settings: map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() }) // it may have ended of itself
	pool, err := pgxpool.New(t.Context(), server.URL())
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	d := &database{&readviewtest.Database{Pool: pool, URL: server.URL(), Schema: "public"}, t}
	d.done("migrate", "up")
	return d, func() {
		ballast, err := os.Create(filepath.Join(dir, "ballast")) //nolint:gosec // ours
		require.NoError(t, err)
		defer func() { _ = ballast.Close() }()
		block := make([]byte, 64<<10)
		for err == nil {
			_, err = ballast.Write(block)
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
}
