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

const (
	pageAttempts = 3           // to send a page
	signOfLife   = time.Second // a page is sent at least so often while the log is searched
)

// receive takes requests for history into the line until ctx ends. Only the node that
// publishes does: others could not know what follows their answer.
func (r *Relay) receive(ctx context.Context) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		requests, err := r.config.Requests.Subscribe(ctx, r.config.RequestTopic)
		if err == nil {
			r.beside.subscribed()
			err = errRequestsEnded
			if r.takeAll(ctx, requests) {
				attempt = 1
			}
		}
		if ctx.Err() == nil {
			r.beside.note(r.cantReceive(err), true)
			r.follower.Logger().WarnContext(ctx, "relay can't receive requests for history", "error", err)
			wait.Sleep(ctx, r.config.BackOffAfter(attempt))
			r.line.gather()
		}
	}
}

var errRequestsEnded = errors.New("the subscription has ended")

func (r *Relay) cantReceive(err error) error {
	return fmt.Errorf("receive requests for history from %s: %w", r.config.RequestTopic, err)
}

// takeAll takes requests until there can be none, and tells whether there was one.
func (r *Relay) takeAll(ctx context.Context, requests <-chan *message.Message) (some bool) {
	for {
		select {
		case msg, open := <-requests:
			if !open {
				return some
			}
			some = true
			r.take(ctx, msg)
		case <-ctx.Done():
			return some
		}
	}
}

// take puts a request into the line. It is acknowledged at once, so that a newer one comes that
// may replace it, and because who waits in vain asks again.
func (r *Relay) take(ctx context.Context, msg *message.Message) {
	request, err := UnmarshalHistoryRequest(msg)
	msg.Ack()
	if err == nil && r.config.CheckReply != nil {
		if err = r.config.CheckReply(request.Topic, request.ReplyTo); err != nil {
			err = fmt.Errorf("request for history %.40q: %w", msg.UUID, err)
		}
	}
	if err != nil {
		r.follower.Logger().WarnContext(ctx, "request for history refused", "error", err)
		if errors.Is(err, messaging.ErrWireVersion) {
			r.beside.note(r.cantReceive(err), false)
		}
		return
	}
	r.line.put(r.config.newWindow(request, time.Now()))
}

// answer serves those who wait in the line, page by page, until ctx ends. All but the end of what
// there is goes out besides the live messages, so that a long history holds up nobody.
func (r *Relay) answer(ctx context.Context) {
	for ctx.Err() == nil {
		w, pause := r.line.next(time.Now())
		if w != nil {
			r.serve(ctx, w, eventsourced.Position(r.reached.Load()), false)
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.line.news:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// serve takes one turn for a window: a look at the log, and a page if there is one. At the end of
// what there is up to reached, the follower takes the last turn, between two groups, so that what
// is published next follows the page without a gap.
func (r *Relay) serve(ctx context.Context, w *window, reached eventsourced.Position, follower bool) {
	found, err := r.collect(ctx, w, reached)
	page := Page{After: w.after, UpTo: w.scanned, Head: max(reached, beforeAll), Asker: w.request.Asker}
	switch {
	case found == anInvalid:
		page.Last, page.Failure = true, failureOf(err)
	case err != nil:
		r.failed(ctx, w, err)
		return
	case found == allOfIt && !follower:
		r.line.end(w, true)
		r.follower.Nudge()
		return
	case found == allOfIt:
		page.Last, page.Failure = true, r.failureAfter(reached)
		if unknown := r.unknownTopic(w.request); unknown != nil {
			page.Failure, page.UpTo = unknown, page.After // who corrects it must not have passed over the right one's history
		} else if page.Failure == nil {
			page.Failure = r.unknownNames(w.request)
		}
		if page.Head, err = r.headFor(ctx, w, page.Head); err != nil {
			r.failed(ctx, w, err)
			return
		}
	case found == aPage:
		page.Last = w.leftEvents <= len(w.events) || w.leftBytes <= w.size
	case time.Since(w.sent) < signOfLife:
		r.line.end(w, false) // in the midst of it, whoever looked
		return
	}
	if err := r.publishPage(ctx, w, page); err != nil {
		r.failed(ctx, w, err)
		return
	}
	r.beside.clear()
	r.follower.Clear(consumer.PartBeside)
	w.leftEvents, w.leftBytes, w.failures = w.leftEvents-len(w.events), w.leftBytes-w.size, 0
	w.after, w.events, w.size, w.first, w.sent = w.scanned, nil, 0, nil, time.Now()
	if page.Last {
		r.line.done(w, w.sent)
	} else {
		r.line.end(w, false)
	}
}

// failureAfter is why nothing is published after a position, as far as that is an event's fault.
func (r *Relay) failureAfter(position eventsourced.Position) *consumer.Failure {
	if r.stuck == nil || r.stuck.Event.Position <= position {
		return nil
	}
	return failureOf(r.stuck)
}

func failureOf(err error) *consumer.Failure {
	var about *consumer.WorkError
	if !errors.As(err, &about) {
		return nil
	}
	e := about.Event
	return &consumer.Failure{EventID: e.ID, EventName: e.Name, Position: e.Position, Error: about.Error()}
}

// headFor returns where the relay is, for who asks. What it has published may be ahead of its position: a broker or a server that
// crashes before the one confirms or the other saves takes it back, and what is published again is known to who has it. Only
// who knows an event that the log does not have comes from another one, or from after a backup.
func (r *Relay) headFor(ctx context.Context, w *window, head eventsourced.Position) (eventsourced.Position, error) {
	if w.request.After <= head {
		return head, nil
	}
	event, found, err := consumer.EventAt(ctx, r.log, w.request.After)
	if err != nil {
		return 0, fmt.Errorf("look for what %s knows: %w", w.request.Asker, err)
	}
	if found && event.Position == w.request.After {
		return w.request.After, nil
	}
	r.follower.Logger().WarnContext(ctx, "a consumer knows more than was published, and the log does not have it: was it restored from a backup?",
		"asker", w.request.Asker, "topic", w.request.Topic, "after", int64(w.request.After), "position", int64(head))
	return head, nil
}

// failed has a page tried again, and a window given up that can't be served: who asked asks again.
func (r *Relay) failed(ctx context.Context, w *window, err error) {
	if ctx.Err() != nil {
		return
	}
	first := w.first
	w.scanned, w.events, w.size, w.first = w.after, nil, 0, nil // the page begins anew
	logger := r.follower.Logger().With("asker", w.request.Asker, "topic", w.request.Topic, "after", int64(w.after), "reply_to", w.request.ReplyTo)
	switch {
	case errors.Is(err, messaging.ErrUnroutable): // no trouble of the relay's
		logger.WarnContext(ctx, "answer to a request for history given up: its queue is gone", "error", err)
		r.line.remove(w)
		return
	case errors.Is(err, errHalved):
		logger.InfoContext(ctx, "page refused, it is halved", "error", err)
		r.line.end(w, false)
		return
	}
	r.beside.note(err, false)
	if w.failures++; w.failures >= pageAttempts {
		logger.ErrorContext(ctx, "answer to a request for history given up", "error", err)
		if first != nil { // who asked is to know which event it is, if only that is too large
			reached := eventsourced.Position(r.reached.Load())
			page := Page{After: w.after, UpTo: w.after, Head: max(reached, beforeAll), Asker: w.request.Asker, Last: true}
			page.Failure = failureOf(&consumer.WorkError{Event: *first, Err: err})
			_ = r.publishPage(ctx, w, page) // asking again will tell
		}
		r.line.remove(w)
		return
	}
	logger.WarnContext(ctx, "page of history not sent, it is tried again", "error", err)
	w.earliest = time.Now().Add(r.config.BackOffAfter(w.failures))
	r.line.end(w, false)
}
