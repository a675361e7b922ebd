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
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
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

	busy          sync.Mutex // held while a message is handled; guards the handler's part of runner, and what follows
	at            Checkpoint // as it was when last seen
	ended         bool
	begun         bool                  // something was asked for
	repeats       int                   // of the last request
	asked         Checkpoint            // what was asked for last
	waiting       bool                  // for the end of its answer
	signOfLife    time.Time             // the last request or page applied
	known         eventsourced.Position // of the last event of the topic that was applied or passed over
	problem       string                // why messages don't come, the last time that it was put on record
	signOfTrouble time.Time             // that was when
}

func newRemote(r *runner, feed Feed) *remote {
	closed := make(chan struct{})
	return &remote{runner: r, feed: feed.withDefaults(), looks: make(chan struct{}, 1), closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// Subscribe implements [message.Subscriber].
func (r *remote) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	r.m.life.Store(&ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	messages, err := r.feed.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	r.db = pipeline.Open(r.m.pool)
	r.running++
	context.AfterFunc(ctx, r.close)
	r.loops.Go(func() { //nolint:contextcheck // Close may end it, too
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var watching sync.WaitGroup
		watching.Go(func() { r.runner.watch(ctx) })
		watching.Go(func() { <-r.closed; cancel() })
		r.look(ctx)
		watching.Wait()
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
	defer r.progress.at(atRest, nil)
	_, many := msg.Metadata[messaging.MetaEvents]
	pg := r.page(content)
	for {
		if err := r.proof(content, !many); err != nil && r.at.Running {
			_ = r.halt(ctx, r.at, err)
			r.at.Running = false
		}
		done, wait, err := r.advance(ctx, pg)
		switch {
		case done:
			r.answered(content)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wait = r.backOff()
			r.trip(ctx, err, wait)
		}
		if !r.hold(ctx, wait) {
			return errClosing
		}
	}
}

// proof returns [ErrAhead] when a message proves that the log which it comes from is older
// than what is applied: the relay was asked for what comes after a position that it has
// not reached, or does not know an event that it has sent.
func (r *remote) proof(content messaging.Page, live bool) error {
	switch {
	case content.Head != 0 && content.Head < content.After && content.After <= r.at.Position:
		return aheadError(r.Name, content.After, content.Head)
	case live && content.After != unknown && content.After < r.known && content.UpTo > r.at.Position:
		return fmt.Errorf("%w: %s knows the event at position %d, and the message of position %d says that %d comes before it; "+
			"the log of the other context was restored from an older backup; reset %s", ErrAhead, r.Name, r.known, content.UpTo, content.After, r.Name)
	}
	return nil
}

// page returns a message's content as a page, with the events that the projection
// handles.
func (r *remote) page(content messaging.Page) *page {
	pg := newPage(r.Name, content.After, content.UpTo, 0)
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
		err = r.attempt(ctx, pg)
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
	r.progress.at(atState, nil)
	stored, err := r.load(ctx)
	if refusal(err) {
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

// attempt applies a page, which outlives the router's closing by the drain timeout.
func (r *remote) attempt(ctx context.Context, pg *page) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.drain(r.closed, pg, cancel)()
	return pg.attempt(ctx, r.apply)
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
	now := time.Now().UTC()
	failure := &Failure{Position: pg.upTo, Error: missing.Error(), Time: now, Since: now, Attempts: 1}
	if err := r.m.states.fail(ctx, r.Name, r.at.Generation, "failed", failure); err != nil {
		return false, 0, err
	}
	r.logger.ErrorContext(ctx, "projection stopped at a gap", "error", missing)
	r.announce(0)
	return false, r.m.config.PollInterval, nil
}

// answered notes the end of an answer. If that can't be applied, a page of the
// answer was lost: it is asked for again after a while.
func (r *remote) answered(content messaging.Page) {
	if n := len(content.Events); n > 0 && content.Events[n-1].Position <= r.at.Position {
		r.known = max(r.known, content.Events[n-1].Position)
	}
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

// look asks for history when no message gives the occasion: at the start, after a
// reset, when an answer does not come, and when it is quiet. It goes on until ctx ends.
func (r *remote) look(ctx context.Context) {
	for ctx.Err() == nil {
		if r.busy.TryLock() {
			r.lookOnce(ctx)
			r.progress.at(atRest, nil)
			r.busy.Unlock()
		}
		timer := time.NewTimer(r.m.leaseTime() / 2)
		select {
		case <-timer.C:
		case <-r.looks:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// lookOnce puts on record what keeps messages from coming.
func (r *remote) lookOnce(ctx context.Context) {
	r.progress.at(atState, nil)
	err := r.check(ctx)
	if subscriber, tells := r.feed.Subscriber.(interface{ Problem() error }); err == nil && tells {
		if problem := subscriber.Problem(); problem != nil {
			err = fmt.Errorf("no messages come: %w", problem)
		}
	}
	switch {
	case ctx.Err() != nil || refusal(err):
	case err != nil && r.problem != err.Error(), err != nil && time.Since(r.signOfTrouble) > slowAgain:
		r.problem, r.signOfTrouble = err.Error(), time.Now()
		r.trip(ctx, err, r.m.leaseTime()/2)
	case err == nil && r.problem != "":
		r.problem = ""
		r.recovered(ctx, r.at.Generation)
	}
}

// check renews the lease and asks for history if there is reason to.
func (r *remote) check(ctx context.Context) error {
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
	active, _, err := r.m.states.lease(ctx, r.Name, r.m.node, r.at.Generation, r.m.leaseTime())
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
	if since := r.since.Load(); r.unanswered() {
		at := time.UnixMicro(since).UTC()
		status.Failure = &Failure{Error: "the request for history has no answer: does the other context's relay run?", Time: time.Now().UTC(), Since: at}
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
