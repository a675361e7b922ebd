package readview

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
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
	rival     *record               // as it was read: of a projection of which another node has the lease

	lost atomic.Bool // the lease is, or the projection is not as it was: look at its state
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
	s.m.share()
	s.loops.Go(func() {
		defer s.m.unshare()
		defer close(out)
		defer cancel()
		s.loops.Go(func() { s.watch(ctx) })
		var verifies sync.WaitGroup
		verifies.Go(func() { s.verifyOnSchedule(ctx) })
		s.run(ctx, out)
		verifies.Wait() // until it has removed what it has made
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
	for ctx.Err() == nil {
		s.progress.at(atState, nil)
		at, pause, err := s.enter(ctx)
		if err == nil && pause == 0 {
			err = s.follow(ctx, at, out)
		}
		s.progress.at(atRest, nil)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errStale) {
			pause = s.backOff()
			s.trip(ctx, err, pause)
		}
		switch {
		case pause > 0 && s.rival != nil:
			s.m.keeper.await(ctx, s, s.rival.Generation, pause)
		case pause > 0:
			s.wait(ctx, pause)
		}
	}
	s.release(ctx)
}

// enter returns where the projection stands if this node may apply it now;
// otherwise how long to wait before asking again.
func (s *logSource) enter(ctx context.Context) (checkpoint, time.Duration, error) {
	poll := s.m.config.PollInterval
	s.rival = nil
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
	held, err := s.lease(ctx, stored.Generation)
	if err != nil || !held {
		if err == nil && stored.leaseValid && stored.node != s.m.node {
			s.standBy(ctx, nil)
			s.rival = &stored
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
func (s *logSource) follow(ctx context.Context, at checkpoint, out chan<- *message.Message) error {
	s.m.keeper.hold(s, at.Generation)
	defer s.m.keeper.drop(s)
	next := s.readAhead(ctx, at)
	defer func() { next.cancel() }()
	for {
		s.progress.at(atLog, nil)
		p, err := next.await()
		if errors.Is(err, consumer.ErrAhead) {
			return s.halt(ctx, at, err)
		}
		if err != nil {
			return err
		}
		heard, more := next.heard, true
		if len(p.items) == 0 && p.upTo == p.after {
			s.succeed(ctx, at, p)
			if p, heard, more, err = s.atEnd(ctx, &at, heard); err != nil {
				return err
			}
		}
		at.Position = p.upTo
		switch {
		case len(p.items) > 0 && more:
			if next = p.next.Load(); next == nil {
				next = s.readAhead(ctx, at)
				p.next.Store(next)
			}
			err = s.emit(ctx, out, p)
			p.next.Store(nil)
		case len(p.items) > 0:
			next = s.readAll(at, heard)
			err = s.emit(ctx, out, p)
		default:
			next = s.readAll(at, heard)
			if p.upTo > p.after {
				_, _, err = s.transact(ctx, p, 0, 0, pipeline.Together)
			}
		}
		s.progress.at(atState, nil)
		if err != nil {
			return s.settle(ctx, p, err)
		}
		s.succeed(ctx, at, p)
		if s.lost.Load() {
			return errStale
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// atEnd waits at the end of the log for a page, after which there may be more at once. at is where the projection is then. The
// page is empty when there is another reason to go on; it moves the position if the keeper can't.
func (s *logSource) atEnd(ctx context.Context, at *checkpoint, heard int64) (p *page, heardThen int64, more bool, err error) {
	a := s.m.tail.wait(ctx, s, *at, heard)
	if a.err != nil {
		return nil, 0, false, a.err
	}
	*at = a.at
	p = newPage(s.Name, at.Position, at.Position, at.Generation)
	if len(a.events) == 0 {
		if s.m.states.positions != nil {
			p.upTo = max(a.seen, at.Position)
		}
		return p, a.heard, true, nil
	}
	for _, recorded := range a.events[:min(len(a.events), int(s.pageCap.Load()))] {
		p.add(ctx, s.applier, recorded)
	}
	if p.upTo = a.seen; len(p.items) < len(a.events) {
		p.upTo, a.more = p.items[len(p.items)-1].recorded.Position, true
	}
	return p, a.heard, a.more, nil
}

// lease gets the lease, which the keeper renews from then on.
func (s *logSource) lease(ctx context.Context, generation int64) (held bool, err error) {
	held, _, recorded, err := s.m.states.lease(ctx, s.Name, s.m.node, generation, s.m.config.LeaseTime(), s.meter.now(), nil)
	if recorded { // by whoever: the next page that succeeds forgets it
		s.failed.Store(true)
	}
	return held, err
}

// responds tells that nothing hangs here for which another node should take over: a handler, or the reading of the log.
func (s *logSource) responds() bool {
	at, busy := s.progress.now()
	if !busy || at.phase != atLog && at.phase != atState {
		return !s.stuck()
	}
	return time.Since(at.since) < s.m.config.LeaseTime()
}

// wait waits for a nudge, for limit at most.
func (s *logSource) wait(ctx context.Context, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.nudges:
	case <-ctx.Done():
	case <-timer.C:
	}
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
func (s *logSource) measure(ctx context.Context, status *consumer.Status, _ record, log *lookAhead) error {
	backlog, err := log.backlog(ctx, eventsourced.LogQuery{After: status.Position, Names: s.handled})
	if err != nil {
		status.Head, status.Behind = status.Position, -1
		return err
	}
	status.Head, status.Behind, status.More, status.Lag = backlog.Head, backlog.Behind, backlog.More, backlog.Lag
	return nil
}

// late implements [source].
func (s *logSource) late(status *consumer.Status, _ record) bool {
	return status.Behind > 0 && (status.Lag > s.m.config.PollInterval || status.Lag <= 0) // a clock that has gone back
}
