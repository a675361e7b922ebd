package readview

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// Back-off after an error: it doubles from the first to the last.
const (
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 5 * time.Second
)

// Pauses between two looks at a log in which there is nothing for the projection,
// while it grows: they double from the first to the last. So others' events cost
// a projection little, and one of its own after a quiet time is not kept waiting.
const (
	firstPause = time.Millisecond
	lastPause  = 25 * time.Millisecond
)

// runner runs one projection on this node. Towards the router it is the
// subscriber that emits the pages and the handler that applies them.
type runner struct {
	*definition
	m        *Manager
	registry *eventsourced.Registry
	remote   *remote // where the events come from, nil for the log
	logger   *slog.Logger
	nudges   chan struct{} // a reset, a pause or a resume: look at the state

	alone    sync.Map     // names of events that are applied alone
	advanced atomic.Int64 // the position of the page applied last, 0 when the state may have changed since
	progress progress
	failed   atomic.Bool  // there is a failure on record
	pageCap  atomic.Int64 // events, at most PageEvents, less when a page took too long

	loops sync.WaitGroup
	db    *pipeline.DB // on the pool, open while the loop runs

	mu      sync.Mutex
	closers []context.CancelFunc
	running int      // loops
	refused error    // why this node can't run the projection, nil when it can
	trouble *Failure // why it does not get on, as this node knows it

	// Of the loop's goroutine, or of the remote's handler.
	pageLimit  int // events, at most PageEvents
	lastItems  int // in the page that was read last
	failures   int // in a row
	attempted  eventsourced.EventID
	attempts   int       // at that event
	since      time.Time // of the first one
	started    bool      // a failure of an earlier process is retried
	registered bool      // this program has run the projection
	renewAt    time.Time

	failpoint func(point string) // tests kill the process here
}

func newRunner(m *Manager, d *definition, registry *eventsourced.Registry) *runner {
	r := &runner{
		definition: d,
		m:          m,
		registry:   registry,
		logger:     m.config.Logger.With("projection", d.Name),
		nudges:     make(chan struct{}, 1),
		pageLimit:  m.config.PageEvents,
		failpoint:  func(string) {},
	}
	r.pageCap.Store(int64(m.config.PageEvents))
	return r
}

// Subscribe implements [message.Subscriber]. It does not fail: a database that is
// down is waited for.
func (r *runner) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	life := ctx
	r.m.life.Store(&life)
	ctx, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closers = append(r.closers, cancel)
	r.running++
	r.db = pipeline.Open(r.m.pool)
	out := make(chan *message.Message)
	r.loops.Go(func() {
		defer close(out)
		defer cancel()
		r.loops.Go(func() { r.watch(ctx) })
		r.run(ctx, out)
		_ = r.db.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running--
	})
	return out, nil
}

// starts tells whether the router has subscribed.
func (r *runner) starts() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running > 0
}

// Close implements [message.Subscriber]. It returns when the page that is being
// applied is, or is rolled back after the drain timeout.
func (r *runner) Close() error {
	r.mu.Lock()
	for _, cancel := range r.closers {
		cancel()
	}
	r.mu.Unlock()
	r.loops.Wait()
	return nil
}

func (r *runner) wake() {
	nudge(r.nudges)
	if r.remote != nil {
		nudge(r.remote.looks)
	}
	r.announce(0)
}

// announce tells those who wait that the projection is at a position now, or that
// its state has changed.
func (r *runner) announce(at eventsourced.Position) {
	r.advanced.Store(int64(at))
	r.m.announce()
}

func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run emits pages until ctx ends. Outside of [runner.follow] it waits for its
// turn: for the database, for the end of a pause, for another node to go away.
func (r *runner) run(ctx context.Context, out chan<- *message.Message) {
	news := r.m.log.Listen(ctx)
	for ctx.Err() == nil {
		r.progress.at(atState, nil)
		at, pause, err := r.enter(ctx)
		if err == nil && pause == 0 {
			err = r.follow(ctx, at, out, news)
		}
		r.progress.at(atRest, nil)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errStale) {
			pause = r.backOff()
			r.trip(ctx, err, pause)
		}
		if pause > 0 {
			r.wait(ctx, nil, pause)
		}
	}
	r.release(ctx)
}

// trip puts an error on record that is tried again.
func (r *runner) trip(ctx context.Context, err error, wait time.Duration) {
	if pgerr.ReadOnly(err) {
		r.m.pool.Reset() // its connections lead to what is a replica now
	}
	r.logger.WarnContext(ctx, "projection waits before it tries again", "error", err, "wait", wait)
	var event *eventsourced.Recorded
	var failed *EventError
	if errors.As(err, &failed) {
		event = &failed.Event
	}
	r.note(ctx, event, err.Error(), time.Now(), 1)
}

// log is where the projection's events can be looked up, nil when they come by messages.
func (r *runner) log() eventsourced.LogReader {
	if r.remote != nil {
		return nil
	}
	return r.m.log
}

// release ends this node's lease, so that another one takes over at once.
func (r *runner) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.m.config.PollInterval)
	defer cancel()
	if err := r.m.states.release(ctx, r.Name, r.m.node); err != nil {
		r.logger.InfoContext(ctx, "lease not released, it ends by itself", "error", err)
	}
}

// load returns how the projection stands, after making its rows if it is new. A
// failure of an earlier process is retried. It returns [ErrNewEvents] when this
// node can't run it.
func (r *runner) load(ctx context.Context) (record, error) {
	stored, err := r.m.states.read(ctx, r.Name)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !slices.Equal(stored.programs.handled, r.handled) {
		lacking := stored.programs.lacking(r.definition)
		if err == nil && r.registered && (stored.leaseValid || len(lacking) > 0) { // another program has taken over since
			err = olderProgramError(r.Name, lacking)
		} else {
			err = r.m.states.register(ctx, r.log(), r.definition)
		}
		if err == nil {
			stored, err = r.m.states.read(ctx, r.Name)
		}
	}
	r.refuse(ctx, err)
	if err != nil {
		return record{}, explain(err)
	}
	r.registered = true
	if !r.started && stored.status == "failed" {
		if err := r.m.states.retry(ctx, r.Name); err != nil {
			return record{}, err
		}
		stored.Running = true
	}
	r.started = true
	r.failed.Store(stored.failure != nil)
	return stored, nil
}

// enter returns where the projection stands if this node may apply it now;
// otherwise how long to wait before asking again.
func (r *runner) enter(ctx context.Context) (Checkpoint, time.Duration, error) {
	poll := r.m.config.PollInterval
	stored, err := r.load(ctx)
	if refusal(err) {
		return Checkpoint{}, poll, nil
	}
	if err != nil {
		return Checkpoint{}, 0, err
	}
	if !stored.Running {
		return Checkpoint{}, poll, nil
	}
	held, _, err := r.renew(ctx, stored.Generation)
	if err != nil || !held {
		r.clear() // if there is trouble, it is another node's
		return Checkpoint{}, min(max(stored.leaseLeft, time.Millisecond), poll), err
	}
	return stored.Checkpoint, 0, nil
}

// follow applies page after page from at on, reading the next one while one is
// applied, and waits at the end of the log for more. It returns errStale when
// the state is to be looked at again.
func (r *runner) follow(ctx context.Context, at Checkpoint, out chan<- *message.Message, news <-chan struct{}) error {
	next := r.readAhead(ctx, at)
	defer func() { next.cancel() }()
	idle, looked := firstPause, time.Now()
	for {
		r.progress.at(atLog, nil)
		pg, err := next.await()
		if errors.Is(err, ErrAhead) {
			return r.halt(ctx, at, err)
		}
		if err != nil {
			return err
		}
		at.Position = pg.upTo
		switch {
		case len(pg.items) > 0:
			idle = firstPause
			next = r.readAhead(ctx, at)
			pg.meanwhile = next.begin
			err = r.emit(ctx, out, pg)
		case pg.upTo > pg.after:
			idle = min(2*idle, lastPause)
			_, _, err = r.transact(ctx, pg, 0, 0, pipeline.Together)
		}
		r.progress.at(atState, nil)
		if err != nil {
			return r.settle(ctx, pg, err)
		}
		r.succeed(ctx, at, pg)
		if len(pg.items) == 0 {
			r.progress.at(atRest, nil)
			if r.wait(ctx, news, r.m.config.PollInterval) || r.wait(ctx, nil, time.Until(looked.Add(idle))) {
				return errStale
			}
			next, looked = r.readAhead(ctx, at), time.Now()
		}
		if time.Now().After(r.renewAt) {
			held, position, err := r.renew(ctx, at.Generation)
			if err != nil {
				return err
			}
			if !held || position != at.Position { // another node's, or set by hand
				return errStale
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// refuse notes why this node can't run the projection, nil when it can.
func (r *runner) refuse(ctx context.Context, err error) {
	if !refusal(err) {
		err = nil
	}
	r.mu.Lock()
	known := r.refused != nil
	r.refused = err
	r.mu.Unlock()
	switch {
	case err == nil || known:
		return
	case errors.Is(err, ErrOlderProgram):
		r.logger.WarnContext(ctx, "projection stands by", "error", err)
	default:
		r.logger.ErrorContext(ctx, "projection refused", "error", err)
	}
	r.announce(0)
}

// renew gets or keeps the lease. That it can't is also how a node with nothing to
// apply notices a reset or a pause by another one.
func (r *runner) renew(ctx context.Context, generation int64) (held bool, position eventsourced.Position, err error) {
	r.renewAt = time.Now().Add(r.m.leaseTime() / 4)
	return r.m.states.lease(ctx, r.Name, r.m.node, generation, r.m.leaseTime())
}

// wait waits for news, for at most limit and not past the time to renew the
// lease. It tells whether the state is to be looked at.
func (r *runner) wait(ctx context.Context, news <-chan struct{}, limit time.Duration) bool {
	if news != nil {
		limit = min(limit, time.Until(r.renewAt))
	}
	if limit <= 0 {
		return ctx.Err() != nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.nudges:
		return true
	case <-ctx.Done():
		return true
	case <-news:
	case <-timer.C:
	}
	return false
}

func (r *runner) backOff() time.Duration {
	limit := min(firstBackOff<<min(r.failures, 10), lastBackOff, max(firstBackOff, r.m.config.RetryFor/4))
	r.failures++
	return limit/2 + rand.N(limit/2)
}
