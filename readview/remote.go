package readview

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// remote receives the messages of one projection. Towards the router it is the
// subscriber, around the feed's, and the handler that applies them.
type remote struct {
	*runner
	feed Feed

	looks  chan struct{} // a reset, a pause or a resume: look at the state
	closed chan struct{} // when the router closes
	close  func()
	seen   atomic.Int64 // the highest position heard of
	since  atomic.Int64 // when the request was made that has no answer, in Unix microseconds; 0 is none

	busy       sync.Mutex // held while a message is handled; guards the handler's part of runner, and what follows
	at         Checkpoint // as it was when last seen
	ended      bool
	begun      bool       // something was asked for
	repeats    int        // of the last request
	asked      Checkpoint // what was asked for last
	waiting    bool       // for the end of its answer
	signOfLife time.Time  // the last request or page applied
}

func newRemote(r *runner, feed Feed) *remote {
	closed := make(chan struct{})
	return &remote{runner: r, feed: feed.withDefaults(), looks: make(chan struct{}, 1), closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// Subscribe implements [message.Subscriber].
func (r *remote) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	messages, err := r.feed.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	r.db = openDB(r.m.pool)
	r.running++
	context.AfterFunc(ctx, r.close)
	r.loops.Go(func() { //nolint:contextcheck // Close may end it, too
		r.watch()
		r.end()
	})
	return messages, nil
}

// Close implements [message.Subscriber]. It returns when the message that is being
// handled is.
func (r *remote) Close() error {
	r.close()
	r.loops.Wait()
	return nil
}

// end lets go of everything once no message is handled any more. The router calls
// Close or only ends the context.
func (r *remote) end() {
	r.release(context.Background())
	err := r.feed.Subscriber.Close()
	r.busy.Lock()
	defer r.busy.Unlock()
	if err = errors.Join(err, r.db.Close()); err != nil {
		r.logger.Warn("projection not closed well", "error", err)
	}
	r.ended = true
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
}

// unknown is the position before a message that does not tell.
const unknown eventsourced.Position = math.MaxInt64

var errClosing = errors.New("the router closes")

// handle is the Watermill handler: it applies what the message has, or passes over
// it. While the projection is paused or failed it holds the message.
func (r *remote) handle(msg *message.Message) error {
	ctx := msg.Context()
	r.busy.Lock()
	defer r.busy.Unlock()
	if r.ended {
		return errClosing
	}
	content, err := messaging.UnmarshalPage(msg)
	if err != nil {
		event, eventErr := messaging.Unmarshal(msg)
		if eventErr != nil {
			// Not to be handled, now or later. If it was an event once, it is missing in
			// what comes next.
			r.logger.WarnContext(ctx, "message is no event, it is passed over", "error", err)
			return nil
		}
		// It does not tell what comes before it: who sent it is no relay.
		content = messaging.Page{After: unknown, UpTo: event.Position}
	}
	if content.After != unknown {
		r.hear(content.UpTo)
	}
	pg := r.page(content)
	for {
		done, wait, err := r.advance(ctx, pg)
		switch {
		case done:
			r.answered(content)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wait = r.backOff()
			r.logger.WarnContext(ctx, "projection waits before it tries again", "error", err, "wait", wait)
		}
		if !r.hold(ctx, wait) {
			return errClosing
		}
	}
}

// page returns a message's content as a page, with the events that the projection
// handles.
func (r *remote) page(content messaging.Page) *page {
	pg := &page{after: content.After, upTo: content.UpTo}
	for _, recorded := range content.Events {
		if _, handled := r.handlers[recorded.Name]; handled {
			event, err := r.decode(recorded)
			pg.items = append(pg.items, item{recorded: recorded, event: event, err: err})
		}
	}
	return pg
}

// advance applies a page if it is its turn, and tells whether the message is done
// with; if not, how long to wait before trying again.
func (r *remote) advance(ctx context.Context, pg *page) (done bool, wait time.Duration, err error) {
	pg.generation = r.at.Generation
	if r.at.Running && r.at.Position >= pg.after && r.at.Position < pg.upTo {
		err = r.apply(ctx, pg)
		switch {
		case err == nil:
			r.at.Position = pg.upTo
			r.signOfLife = time.Now()
			r.since.Store(0)
			r.succeed(ctx, r.at, pg)
			return true, 0, nil
		case !errors.Is(err, errStale):
			if err = r.settle(ctx, pg, err); !errors.Is(err, errStale) {
				return false, 0, err
			}
		}
	}
	// Look again: it is not as it was, or the page does not fit.
	stored, err := r.load(ctx)
	if errors.Is(err, ErrNewEvents) {
		return false, r.m.config.PollInterval, nil // until it is reset
	}
	if err != nil {
		return false, 0, err
	}
	fits := r.at == stored.Checkpoint
	r.at = stored.Checkpoint
	switch {
	case !r.at.Running:
		return false, r.m.config.PollInterval, nil
	case r.at.Position >= pg.upTo:
		return true, 0, nil
	case r.at.Position < pg.after:
		return r.miss(ctx, pg)
	case fits:
		return false, 0, errStale // cannot be: try again after a while
	}
	return false, 0, nil
}

// miss is called when what comes before a page is missing.
func (r *remote) miss(ctx context.Context, pg *page) (done bool, wait time.Duration, err error) {
	if r.feed.Requests != nil {
		// The answer has this message's events as well, if they are the relay's: they
		// were published before.
		err := r.ask(ctx)
		return err == nil, 0, err
	}
	missing := fmt.Errorf("%w: position %d is known and the message of position %d follows position %d", ErrGap, r.at.Position, pg.upTo, pg.after)
	if pg.after == unknown {
		missing = fmt.Errorf("%w, perhaps: the message of position %d does not tell what comes before it; only a messaging.Relay can feed a projection", ErrGap, pg.upTo)
	}
	failure := &Failure{Position: pg.upTo, Error: missing.Error(), Time: time.Now().UTC()}
	if err := r.m.states.fail(ctx, r.Name, r.at.Generation, failure); err != nil {
		return false, 0, err
	}
	r.logger.ErrorContext(ctx, "projection stopped at a gap", "error", missing)
	r.announce(0)
	return false, r.m.config.PollInterval, nil
}

// answered notes the end of an answer. If that can't be applied, a page of the
// answer was lost: it is asked for again after a while.
func (r *remote) answered(content messaging.Page) {
	if !content.Last {
		return
	}
	r.since.Store(0)
	if r.at.Position >= content.UpTo {
		r.waiting = false
	}
}

// ask requests the history after what is known, unless the answer to that is on
// its way.
func (r *remote) ask(ctx context.Context) error {
	same := r.begun && r.asked == r.at
	if r.waiting && r.asked.Generation == r.at.Generation && time.Since(r.signOfLife) < r.patience() {
		return nil
	}
	msg, err := messaging.MarshalReplayRequest(messaging.ReplayRequest{Topic: r.feed.Topic, After: r.at.Position, ReplyTo: r.feed.ReplyTo})
	if err != nil {
		return err
	}
	msg.SetContext(ctx)
	if err := r.feed.Requests.Publish(r.feed.RequestTopic, msg); err != nil {
		return fmt.Errorf("ask for history: %w", err)
	}
	r.logger.InfoContext(ctx, "asked for history", "after", int64(r.at.Position))
	if r.repeats++; !same {
		r.repeats = 0
	}
	r.asked, r.begun, r.waiting, r.signOfLife = r.at, true, true, time.Now()
	r.since.CompareAndSwap(0, r.signOfLife.UnixMicro())
	return nil
}

// patience is how long to wait for an answer: longer with each repetition, as the
// answers may only be late, behind other messages.
func (r *remote) patience() time.Duration {
	return min(r.feed.AskAgain<<min(r.repeats, 20), max(r.feed.AskAgain, r.feed.AskAtLeast))
}

// watch asks for history when no message gives the occasion: at the start, after a
// reset, when an answer does not come, and when it is quiet.
func (r *remote) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-r.closed
		cancel()
	}()
	for {
		if r.busy.TryLock() {
			if err := r.look(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, ErrNewEvents) {
				r.logger.WarnContext(ctx, "projection looks again later", "error", err)
			}
			r.busy.Unlock()
		}
		timer := time.NewTimer(r.m.leaseTime() / 2)
		select {
		case <-timer.C:
		case <-r.looks:
		case <-r.closed:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

func (r *remote) look(ctx context.Context) error {
	stored, err := r.load(ctx)
	if err != nil {
		return err
	}
	if stored.Position != r.at.Position { // perhaps on another node
		r.signOfLife, r.repeats = time.Now(), 0
		r.since.Store(0)
	}
	r.at = stored.Checkpoint
	if !r.at.Running {
		return nil
	}
	active, err := r.m.states.lease(ctx, r.Name, r.m.node, r.at.Generation, r.m.leaseTime())
	if err != nil || !active || r.feed.Requests == nil {
		return err
	}
	quiet := time.Since(r.signOfLife)
	missing := r.at.Position < eventsourced.Position(r.seen.Load())
	switch {
	case !r.begun, r.asked.Generation != r.at.Generation,
		r.waiting && quiet >= r.patience(),
		!r.waiting && missing && quiet >= r.m.config.PollInterval,
		quiet >= r.feed.AskAtLeast:
		return r.ask(ctx)
	}
	return nil
}

// hold waits for d, for less after a nudge, and tells whether the router is open.
func (r *remote) hold(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.closed:
		return false
	case <-ctx.Done():
		return false
	default:
	}
	select {
	case <-r.closed:
		return false
	case <-ctx.Done():
		return false
	case <-r.nudges:
	case <-timer.C:
	}
	return true
}

// hear notes that a position exists.
func (r *remote) hear(position eventsourced.Position) {
	if int64(position) > r.seen.Load() {
		r.seen.Store(int64(position))
	}
}

// measure tells what is known of the log from its messages.
func (r *remote) measure(status *Status) {
	status.Head = max(status.Position, eventsourced.Position(r.seen.Load()))
	r.mu.Lock()
	running := r.running > 0
	r.mu.Unlock()
	if running && status.Head == status.Position && !r.unanswered() {
		return
	}
	status.Behind = -1
	if status.Position > 0 {
		status.Lag = max(time.Since(status.Position.Time()), 0)
	}
}

// unanswered tells that an answer is late: then nobody knows whether there are
// events.
func (r *remote) unanswered() bool {
	since := r.since.Load()
	return since != 0 && time.Since(time.UnixMicro(since)) > r.feed.AskAgain
}
