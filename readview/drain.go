package readview

import (
	"sync"
	"time"
)

// drain bounds for how long a page goes on once closing is closed, until the returned
// function is called. After half of the drain timeout the page should end early, after
// all of it cancel ends its context, and then a handler that does not return is given up.
func (a *applier) drain(closing <-chan struct{}, p *page, cancel func()) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-closing:
		case <-ended:
			return
		}
		half := a.m.config.DrainTimeout / 2
		for _, next := range []struct {
			after time.Duration
			do    func()
		}{
			{half, func() { p.hurry.Store(true) }},
			{half, func() { a.warnOfRollback(p); cancel() }},
			{giveUpAfter, p.giveUp},
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

func (a *applier) warnOfRollback(p *page) {
	attributes := []any{"drain_timeout", a.m.config.DrainTimeout, "events", len(p.items), "after", int64(p.after)}
	if s, busy := a.progress.now(); busy && s.event != nil {
		attributes = append(attributes, "event_id", s.event.ID.String(), "event_name", s.event.Name, "position", int64(s.event.Position),
			"handler_runs_for", time.Since(s.since).Round(time.Millisecond))
	}
	a.logger.Warn("a page is rolled back, as it was not done within the drain timeout; it is applied anew by the next process", attributes...)
}
