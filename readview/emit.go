package readview

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Waits for what others do with a page.
const (
	callPatience = time.Second // from an ack to the call of the handler
	giveUpAfter  = time.Second // from the end of a page's context to the return of its handler
)

// emit hands the page to the router and waits until it is applied or refused. The
// page outlives ctx by the drain timeout: the router ends the contexts of its
// subscribers when it closes, and a page should be finished then.
//
// What counts is how the calls of the handler ended; an ack or a nack only says that
// there will be no more.
func (r *runner) emit(ctx context.Context, out chan<- *message.Message, pg *page) error {
	pageCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	msg := pg.message(pageCtx, r.Name)
	select {
	case out <- msg:
		r.progress.at(atRouter, nil)
	case <-ctx.Done():
		return ctx.Err()
	}
	defer r.drain(ctx.Done(), pg, cancel)()
	renew := time.NewTicker(r.m.leaseTime() / 4)
	defer renew.Stop()
	acked, nacked := msg.Acked(), msg.Nacked()
	var patience <-chan time.Time
	for {
		select {
		case <-acked:
			acked, nacked, patience = nil, nil, time.After(callPatience)
		case <-nacked:
			acked, nacked = nil, nil
			if called, _, _ := pg.calls.outcome(); !called {
				return errMiddleware
			}
		case <-patience:
			if called, _, _ := pg.calls.outcome(); !called {
				return errMiddleware
			}
		case <-pg.calls.changed:
		case <-renew.C:
			// Losing the lease is no reason to stop: the page is safe without it.
			if !r.stuck() {
				_, _, _ = r.renew(ctx, pg.generation)
			}
		}
		if called, done, err := pg.calls.outcome(); acked == nil && called && done {
			return err
		}
	}
}

// drain bounds for how long a page goes on once closing is closed, until the returned
// function is called. After half of the drain timeout the page should end early, after
// all of it cancel ends its context, and then a handler that does not return is given up.
func (r *runner) drain(closing <-chan struct{}, pg *page, cancel func()) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-closing:
		case <-ended:
			return
		}
		half := r.m.config.DrainTimeout / 2
		for _, next := range []struct {
			after time.Duration
			do    func()
		}{
			{half, func() { pg.hurry.Store(true) }},
			{half, func() { r.warnOfRollback(pg); cancel() }},
			{giveUpAfter, pg.giveUp},
		} {
			select {
			case <-time.After(next.after):
				next.do()
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		running.Wait()
	}
}

func (r *runner) warnOfRollback(pg *page) {
	attributes := []any{"drain_timeout", r.m.config.DrainTimeout, "events", len(pg.items), "after", int64(pg.after)}
	if s, busy := r.progress.now(); busy && s.event != nil {
		attributes = append(attributes, "event_id", s.event.ID.String(), "event_name", s.event.Name, "position", int64(s.event.Position),
			"handler_runs_for", time.Since(s.since).Round(time.Millisecond))
	}
	r.logger.Warn("a page is rolled back, as it was not done within the drain timeout; it is applied anew by the next process", attributes...)
}
