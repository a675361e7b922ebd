package readview

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// Pauses between two looks at a log in which there is nothing for the projection,
// while it grows: they double from the first to the last. So others' events cost
// a projection little, and one of its own after a quiet time is not kept waiting.
const (
	firstPause = time.Millisecond
	lastPause  = 25 * time.Millisecond
)

// logSource reads a projection's pages from the log. Towards the router it is the
// subscriber that emits them, and the handler that has them applied.
type logSource struct {
	*applier
	nudges  chan struct{} // a reset, a pause or a resume: look at the state
	loops   sync.WaitGroup
	closers []context.CancelFunc // guarded by the applier's mu

	// Of the loop's goroutine.
	pageLimit int                   // events, at most PageEvents
	lastItems int                   // in the page that was read last
	streams   []eventsourced.Stream // whose events alone are read, of a replay; nil is all
	renewAt   time.Time
}

func newLogSource(a *applier) source {
	return &logSource{applier: a, nudges: make(chan struct{}, 1), pageLimit: a.m.config.PageEvents}
}

// Subscribe implements [message.Subscriber]. It does not fail: a database that is
// down is waited for.
func (s *logSource) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	s.start(ctx)
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, cancel)
	out := make(chan *message.Message)
	s.loops.Go(func() {
		defer close(out)
		defer cancel()
		s.loops.Go(func() { s.watch(ctx) })
		s.run(ctx, out)
		s.end()
	})
	return out, nil
}

// Close implements [message.Subscriber]. It returns when the page that is being
// applied is, or is rolled back after the drain timeout.
func (s *logSource) Close() error {
	s.mu.Lock()
	for _, cancel := range s.closers {
		cancel()
	}
	s.mu.Unlock()
	s.loops.Wait()
	return nil
}

// run emits pages until ctx ends. Outside of [logSource.follow] it waits for its
// turn: for the database, for the end of a pause, for another node to go away.
func (s *logSource) run(ctx context.Context, out chan<- *message.Message) {
	news := s.m.log.Listen(ctx)
	for ctx.Err() == nil {
		s.progress.at(atState, nil)
		at, pause, err := s.enter(ctx)
		if err == nil && pause == 0 {
			err = s.follow(ctx, at, out, news)
		}
		s.progress.at(atRest, nil)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errStale) {
			pause = s.backOff()
			s.trip(ctx, err, pause)
		}
		if pause > 0 {
			s.wait(ctx, nil, pause)
		}
	}
	s.release(ctx)
}

// enter returns where the projection stands if this node may apply it now;
// otherwise how long to wait before asking again.
func (s *logSource) enter(ctx context.Context) (checkpoint, time.Duration, error) {
	poll := s.m.config.PollInterval
	stored, err := s.load(ctx)
	if refusal(err) {
		if errors.Is(err, ErrOlderProgram) {
			s.standBy(ctx, err)
		}
		return checkpoint{}, poll, nil
	}
	if err != nil {
		return checkpoint{}, 0, err
	}
	if !stored.Running {
		return checkpoint{}, poll, nil
	}
	held, _, err := s.renew(ctx, stored.Generation)
	if err != nil || !held {
		if err == nil && stored.leaseValid && stored.node != s.m.node {
			s.standBy(ctx, nil)
		}
		s.clear() // if there is trouble, it is another node's
		return checkpoint{}, min(max(stored.leaseLeft, time.Millisecond), poll), err
	}
	s.stands = false
	return stored.checkpoint, 0, nil
}

// follow applies page after page from at on, reading the next one while one is
// applied, and waits at the end of the log for more. It returns errStale when
// the state is to be looked at again.
func (s *logSource) follow(ctx context.Context, at checkpoint, out chan<- *message.Message, news <-chan struct{}) error {
	next := s.readAhead(ctx, at)
	defer func() { next.cancel() }()
	idle, looked := firstPause, time.Now()
	for {
		s.progress.at(atLog, nil)
		p, err := next.await()
		if errors.Is(err, consumer.ErrAhead) {
			return s.halt(ctx, at, err)
		}
		if err != nil {
			return err
		}
		at.Position = p.upTo
		switch {
		case len(p.items) > 0:
			idle = firstPause
			next = s.readAhead(ctx, at)
			p.meanwhile = next.begin
			err = s.emit(ctx, out, p)
		case p.upTo > p.after:
			idle = min(2*idle, lastPause)
			_, _, err = s.transact(ctx, p, 0, 0, pipeline.Together)
		}
		s.progress.at(atState, nil)
		if err != nil {
			return s.settle(ctx, p, err)
		}
		s.succeed(ctx, at, p)
		if len(p.items) == 0 {
			s.progress.at(atRest, nil)
			if s.wait(ctx, news, s.m.config.PollInterval) || s.wait(ctx, nil, time.Until(looked.Add(idle))) {
				return errStale
			}
			next, looked = s.readAhead(ctx, at), time.Now()
		}
		if time.Now().After(s.renewAt) {
			held, position, err := s.renew(ctx, at.Generation)
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

// renew gets or keeps the lease. That it can't is also how a node with nothing to
// apply notices a reset or a pause by another one.
func (s *logSource) renew(ctx context.Context, generation int64) (held bool, position eventsourced.Position, err error) {
	s.renewAt = time.Now().Add(s.m.leaseTime() / 4)
	held, position, recorded, err := s.m.states.lease(ctx, s.Name, s.m.node, generation, s.m.leaseTime(), s.meter.now())
	if recorded { // by whoever: the next page that succeeds forgets it
		s.failed.Store(true)
	}
	return held, position, err
}

// wait waits for news, for at most limit and not past the time to renew the
// lease. It tells whether the state is to be looked at.
func (s *logSource) wait(ctx context.Context, news <-chan struct{}, limit time.Duration) bool {
	if news != nil {
		limit = min(limit, time.Until(s.renewAt))
	}
	if limit <= 0 {
		return ctx.Err() != nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.nudges:
		return true
	case <-ctx.Done():
		return true
	case <-news:
	case <-timer.C:
	}
	return false
}

// look implements [source].
func (s *logSource) look() { nudge(s.nudges) }

func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// measure implements [source].
func (s *logSource) measure(ctx context.Context, status *consumer.Status) error {
	backlog, err := eventsourced.BacklogAfter(ctx, s.m.log, eventsourced.LogQuery{After: status.Position, Names: s.handled})
	if err != nil {
		status.Head, status.Behind = status.Position, -1
		return err
	}
	status.Head, status.Behind, status.More, status.Lag = backlog.Head, backlog.Behind, backlog.More, backlog.Lag
	return nil
}

// late implements [source].
func (s *logSource) late(status *consumer.Status) bool {
	return status.Behind > 0 && (status.Lag > s.m.config.PollInterval || status.Lag <= 0) // a clock that has gone back
}
