package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// replayAttempts is how often a request is tried to be answered.
const replayAttempts = 3

// problemInterval is how often the subscriber to requests is asked how it is.
const problemInterval = 500 * time.Millisecond

// tail is the end of a replay, up to where the relay is. The relay publishes it
// itself, between two groups, so that live messages follow it without a gap.
type tail struct {
	request ReplayRequest
	done    chan error // of capacity 1
}

// answer serves the requests for history until ctx ends. Only the node that
// publishes does: others could not know what follows their answer.
func (r *Relay) answer(ctx context.Context) {
	defer r.follower.Clear(consumer.PartBeside)
	for attempt := 1; ctx.Err() == nil; attempt++ {
		requests, err := r.config.Requests.Subscribe(ctx, r.config.RequestTopic)
		if err == nil {
			err = errRequestsEnded
			if r.serveAll(ctx, requests) {
				attempt = 1
			}
		}
		if ctx.Err() == nil {
			r.noteRequests(err)
			r.follower.Logger().WarnContext(ctx, "relay can't receive requests for history", "error", err)
			wait.Sleep(ctx, r.config.BackOffAfter(attempt))
		}
	}
}

var errRequestsEnded = errors.New("the subscription has ended")

func (r *Relay) noteRequests(err error) {
	r.follower.Note(consumer.PartBeside, nil, fmt.Errorf("receive requests for history from %s: %w", r.config.RequestTopic, err))
}

// serveAll serves requests as long as there may be some, and tells whether there was
// one. A subscriber that tells when it can't receive is asked now and then.
func (r *Relay) serveAll(ctx context.Context, requests <-chan *message.Message) (served bool) {
	subscriber, tells := r.config.Requests.(interface{ Problem() error })
	look := time.NewTicker(problemInterval)
	defer look.Stop()
	if !tells {
		r.follower.Clear(consumer.PartBeside)
	}
	var refused error // the last request, of a newer program
	for {
		select {
		case msg, open := <-requests:
			if !open {
				return served
			}
			served = true
			if refused = r.serve(ctx, msg); refused != nil {
				r.noteRequests(refused) // until there is one that can be answered
			} else {
				r.follower.Clear(consumer.PartBeside)
			}
		case <-look.C:
			if !tells || refused != nil {
				continue
			}
			if err := subscriber.Problem(); err != nil {
				r.noteRequests(err)
			} else {
				r.follower.Clear(consumer.PartBeside)
			}
		case <-ctx.Done():
			return served
		}
	}
}

// serve answers one request. It is acknowledged when the last page is safe, so one
// that was cut short is served again, by whichever node publishes then.
func (r *Relay) serve(ctx context.Context, msg *message.Message) (refused error) {
	request, err := UnmarshalReplayRequest(msg)
	if err != nil {
		r.follower.Logger().WarnContext(ctx, "request for history refused", "error", err)
		msg.Ack() // it would not get better
		if errors.Is(err, messaging.ErrWireVersion) {
			return err
		}
		return nil
	}
	logger := r.follower.Logger().With("topic", request.Topic, "after", int64(request.After), "reply_to", request.ReplyTo)
	started := time.Now()
	for attempt := 1; ; attempt++ {
		err := r.replay(ctx, request)
		switch {
		case err == nil:
			logger.InfoContext(ctx, "history replayed", "took", time.Since(started))
			msg.Ack()
			return nil
		case ctx.Err() != nil:
			msg.Nack() // for the next node
			return nil
		case attempt == replayAttempts:
			// Others wait behind it, and who asked asks again.
			logger.ErrorContext(ctx, "replay given up", "error", err)
			msg.Ack()
			return nil
		}
		logger.WarnContext(ctx, "replay failed, and is tried again", "error", err)
		r.follower.Note(consumer.PartBeside, nil, err)
		wait.Sleep(ctx, r.config.BackOffAfter(attempt))
	}
}

// replay publishes the pages of a topic's history. All but the end of it is
// published besides the live messages, so that a long one holds up nobody.
func (r *Relay) replay(ctx context.Context, request ReplayRequest) error {
	limit := pageEvents
	for {
		page, more, err := r.history(ctx, request.Topic, request.After, eventsourced.Position(r.reached.Load()), &limit)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		page.Head = eventsourced.Position(r.reached.Load())
		if err := r.publishPage(ctx, request.ReplyTo, page); err != nil {
			return err
		}
		request.After = page.UpTo
	}
	t := &tail{request: request, done: make(chan error, 1)}
	select {
	case r.tails <- t:
		r.follower.Nudge()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serveTails publishes the ends of replays that wait for it.
func (r *Relay) serveTails(ctx context.Context) {
	for {
		select {
		case t := <-r.tails:
			t.done <- r.publishTail(ctx, t.request)
		default:
			return
		}
	}
}

// publishTail publishes what is left up to the relay's position, a page at least:
// that tells the asker that it has missed nothing.
func (r *Relay) publishTail(ctx context.Context, request ReplayRequest) error {
	if request.After > r.follower.Position() {
		r.follower.Logger().WarnContext(ctx, "a consumer knows more than was published: was the log or the relay's position restored from a backup?",
			"topic", request.Topic, "after", int64(request.After), "position", int64(r.follower.Position()))
	}
	limit := pageEvents
	for more := true; more; {
		var page Page
		var err error
		if page, more, err = r.history(ctx, request.Topic, request.After, r.follower.Position(), &limit); err != nil {
			return err
		}
		page.Last, page.Head = !more, r.follower.Position()
		if err := r.publishPage(ctx, request.ReplyTo, page); err != nil {
			return err
		}
		request.After = page.UpTo
	}
	return nil
}

func (r *Relay) publishPage(ctx context.Context, topic string, page Page) error {
	page.Head = max(page.Head, 1) // 0 would be unknown, and no event is that old
	widened := r.widened(nil)
	page.Publication, page.PublishedFrom = widened.Number, widened.Position
	msg, err := MarshalPage(page)
	if err != nil {
		return err
	}
	return r.publish(ctx, consumer.PartBeside, nil, topic, msg)
}
