package geocoding_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

func TestHallsAreGeocoded(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	alone := a.hall(t.Context(), "Folkets Park", "Malung", "Malung-Sälen", "Dalarna")
	chained := a.hall(eventsourced.WithCorrelation(t.Context(), "import 7"), "Logen", "", "Mora", "Dalarna")
	ship := a.hall(t.Context(), "M/S Vågdans", "", "(Båt)", "(Båt)")
	worker := a.worker(geocoding.Gazetteer{}, geocoding.WorkerConfig{})
	a.deliver(worker)
	a.await(worker, geocoding.Status{Pending: 3})
	a.run(worker)
	a.await(worker, geocoding.Status{Done: 2, NotFound: 1})

	created := map[string]eventsourced.Recorded{}
	for _, event := range a.log("DanceHallCreated") {
		created[event.Stream.AggregateID] = event
	}
	geocoded := map[string]*domain.DanceHallGeocoded{}
	for _, recorded := range a.log("DanceHallGeocoded") {
		events, err := a.store.Registry().Decode(t.Context(), recorded)
		require.NoError(t, err)
		event := events[0]
		id := recorded.Stream.AggregateID
		geocoded[id] = event.(*domain.DanceHallGeocoded)
		cause := created[id]
		require.Equal(t, cause.ID.String(), recorded.Metadata[eventsourced.MetaCausation])
		correlation := cause.Metadata[eventsourced.MetaCorrelation]
		if id == string(alone) {
			correlation = cause.ID.String()
		}
		require.Equal(t, correlation, recorded.Metadata[eventsourced.MetaCorrelation])
	}
	require.Len(t, geocoded, 2)
	require.Equal(t, "import 7", created[string(chained)].Metadata[eventsourced.MetaCorrelation])
	require.NotContains(t, geocoded, string(ship))
	hall := geocoded[string(alone)]
	require.InDelta(t, 60.68329, hall.Latitude, 1e-9)
	require.InDelta(t, 13.71542, hall.Longitude, 1e-9)
	require.Equal(t, "gazetteer city Folkets Park, Malung, Malung-Sälen, Dalarna", strings.Join([]string{hall.Source, hall.Precision, hall.Query}, " "))
	require.Equal(t, "municipality", geocoded[string(chained)].Precision)
}

func TestEnqueue(t *testing.T) {
	t.Parallel()

	t.Run("an event that is delivered again leads to nothing", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		a.halls(3)
		geocoder := answering(malung, nil)
		worker := a.worker(geocoder, geocoding.WorkerConfig{})
		a.deliver(worker)
		a.deliver(worker)
		a.run(worker)
		a.await(worker, geocoding.Status{Done: 3})
		a.deliver(worker)
		a.await(worker, geocoding.Status{Done: 3})
		require.Equal(t, 3, geocoder.total())
	})
	t.Run("outside a handler it is refused", func(t *testing.T) {
		t.Parallel()
		worker := newApp(t).worker(geocoding.Gazetteer{}, geocoding.WorkerConfig{})
		require.ErrorIs(t, worker.Enqueue(t.Context(), &domain.DanceHallCreated{}), geocoding.ErrNoEvent)
	})
	t.Run("an idle worker is woken", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		worker := a.worker(answering(malung, nil), geocoding.WorkerConfig{PollInterval: time.Hour})
		a.run(worker)
		for i := range 3 {
			a.hall(t.Context(), strings.Repeat("a", i+1), "Malung", "Malung-Sälen", "Dalarna")
			a.deliver(worker)
			a.await(worker, geocoding.Status{Done: int64(i + 1)})
		}
	})
	t.Run("another process finds the jobs by itself", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		worker, other := a.worker(answering(malung, nil), geocoding.WorkerConfig{}), a.worker(answering(malung, nil), geocoding.WorkerConfig{})
		a.run(worker)
		for i := range 5 {
			a.hall(t.Context(), strings.Repeat("a", i+1), "Malung", "Malung-Sälen", "Dalarna")
			a.deliver(other)
			a.await(worker, geocoding.Status{Done: int64(i + 1)})
		}
	})
}

func TestOutcomes(t *testing.T) {
	t.Parallel()

	t.Run("a hall that somebody has placed by hand is done", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		hall := a.halls(1)[0]
		_, _, err := a.service.GeocodeDanceHall(t.Context(), domain.GeocodeDanceHall{
			DanceHallID: hall, Coordinate: domain.Coordinate{Latitude: 60, Longitude: 13}, Source: domain.SourceManual, Precision: domain.PrecisionVenue,
		})
		require.NoError(t, err)
		worker := a.worker(answering(malung, nil), geocoding.WorkerConfig{})
		a.deliver(worker)
		a.run(worker)
		a.await(worker, geocoding.Status{Done: 1})
		require.Len(t, a.log("DanceHallGeocoded"), 1)
		require.Empty(t, a.job(hall).LastError)
	})
	t.Run("a hall that was never created fails, at once", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		worker := a.worker(answering(malung, nil), geocoding.WorkerConfig{})
		hall := domain.DanceHallIDFor("Parken", domain.Place{Municipality: "Mora", State: "Dalarna"})
		event := &domain.DanceHallCreated{Name: "Parken", Municipality: "Mora", State: "Dalarna"}
		event.EventAggregateId = string(hall)
		recorded := &eventsourced.Recorded{EventData: eventsourced.EventData{ID: eventsourced.NewEventID()}, Position: 1}
		require.NoError(t, worker.Enqueue(eventsourced.WithRecorded(t.Context(), recorded), event))
		a.run(worker)
		a.await(worker, geocoding.Status{Failed: 1})
		require.Equal(t, 1, a.job(hall).Attempts)
		require.Equal(t, "danceHallId: there is no such dance hall", a.job(hall).LastError)
	})
	t.Run("a result that the domain refuses fails, at once", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		hall := a.halls(1)[0]
		worker := a.worker(answering(geocoding.Result{Source: domain.SourceNominatim, Precision: domain.PrecisionCity}, nil), geocoding.WorkerConfig{})
		a.deliver(worker)
		a.run(worker)
		a.await(worker, geocoding.Status{Failed: 1})
		require.Contains(t, a.job(hall).LastError, "0,0")
	})
	t.Run("an error that may pass is followed by a delay", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		hall := a.halls(1)[0]
		geocoder := answering(geocoding.Result{}, errors.New("the cable\x00 is cut"))
		worker := a.worker(geocoder, geocoding.WorkerConfig{MinBackoff: time.Hour, MaxBackoff: 8 * time.Hour, MaxAttempts: 5})
		a.deliver(worker)
		a.run(worker)
		for attempt, most := range []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour} {
			row := a.untilReleased(hall, func(row jobRow) bool { return row.Attempts == attempt+1 })
			require.Equal(t, "pending", row.State)
			require.Equal(t, "the cable is cut", row.LastError)
			require.True(t, most/2-time.Minute <= row.Due && row.Due <= most, "%s after attempt %d", row.Due, attempt+1)
			a.exec(`UPDATE geocoding_job SET next_attempt_at = clock_timestamp()`) // the delay is over
		}
		a.await(worker, geocoding.Status{Failed: 1})
		require.Equal(t, 5, geocoder.total())
		require.Equal(t, "the cable is cut", a.job(hall).LastError)
	})
	t.Run("a clock that went back holds up no job", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		a.halls(1)
		worker := a.worker(answering(malung, nil), geocoding.WorkerConfig{})
		a.deliver(worker)
		a.exec(`UPDATE geocoding_job SET next_attempt_at = clock_timestamp() + interval '1 year'`)
		a.run(worker)
		a.await(worker, geocoding.Status{Done: 1})
	})
	t.Run("a geocoder that panics has failed", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		hall := a.halls(1)[0]
		geocoder := &fake{geocode: func(context.Context, geocoding.Query) (geocoding.Result, error) { panic("no map") }}
		worker := a.worker(geocoder, geocoding.WorkerConfig{MaxAttempts: 1})
		a.deliver(worker)
		a.run(worker)
		a.await(worker, geocoding.Status{Failed: 1})
		require.Equal(t, "the geocoder panicked: no map", a.job(hall).LastError)
	})
	t.Run("a call that takes too long has failed", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		hall := a.halls(1)[0]
		geocoder := &fake{geocode: func(ctx context.Context, _ geocoding.Query) (geocoding.Result, error) {
			<-ctx.Done()
			return geocoding.Result{}, ctx.Err()
		}}
		worker := a.worker(geocoder, geocoding.WorkerConfig{MaxAttempts: 1, Timeout: time.Millisecond})
		a.deliver(worker)
		a.run(worker)
		a.await(worker, geocoding.Status{Failed: 1})
		require.Equal(t, context.DeadlineExceeded.Error(), a.job(hall).LastError)
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.halls(3)
	answers := map[string]error{"Parken 0": nil, "Parken 1": geocoding.ErrNotFound, "Parken 2": geocoding.ErrTemporary}
	geocoder := &fake{geocode: func(_ context.Context, q geocoding.Query) (geocoding.Result, error) { return malung, answers[q.Name] }}
	first := a.worker(geocoder, geocoding.WorkerConfig{MaxAttempts: 1})
	a.deliver(first)
	stop := a.run(first)
	a.await(first, geocoding.Status{Done: 1, NotFound: 1, Failed: 1})
	stop()
	a.exec(`INSERT INTO geocoding_cache VALUES ('p', 'found', 60, 13, 'city', '', now()), ('p', 'nothing', NULL, NULL, '', '', now())`)

	better := answering(malung, nil)
	worker := a.worker(better, geocoding.WorkerConfig{PollInterval: time.Hour})
	a.run(worker)
	n, err := worker.Retry(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	a.await(worker, geocoding.Status{Done: 3})
	require.Equal(t, map[string]int{"Parken 1": 1, "Parken 2": 1}, better.calls)
	n, err = worker.Retry(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	var cached string
	require.NoError(t, a.pool.QueryRow(t.Context(), `SELECT string_agg(query, ' ') FROM geocoding_cache`).Scan(&cached))
	require.Equal(t, "found", cached, "that nothing was found is forgotten")
}

func TestRateLimited(t *testing.T) {
	t.Parallel()

	t.Run("nothing is asked in the pause, and it is no attempt", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		a.halls(20)
		geocoder := answering(geocoding.Result{}, &geocoding.RateLimitedError{RetryAfter: time.Hour})
		worker := a.worker(geocoder, geocoding.WorkerConfig{Concurrency: 1, MaxAttempts: 1})
		a.deliver(worker)
		stop := a.run(worker)
		a.eventually(func() bool {
			var limited int
			require.NoError(t, a.pool.QueryRow(t.Context(), `
				SELECT count(*) FROM geocoding_job WHERE claim IS NULL AND attempts = 0 AND last_error LIKE 'rate limited%'
					AND next_attempt_at BETWEEN clock_timestamp() + interval '59 minutes' AND clock_timestamp() + interval '1 hour'`).Scan(&limited))
			return limited > 0
		}, "waiting for the first answer")
		stop()
		require.Equal(t, 1, geocoder.total())
		a.await(worker, geocoding.Status{Pending: 20})
	})
	t.Run("after the pause it goes on", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		a.halls(3)
		const pause = 100 * time.Millisecond
		var limitedAt, nextAt time.Time
		geocoder := &fake{}
		geocoder.geocode = func(context.Context, geocoding.Query) (geocoding.Result, error) {
			switch geocoder.total() {
			case 1:
				limitedAt = time.Now()
				return geocoding.Result{}, &geocoding.RateLimitedError{RetryAfter: pause}
			case 2:
				nextAt = time.Now()
			}
			return malung, nil
		}
		worker := a.worker(geocoder, geocoding.WorkerConfig{Concurrency: 1})
		a.deliver(worker)
		stop := a.run(worker)
		a.await(worker, geocoding.Status{Done: 3})
		stop()
		require.GreaterOrEqual(t, nextAt.Sub(limitedAt), pause)
		require.Equal(t, 4, geocoder.total())
	})
	t.Run("a pause of no time is one poll", func(t *testing.T) {
		t.Parallel()
		a := newApp(t)
		hall := a.halls(1)[0]
		worker := a.worker(answering(geocoding.Result{}, &geocoding.RateLimitedError{}), geocoding.WorkerConfig{PollInterval: time.Hour})
		a.deliver(worker)
		a.run(worker)
		row := a.untilReleased(hall, func(row jobRow) bool { return row.LastError != "" })
		require.Greater(t, row.Due, 59*time.Minute)
	})
}

// TestProviderThatWantsAPause is the whole of it, over HTTP: one process is told
// to wait, and another one keeps to it.
func TestProviderThatWantsAPause(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.halls(3)
	var mu sync.Mutex
	var at []time.Time
	s := newServer(t, func(request int, w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		at = append(at, time.Now())
		mu.Unlock()
		if request == 1 {
			w.Header().Set("Retry-After", "1")
			reply(w, http.StatusTooManyRequests, "")
			return
		}
		reply(w, http.StatusOK, parkJSON)
	})
	start := func() *geocoding.Worker {
		worker := a.worker(a.nominatim(t, s, geocoding.NominatimConfig{}), geocoding.WorkerConfig{Concurrency: 1, MaxAttempts: 1})
		a.run(worker)
		return worker
	}
	first := start()
	a.deliver(first)
	a.eventually(func() bool {
		var paused bool
		require.NoError(t, a.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM geocoding_limit WHERE paused_until > clock_timestamp())`).Scan(&paused))
		return paused
	}, "waiting for the pause")
	start()
	a.await(first, geocoding.Status{Done: 3})
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, at, 4)
	require.GreaterOrEqual(t, at[1].Sub(at[0]), 950*time.Millisecond, "a second, less what two clocks may differ")
}
