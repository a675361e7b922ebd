package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Watch puts it on record when what is under way takes long. A node on which
// something hangs does not renew its lease: another one takes over. It is for a call that
// [Follower.Guard] can't make, and used by one goroutine.
type Watch struct {
	f     *Follower
	part  Part
	event *eventsourced.Recorded
	what  string
	began time.Time
	timer *time.Timer
	told  bool // the observer, that it stalls
	hangs bool
}

// Watch begins to watch what is done for an event, nil for none, called what.
func (f *Follower) Watch(p Part, event *eventsourced.Recorded, what string) *Watch {
	return &Watch{f: f, part: p, event: event, what: what, began: time.Now(), timer: time.NewTimer(min(slowAfter, f.config.HangTimeout))}
}

// Late is called when there is a value of [Watch.C], and tells whether it hangs.
func (w *Watch) Late(ctx context.Context) (hangs bool) {
	took := time.Since(w.began)
	if left := w.f.config.HangTimeout - took; left > 0 {
		w.stalls(ctx, fmt.Errorf("%s takes more than %v", w.what, slowAfter))
		w.timer.Reset(left)
		return false
	}
	w.timer.Reset(touchedAfter)
	if w.hangs {
		w.f.record.touch()
		return true
	}
	w.hangs = true
	w.f.hanging.Add(1)
	w.stalls(ctx, fmt.Errorf("%s has not ended after %v", w.what, w.f.config.HangTimeout))
	logger := w.f.logger
	if w.event != nil {
		logger = logger.With("event_id", w.event.ID.String(), "event_name", w.event.Name, "position", int64(w.event.Position))
	}
	logger.WarnContext(ctx, "consumer hangs; another node may take over", "what", w.what, "duration", took)
	return true
}

// stalls puts it on record.
func (w *Watch) stalls(ctx context.Context, cause error) {
	failure := w.f.record.late(w, cause, w.hangs)
	if failure != nil && !w.told {
		w.told = true
		w.f.config.Observer.Stalled(ctx, w.f.id, *failure)
	}
}

// C has a value when what is under way takes long, and again while it does.
func (w *Watch) C() <-chan time.Time { return w.timer.C }

// End is called when it has ended.
func (w *Watch) End() {
	w.timer.Stop()
	w.f.record.over(w)
	if w.hangs {
		w.f.hanging.Add(-1)
	}
}
