package readview

import (
	"context"
	"database/sql"
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

// Waits for what others do with a page.
const (
	callPatience = time.Second // from an ack to the call of the handler
	giveUpAfter  = time.Second // from the end of a page's context to the return of its handler
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

	counted  sync.Map     // queries whose rows don't go together, see pipeline
	alone    sync.Map     // names of events that are applied alone
	advanced atomic.Int64 // the position of the page applied last, 0 when the state may have changed since
	progress progress
	failed   atomic.Bool  // there is a failure on record
	pageCap  atomic.Int64 // events, at most PageEvents, less when a page took too long

	loops sync.WaitGroup
	db    *sql.DB // on the pool, open while the loop runs

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
	r.db = openDB(r.m.pool)
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
		if err == nil && r.registered { // another program has taken over since
			err = olderProgramError(r.Name, stored.programs.lacking(r.definition))
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
	head, err := r.m.log.Head(ctx)
	if err == nil && head < stored.Position {
		err = r.halt(ctx, stored.Checkpoint, aheadError(r.Name, stored.Position, head))
	}
	return stored.Checkpoint, 0, err
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
			_, _, err = r.transact(ctx, pg, 0, 0, together)
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

// emit hands the page to the router and waits until it is applied or refused. The
// page outlives ctx by the drain timeout: the router ends the contexts of its
// subscribers when it closes, and a page should be finished then.
//
// What counts is how the calls of the handler ended; an ack or a nack only says that
// there will be no more.
func (r *runner) emit(ctx context.Context, out chan<- *message.Message, pg *page) error {
	pageCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	msg := pg.message(pageCtx, r.Name)
	select {
	case out <- msg:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer r.drain(ctx.Done(), pg, cancel)()
	renew := time.NewTicker(r.m.leaseTime() / 4)
	defer renew.Stop()
	acked, nacked := msg.Acked(), msg.Nacked()
	var patience <-chan time.Time
	for {
		select {
		case <-acked:
			acked, nacked, patience = nil, nil, time.After(callPatience)
		case <-nacked:
			acked, nacked = nil, nil
			if called, _, _ := pg.calls.outcome(); !called {
				return errMiddleware
			}
		case <-patience:
			if called, _, _ := pg.calls.outcome(); !called {
				return errMiddleware
			}
		case <-pg.calls.changed:
		case <-renew.C:
			// Losing the lease is no reason to stop: the page is safe without it.
			if !r.stuck() {
				_, _, _ = r.renew(ctx, pg.generation)
			}
		}
		if called, done, err := pg.calls.outcome(); acked == nil && called && done {
			return err
		}
	}
}

// drain bounds for how long a page goes on once closing is closed, until the returned
// function is called. After half of the drain timeout the page should end early, after
// all of it cancel ends its context, and then a handler that does not return is given up.
func (r *runner) drain(closing <-chan struct{}, pg *page, cancel func()) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-closing:
		case <-ended:
			return
		}
		half := r.m.config.DrainTimeout / 2
		for _, next := range []struct {
			after time.Duration
			do    func()
		}{
			{half, func() { pg.hurry.Store(true) }},
			{half, func() { r.warnOfRollback(pg); cancel() }},
			{giveUpAfter, pg.giveUp},
		} {
			select {
			case <-time.After(next.after):
				next.do()
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		running.Wait()
	}
}

func (r *runner) warnOfRollback(pg *page) {
	attributes := []any{"drain_timeout", r.m.config.DrainTimeout, "events", len(pg.items), "after", int64(pg.after)}
	if s, busy := r.progress.now(); busy && s.event != nil {
		attributes = append(attributes, "event_id", s.event.ID.String(), "event_name", s.event.Name, "position", int64(s.event.Position),
			"handler_runs_for", time.Since(s.since).Round(time.Millisecond))
	}
	r.logger.Warn("a page is rolled back, as it was not done within the drain timeout; it is applied anew by the next process", attributes...)
}

// settle decides what follows from the error of a page: another try, now or
// after a back-off, or the end of the projection.
func (r *runner) settle(ctx context.Context, pg *page, err error) error {
	if ctx.Err() != nil || errors.Is(err, errStale) {
		return err
	}
	var failed *EventError
	if n := len(pg.items); errors.Is(err, errLate) && n > 1 {
		r.pageCap.Store(max(1, min(r.pageCap.Load(), int64(n))/2))
		return err
	} else if errors.Is(err, errLate) && n == 1 {
		failed = &EventError{Projection: r.Name, Event: pg.items[0].recorded, Err: err}
	}
	if failed == nil && !errors.As(err, &failed) || passes(err) {
		return err
	}
	if r.attempted != failed.Event.ID {
		r.attempted, r.attempts, r.since = failed.Event.ID, 0, time.Now()
	}
	if r.attempts++; r.attempts < r.m.config.Attempts || mayPass(err) && time.Since(r.since) < r.m.config.RetryFor {
		return failed
	}
	failure := &Failure{
		EventID:   failed.Event.ID,
		EventName: failed.Event.Name,
		Position:  failed.Event.Position,
		Error:     failed.Error(),
		Time:      time.Now().UTC(),
		Since:     r.since.UTC(),
		Attempts:  r.attempts,
	}
	r.attempts = 0
	r.attempted = eventsourced.EventID{}
	if err := r.m.states.fail(ctx, r.Name, pg.generation, "failed", failure); err != nil {
		return errors.Join(failed, err)
	}
	r.clear()
	attributes := []any{"event_id", failure.EventID.String(), "event_name", failure.EventName, "position", int64(failure.Position),
		"attempts", failure.Attempts, "error", failed.Err}
	var panicked *panicError
	if errors.As(err, &panicked) {
		attributes = append(attributes, "stack", string(panicked.stack))
	}
	r.logger.ErrorContext(ctx, "projection stopped at an event; fix the cause, then resume or restart", attributes...)
	r.announce(0)
	return errStale
}

// halt stops the projection because it is ahead of the log.
func (r *runner) halt(ctx context.Context, at Checkpoint, cause error) error {
	now := time.Now().UTC()
	failure := &Failure{Error: cause.Error(), Time: now, Since: now, Attempts: 1}
	if err := r.m.states.fail(ctx, r.Name, at.Generation, "ahead", failure); err != nil {
		return errors.Join(cause, err)
	}
	r.clear()
	r.logger.ErrorContext(ctx, "projection stopped", "error", cause)
	r.announce(0)
	return errStale
}

// succeed clears what is remembered of errors, and tells those who wait.
func (r *runner) succeed(ctx context.Context, at Checkpoint, pg *page) {
	if limit, most := r.pageCap.Load(), int64(r.m.config.PageEvents); len(pg.items) > 0 && limit < most {
		r.pageCap.Store(min(most, limit+limit/8+1))
	}
	r.failures, r.attempts = 0, 0
	r.recovered(ctx, at.Generation)
	if pg.upTo != pg.after {
		r.announce(at.Position)
	}
}

// clear forgets the trouble that this process knows of.
func (r *runner) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = nil
}

// refusal tells that an error says why this program can't run the projection.
func refusal(err error) bool { return errors.Is(err, ErrNewEvents) || errors.Is(err, ErrOlderProgram) }

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
