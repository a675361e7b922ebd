package messaging

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// replayAttempts is how often a request is tried to be answered.
const replayAttempts = 3

// problemInterval is how often the subscriber to requests is asked how it is.
const problemInterval = 500 * time.Millisecond

// Limits of a page of history.
const (
	pageEvents = 1000
	pageBytes  = 1 << 20 // of payloads; a single event may be larger
)

// tail is the end of a replay, up to where the relay is. The relay publishes it
// itself, between two groups, so that live messages follow it without a gap.
type tail struct {
	request ReplayRequest
	done    chan error // of capacity 1
}

// answer serves the requests for history until ctx ends. Only the node that
// publishes does: others could not know what follows their answer.
func (r *Relay) answer(ctx context.Context) {
	defer r.follower.record.clear(ofRequests)
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
			r.follower.logger.WarnContext(ctx, "relay can't receive requests for history", "error", err)
			sleep(ctx, r.follower.config.backOff(attempt))
		}
	}
}

var errRequestsEnded = errors.New("the subscription has ended")

func (r *Relay) noteRequests(err error) {
	r.follower.record.note(ofRequests, nil, fmt.Errorf("receive requests for history from %s: %w", r.config.RequestTopic, err))
}

// serveAll serves requests as long as there may be some, and tells whether there was
// one. A subscriber that tells when it can't receive is asked now and then.
func (r *Relay) serveAll(ctx context.Context, requests <-chan *message.Message) (served bool) {
	subscriber, tells := r.config.Requests.(interface{ Problem() error })
	look := time.NewTicker(problemInterval)
	defer look.Stop()
	if !tells {
		r.follower.record.clear(ofRequests)
	}
	for {
		select {
		case msg, open := <-requests:
			if !open {
				return served
			}
			served = true
			r.serve(ctx, msg)
			r.follower.record.clear(ofRequests)
		case <-look.C:
			if !tells {
				continue
			}
			if err := subscriber.Problem(); err != nil {
				r.noteRequests(err)
			} else {
				r.follower.record.clear(ofRequests)
			}
		case <-ctx.Done():
			return served
		}
	}
}

// serve answers one request. It is acknowledged when the last page is safe, so one
// that was cut short is served again, by whichever node publishes then.
func (r *Relay) serve(ctx context.Context, msg *message.Message) {
	request, err := UnmarshalReplayRequest(msg)
	if err != nil {
		r.follower.logger.WarnContext(ctx, "request for history refused", "error", err)
		msg.Ack() // it would not get better
		return
	}
	logger := r.follower.logger.With("topic", request.Topic, "after", int64(request.After), "reply_to", request.ReplyTo)
	started := time.Now()
	for attempt := 1; ; attempt++ {
		err := r.replay(ctx, request)
		switch {
		case err == nil:
			logger.InfoContext(ctx, "history replayed", "took", time.Since(started))
			msg.Ack()
			return
		case ctx.Err() != nil:
			msg.Nack() // for the next node
			return
		case attempt == replayAttempts:
			// Others wait behind it, and who asked asks again.
			logger.ErrorContext(ctx, "replay given up", "error", err)
			msg.Ack()
			return
		}
		logger.WarnContext(ctx, "replay failed, and is tried again", "error", err)
		r.follower.record.note(ofRequests, nil, err)
		sleep(ctx, r.follower.config.backOff(attempt))
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
		r.follower.nudge()
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
	if request.After > r.follower.position {
		r.follower.logger.WarnContext(ctx, "a consumer knows more than was published: was the log or the relay's position restored from a backup?",
			"topic", request.Topic, "after", int64(request.After), "position", int64(r.follower.position))
	}
	limit := pageEvents
	for more := true; more; {
		var page Page
		var err error
		if page, more, err = r.history(ctx, request.Topic, request.After, r.follower.position, &limit); err != nil {
			return err
		}
		page.Last, page.Head = !more, r.follower.position
		if err := r.publishPage(ctx, request.ReplyTo, page); err != nil {
			return err
		}
		request.After = page.UpTo
	}
	return nil
}

func (r *Relay) publishPage(ctx context.Context, topic string, page Page) error {
	page.Head = max(page.Head, 1) // 0 would be unknown, and no event is that old
	msg, err := MarshalPage(page)
	if err != nil {
		return err
	}
	return r.publish(ctx, ofRequests, nil, topic, msg)
}

// history returns a page of a topic, and tells whether there is more of it up to
// upTo. It looks at limit events at most, and sets the limit for the next page: what is
// read beyond the limit of bytes is read in vain.
func (r *Relay) history(ctx context.Context, topic string, after, upTo eventsourced.Position, limit *int) (page Page, more bool, err error) {
	page = Page{After: after, UpTo: max(after, upTo)}
	if after >= upTo {
		return page, false, nil
	}
	events, more, err := r.readHistory(ctx, after, upTo, *limit)
	if err != nil {
		return Page{}, false, fmt.Errorf("read the history of %s: %w", topic, err)
	}
	bytes := 0
	for i, recorded := range events { // the query has ended: Translate may need its connection
		out, err := r.outgoing(ctx, ofRequests, recorded)
		if err != nil {
			return Page{}, false, err
		}
		page.UpTo = recorded.Position
		for _, part := range out { // all of them, as they share a position
			if part.topic == topic {
				page.Events = append(page.Events, part.event)
				bytes += len(part.event.Payload)
			}
		}
		if bytes >= pageBytes && (more || i < len(events)-1) {
			*limit = i + 1
			return page, true, nil
		}
	}
	if !more {
		page.UpTo = upTo
	}
	*limit = min(2**limit, pageEvents)
	return page, more, nil
}

// readHistory reads limit events at most, of a megabyte and one event at most, and
// tells whether there are more.
func (r *Relay) readHistory(ctx context.Context, after, upTo eventsourced.Position, limit int) (events []eventsourced.Recorded, more bool, err error) {
	query := eventsourced.LogQuery{After: after, UpTo: upTo, Names: r.follower.names, Limit: limit + 1}
	bytes := 0
	for recorded, err := range r.log.ReadLog(ctx, query) {
		if err != nil {
			return nil, false, err
		}
		if len(events) == limit || bytes >= pageBytes {
			return events, true, nil
		}
		events = append(events, recorded)
		bytes += len(recorded.Payload)
	}
	return events, false, nil
}
