package readview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

// feedSource takes a projection's pages from the messages of a feed. Towards the
// router it is the subscriber, around the feed's, and the handler that has them applied.
type feedSource struct {
	*applier
	feed  Feed
	queue any // that it reads from, nil if nobody knows

	nudges     chan struct{} // a reset, a pause or a resume: try again
	looks      chan struct{} // likewise: look at the state
	closed     chan struct{} // when the router closes
	close      func()
	loops      sync.WaitGroup
	seen       atomic.Int64              // the highest position heard of
	lateAt     atomic.Pointer[time.Time] // when a live message has come that was long under way
	asker      *asker
	generation atomic.Int64                     // when last seen
	remote     atomic.Pointer[consumer.Failure] // why the other context can't send what comes next

	unsubscribed atomic.Pointer[error] // why nothing is received
	waits        backlog
	byHistory    atomic.Int32 // pages of history that had what should have come before, since the last live message

	busy  sync.Mutex // held while a message is handled; guards the handler's part of the applier, and what follows
	at    checkpoint // as it was when last seen
	ended bool
	known eventsourced.Position // of the last event of the topic that was applied or passed over
	early early
	heard int64 // the publication that a live message has told of

	complaint // of the goroutine that attends
}

func newFeedSource(a *applier, feed Feed, queue any) source {
	closed := make(chan struct{})
	feed = feed.withDefaults()
	return &feedSource{
		applier: a, feed: feed, queue: queue, nudges: make(chan struct{}, 1), looks: make(chan struct{}, 1),
		asker: newAsker(feed, a.Name+"@"+a.m.node, a.handled), closed: closed, close: sync.OnceFunc(func() { close(closed) }),
	}
}

// Subscribe implements [message.Subscriber].
func (s *feedSource) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	messages := make(chan *message.Message)
	s.start(ctx)
	context.AfterFunc(ctx, s.close)
	s.loops.Go(func() {
		defer close(messages)
		s.receive(ctx, topic, messages)
	})
	s.loops.Go(func() { //nolint:contextcheck // Close may end it, too
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var watching sync.WaitGroup
		watching.Go(func() { s.watch(ctx) })
		watching.Go(func() { s.asker.run(ctx) })
		watching.Go(func() { <-s.closed; cancel() })
		s.attend(ctx)
		watching.Wait()
		s.letGo()
	})
	return messages, nil
}

// Close implements [message.Subscriber]. It returns when the message that is being
// handled is.
func (s *feedSource) Close() error {
	s.close()
	s.loops.Wait()
	return nil
}

// letGo ends everything once no message is handled any more. The router calls
// Close or only ends the context.
func (s *feedSource) letGo() {
	s.release(context.Background())
	s.unsubscribed.Load() // what its Subscribe wrote is there for its Close: receive has stored this since
	if err := s.feed.Subscriber.Close(); err != nil {
		s.logger.Warn("projection not closed well", "error", err)
	}
	s.busy.Lock()
	defer s.busy.Unlock()
	s.end()
	s.ended = true
}

// unknown is the position before a message that does not tell.
const unknown eventsourced.Position = math.MaxInt64

var errClosing = errors.New("the router closes")

// handle is the Watermill handler: it applies what the message has, and what has come before
// its turn and follows it, or passes over it. While the projection is paused or failed it holds the message.
func (s *feedSource) handle(msg *message.Message) error {
	ctx := msg.Context()
	content, err := relay.UnmarshalPage(msg)
	if content.Asker != "" && content.Asker != s.asker.id {
		return nil // what somebody else wants, or a process of ours that has ended
	}
	if err != nil && !errors.Is(err, messaging.ErrWireVersion) {
		event, eventErr := messaging.Unmarshal(msg)
		if eventErr != nil {
			// Not to be handled, now or later. If it was an event once, it is missing in
			// what comes next.
			s.logger.WarnContext(ctx, "message is no event, it is passed over", "error", err)
			return nil
		}
		// It does not tell what comes before it: who sent it is no relay.
		content, err = relay.Page{After: unknown, UpTo: event.Position}, nil
	}
	d := &delivery{content: content, size: len(msg.Payload)}
	if err == nil {
		s.waits.add(d)
		defer s.waits.remove(d)
	}
	s.busy.Lock()
	defer s.busy.Unlock()
	if s.ended {
		return errClosing
	}
	s.asker.busy(true)
	defer s.asker.busy(false)
	for err != nil { // for a newer program of ours, which gets it when this one ends
		wait := s.backOff()
		s.trip(ctx, err, wait)
		if !s.hold(ctx, wait) {
			return errClosing
		}
	}
	defer s.progress.at(atRest, nil)
	for !d.handled && err == nil {
		select {
		case <-s.closed:
			return errClosing
		default:
		}
		first := cmp.Or(s.waits.before(d), d)
		err = s.handleOne(ctx, first)
		if err == nil {
			first.handled = true
			s.waits.remove(first)
		}
	}
	return err
}

// handleOne handles what a message has, and then what came before its turn and follows it.
func (s *feedSource) handleOne(ctx context.Context, d *delivery) error {
	s.takeNote(d.content)
	d.page = s.page(ctx, d.content)
	err := s.process(ctx, d)
	for err == nil {
		next, found := s.early.next(s.at)
		if !found {
			break
		}
		err = s.process(ctx, &next)
	}
	return err
}

// takeNote takes note of what a message tells besides its events.
func (s *feedSource) takeNote(content relay.Page) {
	if content.After != unknown {
		s.hear(content.UpTo)
		if content.Head == 0 {
			s.asker.hears()
			s.byHistory.Store(0)
			s.noteLate(content.UpTo)
		}
	}
	if content.More() {
		s.hear(content.Head)
	}
	if content.Head != 0 {
		s.asker.answered()
	}
}

const (
	// lateMessage is how long after its append a live message comes of a relay that is behind; clocks of machines differ by less.
	lateMessage = 10 * time.Second
	// lateFor is for how long that is true of the relay.
	lateFor = 5 * time.Second
)

// noteLate notes whether a relay that publishes what is long there is behind, so that more is to come than it tells.
func (s *feedSource) noteLate(at eventsourced.Position) {
	var late *time.Time
	if now := time.Now(); now.Sub(at.Time()) > lateMessage {
		late = &now
	}
	s.lateAt.Store(late)
}

// relayIsBehind tells whether one has come just now.
func (s *feedSource) relayIsBehind() bool {
	late := s.lateAt.Load()
	return late != nil && time.Since(*late) < lateFor
}

// process applies what a message has when it is its turn, or keeps it or passes over it.
func (s *feedSource) process(ctx context.Context, d *delivery) error {
	for {
		if err := s.proof(d.content, d.live()); err != nil && s.at.Running {
			_ = s.halt(ctx, s.at, err)
			s.at.Running = false
		}
		if s.stale(d) {
			return nil
		}
		done, wait, err := s.takePublished(ctx, d)
		switch {
		case done:
			s.done(d.content)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wait = s.backOff()
			s.trip(ctx, err, wait)
		}
		if !s.hold(ctx, wait) {
			return errClosing
		}
	}
}

// proof returns [consumer.ErrAhead] when a message proves that the log which it comes from is older
// than what is applied: the relay was asked for what comes after a position that it has
// not reached, or does not know an event that it has sent.
func (s *feedSource) proof(content relay.Page, live bool) error {
	switch {
	case content.Head != 0 && content.Head < content.After && content.After <= s.at.Position:
		return aheadError(s.Name, content.After, content.Head)
	case live && content.After != unknown && content.After < s.known && content.UpTo > s.at.Position:
		return fmt.Errorf("%w: %s knows the event at position %d, and the message of position %d says that %d comes before it; "+
			"the log of the other context was restored from an older backup; reset %s", consumer.ErrAhead, s.Name, s.known, content.UpTo, content.After, s.Name)
	}
	return nil
}

// page returns a message's content as a page, with the events that the projection
// handles.
func (s *feedSource) page(ctx context.Context, content relay.Page) *page {
	p := newPage(s.Name, content.After, content.UpTo, 0)
	for _, recorded := range content.Events {
		if !slices.Contains(s.handled, recorded.Name) {
			continue
		}
		p.add(ctx, s.applier, recorded)
		if n := len(p.items); n > 1 && p.items[n-2].recorded.Position == recorded.Position {
			p.join(n - 2)
		}
	}
	return p
}

// join makes one item of the last two: parts of one event share its position, and are
// applied together.
func (p *page) join(i int) {
	it, part := &p.items[i], p.items[i+1]
	for j := range part.parts {
		if decoded := &part.parts[j]; decoded.Recorded == &p.items[i+1].recorded {
			decoded.Recorded = &part.recorded // not in the place that the next event gets
		}
	}
	it.joined = append(it.joined, part.recorded)
	p.items = p.items[:i+1]
	it.parts = append(it.parts, part.parts...)
	if it.err == nil {
		it.err = part.err
	}
}

// take applies a page if it is its turn, and tells whether the message is done
// with; if not, how long to wait before trying again.
func (s *feedSource) take(ctx context.Context, d *delivery) (done bool, wait time.Duration, err error) {
	p := d.page
	p.generation = s.at.Generation
	if s.at.Running && s.at.Position >= p.after && s.at.Position < p.upTo {
		s.asker.ahead(d.content, s.at.Generation)
		var with []*delivery
		p, with = s.gather(ctx, d)
		err = s.attempt(ctx, p)
		switch {
		case err == nil:
			s.at.Position, s.early.since = p.upTo, time.Now()
			s.asker.lives()
			for _, other := range with {
				s.takeNote(other.content)
				s.done(other.content)
				other.handled = true
				s.waits.remove(other)
			}
			if d.live() {
				s.asker.follows(p.upTo)
			} else if len(p.items) > 0 && s.asker.certain() {
				s.byHistory.Add(1)
			}
			s.succeed(ctx, s.at, p)
			return true, 0, nil
		case !errors.Is(err, errStale):
			if err = s.settle(ctx, p, err); !errors.Is(err, errStale) {
				return false, 0, err
			}
		}
	}
	// Look again: it is not as it was, or the page does not fit.
	s.progress.at(atState, nil)
	stored, err := s.load(ctx)
	if refusal(err) {
		return false, s.m.config.PollInterval, nil // until it is reset
	}
	if err != nil {
		return false, 0, err
	}
	fits := s.at == stored.checkpoint
	s.at = stored.checkpoint
	switch {
	case !s.at.Running:
		s.asker.forget()
		d.failed = d.failed || stored.status == "failed"
		return false, s.m.config.PollInterval, nil
	case s.at.Position >= d.page.upTo:
		return true, 0, nil
	case s.at.Position < p.after:
		return s.miss(ctx, d)
	case fits:
		return false, 0, errStale // cannot be: try again after a while
	}
	return false, 0, nil
}

// attempt applies a page, which outlives the router's closing by the drain timeout.
func (s *feedSource) attempt(ctx context.Context, p *page) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.drain(s.closed, p, cancel)()
	return p.attempt(ctx, s.apply)
}

// hold waits for d, for less after a nudge, and tells whether the router is open.
func (s *feedSource) hold(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.closed:
		return false
	case <-ctx.Done():
		return false
	default:
	}
	select {
	case <-s.closed:
		return false
	case <-ctx.Done():
		return false
	case <-s.nudges:
	case <-timer.C:
	}
	return true
}
