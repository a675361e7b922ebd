package readview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

// feedHistory is that of another context, which is asked for it window by window. It is used by one
// goroutine at a time.
type feedHistory struct {
	source   *feedSource // makes pages of messages; it does not run
	messages <-chan *message.Message
	stop     func()
	content  *relay.Page // that came last, perhaps not used up
	known    eventsourced.Position
	single   bool
}

// newFeedHistory subscribes to the answers. What from lacks is as in the feed of the projection.
func newFeedHistory(ctx context.Context, a *applier, feed Feed, from *Feed) (h *feedHistory, err error) {
	var own Feed
	if from != nil {
		own = *from
	}
	closes := func() {}
	if from = &own; from.Subscriber == nil {
		if closes, err = feed.answers(from); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				closes()
			}
		}()
	}
	setDefault(&from.Topic, feed.Topic)
	setDefault(&from.RequestTopic, feed.RequestTopic)
	from.Registry = feed.Registry
	if from.Requests == nil {
		from.Requests = feed.Requests
	}
	if from.Requests == nil || from.RequestTopic == "" {
		return nil, fmt.Errorf("%w: the feed has no Requests", ErrNoHistory)
	}
	complete := from.withDefaults()
	h = &feedHistory{source: &feedSource{applier: a, feed: complete}}
	h.ask(complete)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = func() {
		cancel()
		closes()
	}
	if h.messages, err = complete.Subscriber.Subscribe(ctx, complete.Topic); err != nil {
		cancel()
		return nil, fmt.Errorf("subscribe to the history: %w", err)
	}
	return h, nil
}

// answers completes from with what receives the answers for one replay, if the feed's Subscriber can make that.
func (f Feed) answers(from *Feed) (closes func(), err error) {
	maker, makes := f.Subscriber.(interface {
		Answers(topic string) (subscriber message.Subscriber, replyTo string, err error)
	})
	if !makes {
		return nil, fmt.Errorf("%w: its events come by messages, and this transport's Subscriber makes no queue for them (it has no method Answers): "+
			"call Manager.Rebuild, Verify or Explain with a History in a program of your own", ErrNoHistory)
	}
	subscriber, replyTo, err := maker.Answers(f.Topic)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoHistory, err)
	}
	from.Subscriber, from.Topic, from.ReplyTo = subscriber, f.Topic, replyTo
	return func() { _ = subscriber.Close() }, nil // what it has is asked for again, or wanted no more
}

// ask makes the asker.
func (h *feedHistory) ask(feed Feed) {
	a := h.source.applier
	h.content, h.source.asker = nil, newAsker(feed, a.Name+"@"+a.m.node+"/"+newRun()[:8], a.handled)
}

// at returns the events at a position: those of which h is asked go up.
func (h *feedHistory) at(ctx context.Context, position eventsourced.Position) ([]eventsourced.Recorded, error) {
	if one := h.source.asker.feed; one.AskEvents > 1 {
		one.AskEvents = 1
		h.ask(one)
	}
	content, err := h.after(ctx, position-1, false)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(content.Events), func(e eventsourced.Recorded) bool { return e.Position != position }), nil
}

// head asks what there is.
func (h *feedHistory) head(ctx context.Context) (eventsourced.Position, error) {
	content, err := h.after(ctx, h.known, true)
	if err != nil {
		return 0, err
	}
	return max(h.known, content.UpTo, content.Head), nil
}

func (h *feedHistory) count(context.Context, eventsourced.Position, eventsourced.Position) (int64, error) {
	return -1, nil
}

func (h *feedHistory) page(ctx context.Context, after, upTo eventsourced.Position) (*page, error) {
	next := newPage(h.source.Name, after, after, 0)
	if after >= upTo {
		return next, nil
	}
	content, err := h.after(ctx, after, false)
	if err != nil {
		return next, err
	}
	part := *content
	part.Events = slices.DeleteFunc(slices.Clone(content.Events), func(e eventsourced.Recorded) bool { return e.Position <= after || e.Position > upTo })
	end := min(content.UpTo, upTo)
	if content.Last && content.UpTo >= content.Head { // there is nothing above it
		end = upTo
	}
	if h.single {
		if i := slices.IndexFunc(part.Events, func(e eventsourced.Recorded) bool { return e.Position > part.Events[0].Position }); i > 0 {
			end = part.Events[0].Position
			part.Events = part.Events[:i]
		}
	}
	part.After, part.UpTo = after, end
	next = h.source.page(ctx, part)
	h.known = end
	return next, nil
}

func (h *feedHistory) smaller() { h.single = true }

// after returns a page of history that begins at a position or below, and ends above it, or at the end of what there is.
// fresh asks in any case.
func (h *feedHistory) after(ctx context.Context, after eventsourced.Position, fresh bool) (*relay.Page, error) {
	fits := func(c *relay.Page) bool { return c.After <= after && (c.UpTo > after || c.Last && c.UpTo == after) }
	if h.content != nil && !fresh && fits(h.content) && h.content.UpTo > after {
		return h.content, nil
	}
	const tries = 10
	expected := h.content != nil && !fresh && !h.content.Last && h.content.UpTo == after // it is on its way
	for try := range tries {
		if !expected || try > 0 {
			if err := h.source.asker.send(ctx, after, ""); err != nil {
				return nil, err
			}
		}
		timer := time.NewTimer(h.source.feed.AskAgain)
		content, err := h.receive(ctx, timer.C, fits)
		timer.Stop()
		if err != nil || content != nil {
			h.content = content
			return content, err
		}
	}
	err := fmt.Errorf("asked %s %d times for the history after position %d, and nobody answers: is the relay running?", h.source.feed.RequestTopic, tries, after)
	if subscriber, tells := h.source.feed.Subscriber.(interface{ Problem() error }); tells {
		err = errors.Join(err, subscriber.Problem()) // it can't receive
	}
	return nil, err
}

// receive returns the first page of history that fits, nil when there is none in time.
func (h *feedHistory) receive(ctx context.Context, timeout <-chan time.Time, fits func(*relay.Page) bool) (*relay.Page, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timeout:
			return nil, nil
		case msg, open := <-h.messages:
			if !open {
				return nil, errors.New("the subscription to the history has ended")
			}
			content, err := relay.UnmarshalPage(msg)
			msg.Ack()
			if err != nil || content.Asker != h.source.asker.id || content.Head == 0 || !fits(&content) {
				continue // somebody else's, or a live one
			}
			if f := content.Failure; f != nil && len(content.Events) == 0 {
				return nil, fmt.Errorf("the other context can't send %s at position %d: %s", f.EventName, f.Position, f.Error)
			}
			return &content, nil
		}
	}
}
