package geocoding_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

// app is DanceFinder's write side on a database of its own.
type app struct {
	t       *testing.T
	db      *readviewtest.Database
	pool    *pgxpool.Pool
	store   *pgstore.Store
	service *domain.Service
}

func newApp(t *testing.T) *app {
	t.Helper()
	db := readviewtest.NewDatabase(t)
	_, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	store := pgstore.New(db.Pool, registry, pgstore.Config{})
	t.Cleanup(store.Close)
	return &app{t: t, db: db, pool: db.Pool, store: store, service: domain.NewService(store)}
}

func (a *app) worker(geocoder geocoding.Geocoder, config geocoding.WorkerConfig) *geocoding.Worker {
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if config.PollInterval == 0 {
		config.PollInterval = 5 * time.Millisecond
	}
	return geocoding.NewWorker(a.pool, a.service, geocoder, config)
}

// halls creates n halls in Malung.
func (a *app) halls(n int) (ids []domain.DanceHallID) {
	a.t.Helper()
	for i := range n {
		ids = append(ids, a.hall(a.t.Context(), fmt.Sprintf("Parken %d", i), "Malung", "Malung-Sälen", "Dalarna"))
	}
	return ids
}

func (a *app) hall(ctx context.Context, name, city, municipality, state string) domain.DanceHallID {
	a.t.Helper()
	id, _, err := a.service.CreateDanceHall(ctx, domain.CreateDanceHall{Name: name, City: city, Municipality: municipality, State: state})
	require.NoError(a.t, err)
	return id
}

// deliver does what a subscription does: it hands all events in the log over.
func (a *app) deliver(worker *geocoding.Worker) {
	a.t.Helper()
	for _, recorded := range a.log("DanceHallCreated") {
		events, err := a.store.Registry().Decode(a.t.Context(), recorded)
		require.NoError(a.t, err)
		event := events[0]
		ctx := eventsourced.WithRecorded(a.t.Context(), &recorded)
		require.NoError(a.t, worker.Enqueue(ctx, event.(*domain.DanceHallCreated)))
	}
}

// log returns the events of one name.
func (a *app) log(name string) (all []eventsourced.Recorded) {
	a.t.Helper()
	for recorded, err := range a.store.ReadLog(a.t.Context(), eventsourced.LogQuery{Names: []string{name}}) {
		require.NoError(a.t, err)
		all = append(all, recorded)
	}
	return all
}

// run runs a worker until the test ends or stop is called.
func (a *app) run(worker *geocoding.Worker) (stop func()) {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.t.Context()))
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(a.t, <-done)
	})
	a.t.Cleanup(stop)
	return stop
}

// await waits until the queue is as wanted.
func (a *app) await(worker *geocoding.Worker, want geocoding.Status) {
	a.t.Helper()
	var got geocoding.Status
	a.eventually(func() bool {
		var err error
		got, err = worker.Status(a.t.Context())
		require.NoError(a.t, err)
		return got == want
	}, &got)
}

func (a *app) eventually(condition func() bool, note any) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		require.True(a.t, time.Now().Before(deadline), "it is still %+v", note)
		tick := time.NewTimer(10 * time.Millisecond)
		<-tick.C
	}
}

// jobRow is a row of geocoding_job.
type jobRow struct {
	State     string
	Attempts  int
	LastError string
	Claimed   bool
	Due       time.Duration // from now
}

func (a *app) job(hall domain.DanceHallID) (row jobRow) {
	a.t.Helper()
	err := a.pool.QueryRow(a.t.Context(), `
		SELECT state, attempts, last_error, claim IS NOT NULL, next_attempt_at - clock_timestamp()
		FROM geocoding_job WHERE dance_hall_id = $1`, hall).Scan(&row.State, &row.Attempts, &row.LastError, &row.Claimed, &row.Due)
	require.NoError(a.t, err)
	return row
}

// untilReleased waits until a hall has a job that nobody has claimed and that is
// as wanted.
func (a *app) untilReleased(hall domain.DanceHallID, want func(jobRow) bool) (row jobRow) {
	a.t.Helper()
	a.eventually(func() bool {
		row = a.job(hall)
		return !row.Claimed && want(row)
	}, &row)
	return row
}

func (a *app) exec(statement string, arguments ...any) {
	a.t.Helper()
	_, err := a.pool.Exec(a.t.Context(), statement, arguments...)
	require.NoError(a.t, err)
}

// fake is a geocoder that does what a test wants, and counts its calls by hall.
type fake struct {
	geocode func(ctx context.Context, q geocoding.Query) (geocoding.Result, error)

	mu    sync.Mutex
	calls map[string]int
}

// answering returns a fake that does the same each time.
func answering(result geocoding.Result, err error) *fake {
	return &fake{geocode: func(context.Context, geocoding.Query) (geocoding.Result, error) { return result, err }}
}

func (f *fake) Geocode(ctx context.Context, q geocoding.Query) (geocoding.Result, error) {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[q.Name]++
	f.mu.Unlock()
	return f.geocode(ctx, q)
}

func (f *fake) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, calls := range f.calls {
		n += calls
	}
	return n
}

// malung is what a provider may know.
var malung = geocoding.Result{
	Coordinate: domain.Coordinate{Latitude: 60.68333, Longitude: 13.71667},
	Precision:  domain.PrecisionVenue,
	Source:     domain.SourceNominatim,
	Matched:    "Folkets Park, Malung",
}
