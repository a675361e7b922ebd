package geocoding

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/internal/need"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Worker has a queue of dance halls to be found on the map, in the database, and
// works it off. Its methods are safe for concurrent use. Any number of workers, in
// any number of processes, may share a queue.
type Worker struct {
	queue    queue
	service  *domain.Service
	geocoder Geocoder
	config   WorkerConfig
	queued   chan struct{} // holds a value when jobs were queued here since the last look

	mu     sync.Mutex
	resume time.Time // when the provider may be asked again
}

// NewWorker returns a worker on the queue in the database that pool reaches. It
// does nothing before [Worker.Run]. It panics with all that is nil.
func NewWorker(pool *pgxpool.Pool, service *domain.Service, geocoder Geocoder, config WorkerConfig) *Worker {
	need.All("geocoding.NewWorker", map[string]any{"pool": pool, "service": service, "geocoder": geocoder})
	return &Worker{
		queue:    queue{pool: pool},
		service:  service,
		geocoder: geocoder,
		config:   config.withDefaults(),
		queued:   make(chan struct{}, 1),
	}
}

// Enqueue queues the hall that event created, and wakes [Worker.Run]. It is for
// the handler of a subscription: ctx holds the event's id, position and
// correlation ([eventsourced.FromContext]), or it returns [ErrNoEvent]. It takes
// one short statement, asks no provider, and does nothing when this event or a later
// one of the hall was queued already: deliver an event as often as you like.
func (w *Worker) Enqueue(ctx context.Context, event *domain.DanceHallCreated) error {
	return w.enqueue(ctx, event.EventAggregateId, event.Name, domain.Place{City: event.City, Municipality: event.Municipality, State: event.State})
}

// EnqueueUpdated is [Worker.Enqueue] for a hall that has another name or place: it is
// looked up again.
func (w *Worker) EnqueueUpdated(ctx context.Context, event *domain.DanceHallUpdated) error {
	return w.enqueue(ctx, event.EventAggregateId, event.Name, domain.Place{City: event.City, Municipality: event.Municipality, State: event.State})
}

func (w *Worker) enqueue(ctx context.Context, hall, name string, at domain.Place) error {
	recorded := eventsourced.FromContext(ctx)
	if recorded == nil {
		return fmt.Errorf("queue a dance hall for geocoding: %w", ErrNoEvent)
	}
	if err := w.queue.add(ctx, hall, name, at, recorded); err != nil {
		return fmt.Errorf("queue dance hall %s for geocoding: %w", hall, err)
	}
	w.wake()
	return nil
}

// Retry queues all halls again that were not found or that have failed, for a
// provider that has learned or was replaced, and forgets that cached searches
// found nothing. It returns how many halls.
func (w *Worker) Retry(ctx context.Context) (int64, error) {
	n, err := w.queue.retry(ctx)
	if err != nil {
		return 0, fmt.Errorf("retry geocoding: %w", err)
	}
	w.wake()
	return n, nil
}

// Status counts the halls in the queue by state.
type Status struct {
	Pending  int64 // waiting, or being looked up
	Done     int64 // have a coordinate
	Failed   int64 // have none after the last attempt; last_error says why
	NotFound int64 // the provider does not know them
}

// Status returns the state of the queue, all workers' work included.
func (w *Worker) Status(ctx context.Context) (Status, error) { return w.queue.status(ctx) }

func (w *Worker) wake() {
	select {
	case w.queued <- struct{}{}:
	default:
	}
}

// Run works the queue off until ctx ends, then gives back what it had begun and
// returns nil. It holds no transaction while the provider is asked. An error of
// the database is logged, and it goes on when that is back.
func (w *Worker) Run(ctx context.Context) error {
	free := make(chan struct{}, w.config.Concurrency)
	give := func(n int) {
		for range n {
			free <- struct{}{}
		}
	}
	give(w.config.Concurrency)
	var jobs sync.WaitGroup
	defer jobs.Wait()
	failures := 0
	for {
		places := take(ctx, free)
		if ctx.Err() != nil {
			return nil
		}
		if pause := w.pause(); pause > 0 {
			give(places)
			_ = sleep(ctx, pause) // the end of ctx is noticed above
			continue
		}
		claimed, err := w.claim(ctx, places)
		give(places - len(claimed))
		for _, j := range claimed {
			jobs.Go(func() {
				defer give(1)
				w.work(ctx, j)
			})
		}
		switch {
		case err != nil && ctx.Err() == nil:
			delay := doubled(w.config.PollInterval, failures, maxOutage)
			failures++
			w.config.Logger.ErrorContext(ctx, "geocoding can't claim jobs", "delay", delay, "error", err)
			_ = sleep(ctx, delay)
		case len(claimed) < places:
			failures = 0
			w.idle(ctx)
		default:
			failures = 0
		}
	}
}

// claim claims jobs for so many places. What was claimed while ctx ended is given back like what
// was begun; were the claim broken off, the job would wait for its end.
func (w *Worker) claim(ctx context.Context, places int) ([]job, error) {
	lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return w.queue.claim(lasting, places, w.config.Timeout+leaseMargin, w.config.longestWait())
}

// take waits until a place is free and returns how many are.
func take(ctx context.Context, free <-chan struct{}) int {
	select {
	case <-ctx.Done():
		return 0
	case <-free:
	}
	for n := 1; ; n++ {
		select {
		case <-free:
		default:
			return n
		}
	}
}

// idle waits until there may be jobs.
func (w *Worker) idle(ctx context.Context) {
	timer := time.NewTimer(w.config.PollInterval)
	defer timer.Stop()
	select {
	case <-w.queued:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// work does a job that was claimed.
func (w *Worker) work(ctx context.Context, j job) {
	o := w.attempt(ctx, j)
	// What came of it is stored also when ctx has ended.
	lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	logger := w.config.Logger.With("dance_hall_id", j.hall, "attempt", j.attempts)
	switch mine, err := w.queue.finish(lasting, j, o); {
	case err != nil:
		logger.ErrorContext(ctx, "the outcome of geocoding was not stored, it will be tried again", "state", o.state, "error", err)
	case !mine:
		logger.WarnContext(ctx, "geocoding took longer than its claim held", "state", o.state)
	case o.state == stateFailed:
		logger.ErrorContext(ctx, "geocoding failed", "error", o.err)
	case o.state == statePending && !o.forgive:
		logger.WarnContext(ctx, "geocoding will be tried again", "delay", o.delay, "error", o.err)
	default:
		logger.DebugContext(ctx, "geocoding", "state", o.state)
	}
}

// attempt looks the hall up and says where it is.
func (w *Worker) attempt(ctx context.Context, j job) outcome {
	if j.attempts > w.config.MaxAttempts { // each before has ended its process
		return outcome{state: stateFailed, err: fmt.Errorf("given up after %d attempts that did not end", j.attempts-1)}
	}
	timed, cancel := context.WithTimeout(ctx, w.config.Timeout)
	defer cancel()
	result, err := w.lookUp(timed, j.query)
	var limited *RateLimitedError
	switch {
	case errors.Is(err, ErrNotFound):
		return outcome{state: stateNotFound}
	case errors.As(err, &limited):
		delay := limited.RetryAfter
		if delay <= 0 { // against the rules of Geocoder
			delay = w.config.PollInterval
		}
		delay = min(delay, w.config.longestWait())
		w.pauseFor(ctx, delay)
		return outcome{state: statePending, delay: delay, forgive: true, err: err}
	case err != nil:
		return w.again(ctx, j, err)
	}
	caused := eventsourced.WithCommand(eventsourced.WithRecorded(timed, j.cause()), j.command(result.Source))
	_, _, err = w.service.GeocodeDanceHall(caused, domain.GeocodeDanceHall{
		DanceHallID: domain.DanceHallID(j.hall),
		Coordinate:  result.Coordinate,
		Source:      result.Source,
		Precision:   result.Precision,
		Query:       j.query.String(),
	})
	var refusal *domain.Error
	switch {
	case err == nil, errors.Is(err, domain.ErrGeocodeOutranked):
		return outcome{state: stateDone}
	case errors.As(err, &refusal):
		return outcome{state: stateFailed, err: err}
	}
	return w.again(ctx, j, err)
}

// again is the outcome of an attempt with an error that may pass.
func (w *Worker) again(ctx context.Context, j job, err error) outcome {
	switch {
	case ctx.Err() != nil: // the end of this worker, not a failure
		return outcome{state: statePending, forgive: true, err: err}
	case j.attempts >= w.config.MaxAttempts:
		return outcome{state: stateFailed, err: err}
	}
	return outcome{state: statePending, delay: w.config.backoff(j.attempts), err: err}
}

// lookUp calls the geocoder; a panic of it is an error.
func (w *Worker) lookUp(ctx context.Context, q Query) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the geocoder panicked: %v", p)
			w.config.Logger.ErrorContext(ctx, "the geocoder panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return w.geocoder.Geocode(ctx, q)
}

// pauseFor makes this worker claim nothing for d. Other processes learn of the
// pause when they ask the provider's limiter.
func (w *Worker) pauseFor(ctx context.Context, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if resume := time.Now().Add(d); resume.After(w.resume) {
		w.resume = resume
		w.config.Logger.InfoContext(ctx, "geocoding waits for the provider", "delay", d)
	}
}

// pause returns how long nothing is to be claimed.
func (w *Worker) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Until(w.resume)
}
