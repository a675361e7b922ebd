package readview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Waits for what others do with a page.
const (
	callPatience = time.Second // from an ack to the call of the handler
	giveUpAfter  = time.Second // from the end of a page's context to the return of its handler
)

// handle is the Watermill handler: it applies the page that the message carries.
// It may be called again for the same message, and for one that was applied.
func (s *logSource) handle(msg *message.Message) error {
	p := pageOf(msg.Context())
	if p == nil {
		return errNoPage
	}
	if err := msg.Context().Err(); err != nil { // Retry outside of Timeout calls with what has ended
		if called, _, before := p.calls.outcome(); called {
			return before
		}
		return err
	}
	err := p.attempt(msg.Context(), s.apply)
	s.progress.at(atRouter, nil)
	if errors.Is(err, errStale) {
		return nil // nothing to repeat: the subscriber reads another page
	}
	return err
}

// emit hands the page to the router and waits until it is applied or refused. The
// page outlives ctx by the drain timeout: the router ends the contexts of its
// subscribers when it closes, and a page should be finished then.
//
// What counts is how the calls of the handler ended; an ack or a nack only says that
// there will be no more.
func (s *logSource) emit(ctx context.Context, out chan<- *message.Message, p *page) error {
	pageCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	msg := p.message(pageCtx, s.Name)
	s.progress.at(atRouter, nil) // before whoever takes it says what he is at
	select {
	case out <- msg:
	case <-ctx.Done():
		s.progress.at(atRest, nil)
		return ctx.Err()
	}
	defer s.drain(ctx.Done(), p, cancel)()
	acked, nacked := msg.Acked(), msg.Nacked()
	var patience <-chan time.Time
	for {
		select {
		case <-acked:
			acked, nacked, patience = nil, nil, time.After(callPatience)
		case <-nacked:
			acked, nacked = nil, nil
			if called, _, _ := p.calls.outcome(); !called {
				return errMiddleware
			}
		case <-patience:
			if called, _, _ := p.calls.outcome(); !called {
				return errMiddleware
			}
		case <-p.calls.changed:
		}
		if called, done, err := p.calls.outcome(); acked == nil && called && done {
			return err
		}
	}
}

type pageKey struct{}

// message returns a message that carries the page in its context. Its payload and
// metadata are for people and middlewares to look at.
func (p *page) message(ctx context.Context, projection string) *message.Message {
	id := watermill.NewUUID()
	// With the id, as a Deduplicator knows messages by their payload: a page that is
	// offered again is no duplicate.
	payload, _ := json.Marshal(map[string]any{"after": p.after, "events": len(p.items), "page": id, "up_to": p.upTo})
	msg := message.NewMessage(id, payload)
	msg.Metadata.Set("projection", projection)
	msg.Metadata.Set("position", fmt.Sprint(int64(p.upTo)))
	msg.SetContext(context.WithValue(ctx, pageKey{}, p))
	return msg
}

func pageOf(ctx context.Context) *page {
	p, _ := ctx.Value(pageKey{}).(*page)
	return p
}
