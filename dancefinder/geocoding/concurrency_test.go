package geocoding_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
)

func TestSlowProviderBlocksNobody(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	pool, err := pgxpool.New(t.Context(), a.db.URL+"&application_name="+a.db.Schema)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	slow := a.hall(t.Context(), "Slow", "Malung", "Malung-Sälen", "Dalarna")
	called, release := make(chan struct{}), make(chan struct{})
	geocoder := &fake{geocode: func(ctx context.Context, q geocoding.Query) (geocoding.Result, error) {
		if q.Name == "Slow" {
			close(called)
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return malung, nil
	}}
	worker := geocoding.NewWorker(pool, a.service, geocoder, geocoding.WorkerConfig{Concurrency: 2, PollInterval: time.Hour})
	a.deliver(worker)
	a.run(worker)
	<-called

	// The worker may just be looking for a second job.
	require.Eventually(t, func() bool {
		var open int
		require.NoError(t, a.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND (state <> 'idle' OR xact_start IS NOT NULL)`, a.db.Schema).Scan(&open))
		return open == 0 && pool.Stat().AcquiredConns() == 0
	}, time.Minute, time.Millisecond, "the worker holds neither a transaction nor a connection")
	a.exec(`SELECT 1 FROM geocoding_job WHERE dance_hall_id = $1 FOR UPDATE NOWAIT`, slow)

	a.halls(10) // events that come meanwhile are taken, and worked off
	a.deliver(worker)
	a.await(worker, geocoding.Status{Pending: 1, Done: 10})
	close(release)
	a.await(worker, geocoding.Status{Done: 11})
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.halls(30)
	var mu sync.Mutex
	running, most := 0, 0
	full := make(chan struct{})
	geocoder := &fake{geocode: func(ctx context.Context, _ geocoding.Query) (geocoding.Result, error) {
		mu.Lock()
		running++
		most = max(most, running)
		if running == 3 {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		select {
		case <-full: // all places are taken at once, at least at first
		case <-ctx.Done():
		}
		mu.Lock()
		running--
		mu.Unlock()
		return malung, nil
	}}
	worker := a.worker(geocoder, geocoding.WorkerConfig{Concurrency: 3})
	a.deliver(worker)
	stop := a.run(worker)
	a.await(worker, geocoding.Status{Done: 30})
	stop()
	require.Equal(t, 3, most)
}

func TestWorkersShareAQueue(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	const halls = 200
	a.halls(halls)
	geocoder := answering(malung, nil)
	a.deliver(a.worker(geocoder, geocoding.WorkerConfig{}))
	var workers []*geocoding.Worker
	for range 3 {
		pool, err := pgxpool.New(t.Context(), a.db.URL)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		workers = append(workers, geocoding.NewWorker(pool, a.service, geocoder, geocoding.WorkerConfig{Concurrency: 4}))
	}
	for _, worker := range workers {
		a.run(worker)
	}
	a.await(workers[0], geocoding.Status{Done: halls})
	require.Len(t, geocoder.calls, halls)
	require.Equal(t, halls, geocoder.total(), "each job's call is made once")
	require.Len(t, a.log("DanceHallGeocoded"), halls)
}

func TestStoppedWorkerGivesItsJobsBack(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	halls := a.halls(2)
	called := make(chan struct{}, 2)
	worker := a.worker(&fake{geocode: func(ctx context.Context, _ geocoding.Query) (geocoding.Result, error) {
		called <- struct{}{}
		<-ctx.Done()
		return geocoding.Result{}, fmt.Errorf("%w: %w", geocoding.ErrTemporary, ctx.Err())
	}}, geocoding.WorkerConfig{MaxAttempts: 1})
	a.deliver(worker)
	stop := a.run(worker)
	<-called
	<-called
	stop()
	for _, hall := range halls {
		row := a.job(hall)
		require.Equal(t, "pending", row.State)
		require.Zero(t, row.Attempts, "it does not count")
		require.False(t, row.Claimed)
		require.LessOrEqual(t, row.Due, time.Duration(0), "others can take it at once")
	}
	next := a.worker(answering(malung, nil), geocoding.WorkerConfig{})
	a.run(next)
	a.await(next, geocoding.Status{Done: 2})
}

// What a process did that died before it marked its job done is in the log; its
// claim is in the job.
func TestDeathAfterTheCommand(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	hall := a.halls(1)[0]
	geocoder := answering(malung, nil)
	worker := a.worker(geocoder, geocoding.WorkerConfig{})
	a.deliver(worker)
	_, _, err := a.service.GeocodeDanceHall(t.Context(), domain.GeocodeDanceHall{
		DanceHallID: hall, Coordinate: malung.Coordinate, Source: malung.Source, Precision: malung.Precision,
	})
	require.NoError(t, err)
	a.exec(`UPDATE geocoding_job SET claim = gen_random_uuid(), attempts = 1`)
	a.run(worker)
	a.await(worker, geocoding.Status{Done: 1})
	require.Equal(t, 1, geocoder.total(), "the call is made again")
	require.Len(t, a.log("DanceHallGeocoded"), 1, "the event is not")
}

// A worker stands still in a call until its claim has ended, and another one has
// taken the job over.
func TestClaimThatEnds(t *testing.T) {
	t.Parallel()
	elsewhere := malung
	elsewhere.Coordinate.Latitude++
	for name, late := range map[string]struct {
		result geocoding.Result
		err    error
	}{
		"and has the result":       {malung, nil},
		"and has another result":   {elsewhere, nil},
		"and has an error":         {geocoding.Result{}, geocoding.ErrTemporary},
		"and has to wait":          {geocoding.Result{}, &geocoding.RateLimitedError{RetryAfter: time.Hour}},
		"and has found nothing":    {geocoding.Result{}, geocoding.ErrNotFound},
		"and has what is no place": {geocoding.Result{Source: domain.SourceNominatim}, nil},
	} {
		t.Run("the first one goes on "+name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t)
			hall := a.halls(1)[0]
			log := &syncBuffer{}
			called, release := make(chan struct{}), make(chan struct{})
			stalled := a.worker(&fake{geocode: func(context.Context, geocoding.Query) (geocoding.Result, error) {
				close(called)
				<-release
				return late.result, late.err
			}}, geocoding.WorkerConfig{MaxAttempts: 1, Concurrency: 1, Logger: slog.New(slog.NewTextHandler(log, nil))})
			a.deliver(stalled)
			stop := a.run(stalled)
			goOn := sync.OnceFunc(func() { close(release) })
			t.Cleanup(goOn)
			<-called
			claimed := a.job(hall)
			require.True(t, claimed.Claimed)
			require.Greater(t, claimed.Due, geocoding.DefaultJobTimeout, "the claim outlasts the work")

			a.exec(`UPDATE geocoding_job SET next_attempt_at = clock_timestamp()`)
			other := a.worker(answering(malung, nil), geocoding.WorkerConfig{})
			a.run(other)
			a.await(other, geocoding.Status{Done: 1})
			done := a.job(hall)
			goOn()
			a.eventually(func() bool { return bytes.Contains(log.bytes(), []byte("longer than its claim held")) }, "waiting for the end of the first one's work")
			stop()
			after := a.job(hall)
			after.Due, done.Due = 0, 0
			require.Equal(t, done, after, "the job is the other's")
			require.Len(t, a.log("DanceHallGeocoded"), 1)
		})
	}
}

func TestJobThatKillsItsProcess(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	hall := a.halls(1)[0]
	geocoder := answering(malung, nil)
	worker := a.worker(geocoder, geocoding.WorkerConfig{MaxAttempts: 3})
	a.deliver(worker)
	a.exec(`UPDATE geocoding_job SET claim = gen_random_uuid(), attempts = 3`)
	a.run(worker)
	a.await(worker, geocoding.Status{Failed: 1})
	require.Zero(t, geocoder.total())
	require.Equal(t, "given up after 3 attempts that did not end", a.job(hall).LastError)
}

func TestDatabaseThatFailsForAWhile(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.halls(1)
	log := &syncBuffer{}
	worker := a.worker(answering(malung, nil), geocoding.WorkerConfig{Logger: slog.New(slog.NewTextHandler(log, nil))})
	a.deliver(worker)
	a.exec(`ALTER TABLE geocoding_job RENAME TO away`)
	a.run(worker)
	a.eventually(func() bool { return bytes.Contains(log.bytes(), []byte("can't claim jobs")) }, log)
	a.exec(`ALTER TABLE away RENAME TO geocoding_job`)
	a.await(worker, geocoding.Status{Done: 1})
}

type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buffer.Bytes())
}

// TestAllHallsOfTheDemo geocodes what the generator makes: everything but the
// ferries, each in its city.
func TestAllHallsOfTheDemo(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	seen := map[[4]string]bool{}
	for row := range generator.Generate(generator.Config{}) {
		key := [4]string{row.Hall, row.City, row.Municipality, row.State}
		if seen[key] {
			continue
		}
		seen[key] = true
		_, _, err := a.service.CreateDanceHall(t.Context(), domain.CreateDanceHall{Name: row.Hall, City: row.City, Municipality: row.Municipality, State: row.State})
		require.NoError(t, err)
	}
	worker := a.worker(geocoding.Gazetteer{}, geocoding.WorkerConfig{})
	a.deliver(worker)
	start := time.Now()
	a.run(worker)
	var status geocoding.Status
	a.eventually(func() bool {
		var err error
		status, err = worker.Status(t.Context())
		require.NoError(t, err)
		return status.Pending == 0
	}, &status)
	t.Logf("%d halls in %s", len(seen), time.Since(start).Round(time.Millisecond))
	require.Equal(t, geocoding.Status{Done: int64(len(seen)) - generator.Ferries, NotFound: generator.Ferries}, status)
	for _, recorded := range a.log("DanceHallGeocoded") {
		events, err := a.store.Registry().Decode(t.Context(), recorded)
		require.NoError(t, err)
		event := events[0]
		require.Equal(t, "city", event.(*domain.DanceHallGeocoded).Precision)
	}
}
