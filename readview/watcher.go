package readview

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Times of a watcher.
const (
	minLookPause = time.Millisecond      // between two looks, and maxLookRest at most: as long as the one before took,
	maxLookRest  = 10 * time.Millisecond // which a slow database is asked no more; who comes meanwhile shares the next one
	maxLookPause = 20 * time.Millisecond // the longest, of who waits for long, or for what this process applies
	lookTimeout  = 5 * time.Second       // of one look
	lookAttempts = 4                     // when connections are lost
	lookBackOff  = 50 * time.Millisecond // before another one, times its number
)

// watcher asks a database for positions on behalf of all who wait for one there: a single
// goroutine, which is there while somebody waits, and one statement for each look.
//
// What this process applies, it hears of. Where that is in the database that it asks, who waits for a position alone need
// not have it looked at: see [watcher.hear].
type watcher struct {
	m      *Manager
	states states // in the database that answers
	own    bool   // that is the manager's own

	mu      sync.Mutex
	waiting map[*waiter]struct{}
	nudged  chan struct{}      // look: somebody new waits, or something has changed
	stop    context.CancelFunc // ends the goroutine, nil when there is none
}

// waiter is one who waits.
type waiter struct {
	names    []string
	target   eventsourced.Position
	interval time.Duration // between two looks; 0 is what fits the time that it has waited
	trusts   bool          // that a position was reached is all that it wants to know
	doubts   time.Duration // when it has waited for so long, it wants to know since when events wait; 0 is never

	// see is told of each look that began after the waiter had come, with the watcher's mutex held. It returns those of
	// missing for which it goes on waiting.
	see func(seen map[string]sighting, err error) (missing []string)

	done chan struct{} // closed when it waits for none

	// Guarded by the watcher's mutex.
	since     time.Time
	missing   []string
	elsewhere bool // another process applies one of them, or nobody has looked yet
}

func newWatcher(m *Manager, pool *pgxpool.Pool) *watcher {
	return &watcher{m: m, states: m.statesIn(pool), own: pool == m.pool, waiting: map[*waiter]struct{}{}}
}

// wait waits until see has nothing missing, which it tells, or until ctx or limit ends. Afterwards, what see sets can be read.
func (w *watcher) wait(ctx context.Context, me *waiter, limit <-chan time.Time) (over bool) {
	me.done, me.missing = make(chan struct{}), slices.Clone(me.names)
	w.join(me)
	select {
	case <-me.done:
	case <-limit:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(me)
	select {
	case <-me.done:
		return true
	default:
		return false
	}
}

func (w *watcher) join(me *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	me.since, me.elsewhere = time.Now(), true
	w.waiting[me] = struct{}{}
	if w.stop != nil {
		nudge(w.nudged)
		return
	}
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	w.nudged = make(chan struct{}, 1)
	w.m.listen(w, true)
	go w.run(ctx, w.nudged)
}

// remove is called with the mutex held.
func (w *watcher) remove(me *waiter) {
	delete(w.waiting, me)
	if len(w.waiting) == 0 && w.stop != nil {
		w.stop()
		w.stop = nil
		w.m.listen(w, false)
	}
}

// release is called with the mutex held when a waiter goes on waiting for missing.
func (w *watcher) release(me *waiter, missing []string) {
	if me.missing = missing; len(missing) == 0 {
		close(me.done)
		w.remove(me)
	}
}

// hear is called when this process has brought a projection to a position, by a transaction that it had not begun to commit
// before since; 0 stands for a change of its state, and no time for what another process may have done.
//
// Who waits since earlier than that need not ask: at that moment the database showed what he waits for. For one who has
// come later it may have been reset meanwhile.
func (w *watcher) hear(name string, at eventsourced.Position, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	look := false
	for me := range w.waiting {
		switch i := slices.Index(me.missing, name); {
		case i < 0 || at != 0 && at < me.target:
		case at != 0 && w.own && me.trusts && me.since.Before(since):
			w.release(me, slices.DeleteFunc(me.missing, func(missing string) bool { return missing == name }))
		default:
			look = true
		}
	}
	if look && w.stop != nil {
		nudge(w.nudged)
	}
}

// run looks until nobody waits: when somebody comes or something is heard, and at intervals.
func (w *watcher) run(ctx context.Context, nudged <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	backlogs := map[eventsourced.Position]time.Time{}
	for ctx.Err() == nil {
		began := time.Now()
		backlogs = w.look(ctx, backlogs)
		rest := min(max(minLookPause, time.Since(began)), maxLookRest)
		ended := time.Now()
		timer.Reset(max(rest, w.pause()))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-nudged:
			wait.Sleep(ctx, time.Until(ended.Add(rest)))
			select {
			case <-nudged: // he is seen by the same look
			default:
			}
		}
	}
}

// pause returns how long until somebody wants to look again, if nothing is heard.
func (w *watcher) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	pause := time.Hour
	for me := range w.waiting {
		fits := maxLookPause
		switch {
		case me.interval > 0:
			fits = me.interval
		case me.elsewhere:
			fits = min(max(time.Since(me.since)/4, minLookPause), maxLookPause)
		}
		pause = min(pause, fits)
	}
	return pause
}

// look asks for the positions once, and lets go who need not wait any longer.
func (w *watcher) look(ctx context.Context, backlogs map[eventsourced.Position]time.Time) map[eventsourced.Position]time.Time {
	var (
		present  []*waiter
		names    = map[string]bool{}
		doubtful = map[string]eventsourced.Position{} // the highest position that somebody waits for who doubts that it comes
	)
	w.mu.Lock()
	for me := range w.waiting {
		present = append(present, me)
		asked := me.names
		if me.trusts {
			asked = me.missing
		}
		for _, name := range asked {
			names[name] = true
			if me.doubts > 0 && time.Since(me.since) >= me.doubts {
				doubtful[name] = max(doubtful[name], me.target)
			}
		}
	}
	w.mu.Unlock()
	seen, err := w.read(ctx, slices.Sorted(maps.Keys(names)))
	found := map[eventsourced.Position]time.Time{}
	for name, target := range doubtful {
		if s, there := seen[name]; there && s.Position < target {
			s.waiting = w.backlog(ctx, s.Position, backlogs, found)
			seen[name] = s
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, me := range present {
		if _, waits := w.waiting[me]; !waits {
			continue
		}
		missing := me.see(seen, err)
		me.elsewhere = !w.own || slices.ContainsFunc(missing, func(name string) bool { return !seen[name].here })
		w.release(me, missing)
	}
	return found
}

// read returns how projections stand in the database that answers. A query that is under way
// is not broken off when the last one leaves: that would cost the connection. A pool may hold several that are lost.
func (w *watcher) read(ctx context.Context, names []string) (seen map[string]sighting, err error) {
	var records map[string]record
	for attempt := 1; ; attempt++ {
		records, err = w.readOnce(ctx, names)
		if !pgerr.Lost(err) || attempt == lookAttempts || !wait.Sleep(ctx, time.Duration(attempt)*lookBackOff) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	seen = make(map[string]sighting, len(names))
	for _, name := range names {
		r, err := w.m.runner(name)
		if err != nil {
			return nil, err
		}
		s := sighting{}
		if s.record, s.known = records[name]; s.known {
			s.here = s.node == w.m.node && r.starts()
			s.refusal = s.programs.refusal(ctx, r.log, r.definition, s.Position)
		}
		seen[name] = s
	}
	return seen, nil
}

func (w *watcher) readOnce(ctx context.Context, names []string) (map[string]record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	return w.states.readMany(ctx, names)
}
