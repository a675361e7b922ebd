package readview

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// watcher asks a database for positions on behalf of all who wait for one: a single
// goroutine, which is there while somebody waits.
type watcher struct {
	m               *Manager
	states          states // in the database that answers
	limit, interval time.Duration

	mu      sync.Mutex
	waiting map[*waiter]struct{}
	joined  chan struct{}      // a nudge: somebody new waits
	stop    context.CancelFunc // ends the goroutine, nil when there is none
}

// waiter is one who waits. Its last three fields are guarded by the watcher's mutex until done
// is closed.
type waiter struct {
	names  []string // sorted
	target eventsourced.Position
	done   chan struct{}

	reached bool
	last    []ProjectionProgress // what was seen last
	err     error                // why nothing was seen
}

func newWatcher(m *Manager, pool *pgxpool.Pool, config ConsistencyConfig) *watcher {
	return &watcher{
		m: m, states: m.statesIn(pool), limit: config.Limit, interval: config.PollInterval,
		waiting: map[*waiter]struct{}{},
	}
}

// local returns the projections that are meant, once each and sorted.
func (c *Consistency) local(names []string) ([]string, error) {
	all := len(names) == 0
	if all {
		names = c.m.Names()
	}
	var local []string
	for _, name := range names {
		r, err := c.m.runner(name)
		switch {
		case err != nil:
			return nil, err
		case r.log != nil:
			local = append(local, name)
		case !all:
			return nil, fmt.Errorf("wait for %s: %w", name, ErrOtherLog)
		}
	}
	slices.Sort(local)
	return slices.Compact(local), nil
}

func (r ConsistencyResult) late() error {
	var late []string
	for _, p := range r.Projections {
		if p.Position < p.Target || p.State == consumer.Failed || p.State == consumer.Ahead {
			late = append(late, fmt.Sprintf("%s is %s at position %d of %d", p.Name, p.State, p.Position, p.Target))
		}
	}
	return fmt.Errorf("%w: %s", ErrConsistencyTimeout, strings.Join(late, ", "))
}

// wait waits until the projections have reached target, can't, or the limit is over.
func (w *watcher) wait(ctx context.Context, target eventsourced.Position, names []string) (ConsistencyResult, error) {
	if err := ctx.Err(); err != nil {
		return ConsistencyResult{}, err
	}
	me := &waiter{names: names, target: target, done: make(chan struct{})}
	w.join(me)
	defer w.leave(me)
	limit := time.NewTimer(w.limit)
	defer limit.Stop()
	select {
	case <-me.done:
	case <-limit.C:
	case <-ctx.Done():
		return ConsistencyResult{}, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if me.last == nil && len(names) > 0 {
		if me.err == nil {
			me.err = errors.New("the database was not asked in time: no connection was free")
		}
		return ConsistencyResult{}, fmt.Errorf("wait for %s: %w", strings.Join(names, ", "), explain(me.err))
	}
	return ConsistencyResult{Satisfied: me.reached, Projections: slices.Concat([]ProjectionProgress{}, me.last)}, nil
}

func (w *watcher) join(me *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting[me] = struct{}{}
	if w.stop != nil {
		nudge(w.joined)
		return
	}
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	w.joined = make(chan struct{}, 1)
	go w.run(ctx, w.joined)
}

func (w *watcher) leave(me *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(me)
}

// remove is called with the mutex held.
func (w *watcher) remove(me *waiter) {
	delete(w.waiting, me)
	if len(w.waiting) == 0 && w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// run looks until nobody waits: when somebody joins, when this process has applied what somebody
// waits for, and at intervals.
func (w *watcher) run(ctx context.Context, joined <-chan struct{}) {
	ticker := time.NewTicker(w.interval)
	defer ticker.Stop()
	backlogs := map[string]backlog{}
	for again := false; ctx.Err() == nil; {
		changed := w.m.changes()
		late := w.look(ctx, again, backlogs)
		for again = false; !again; {
			select {
			case <-ctx.Done():
				return
			case <-joined:
				again = true
			case <-ticker.C:
				again = true
			case <-changed:
				changed = w.m.changes()
				again = w.advanced(late)
			}
		}
	}
}

// advanced tells whether this process has applied what somebody waits for, or the state of such a
// projection may have changed: a projection that catches up page by page is no reason to look.
func (w *watcher) advanced(late map[string]eventsourced.Position) bool {
	for name, target := range late {
		r, err := w.m.runner(name)
		if err != nil || !r.starts() {
			continue
		}
		if at := eventsourced.Position(r.advanced.Load()); at == 0 || at >= target {
			return true
		}
	}
	return false
}

// look asks for the positions once, and lets go who need not wait any longer. It returns the
// lowest position that the others wait for of each projection.
func (w *watcher) look(ctx context.Context, again bool, backlogs map[string]backlog) map[string]eventsourced.Position {
	w.mu.Lock()
	present := slices.Collect(maps.Keys(w.waiting))
	w.mu.Unlock()
	names := map[string]bool{}
	for _, waiter := range present {
		for _, name := range waiter.names {
			names[name] = true
		}
	}
	seen, err := w.read(ctx, slices.Sorted(maps.Keys(names)))
	late := w.settle(present, seen, err)
	if !again || len(late) == 0 {
		return late // most projections are there by the second look
	}
	for name := range late {
		s := seen[name]
		backlogs[name] = w.backlog(ctx, s.Position, backlogs[name])
		s.waiting = backlogs[name].since
		seen[name] = s
	}
	return w.settle(present, seen, nil)
}

// settle tells all who are present what was seen, lets go who need not wait any longer, and
// returns the lowest position that the others wait for of each projection.
func (w *watcher) settle(present []*waiter, seen map[string]sighting, err error) map[string]eventsourced.Position {
	late := map[string]eventsourced.Position{}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, waiter := range present {
		if _, waits := w.waiting[waiter]; !waits {
			continue
		}
		if waiter.err = err; err != nil {
			continue
		}
		inVain := false
		waiter.reached = true
		waiter.last = make([]ProjectionProgress, 0, len(waiter.names))
		var missing []string
		for _, name := range waiter.names {
			s := seen[name]
			state, prospect := w.judge(s, waiter.target)
			waiter.last = append(waiter.last, ProjectionProgress{Name: name, Position: s.Position, Target: waiter.target, State: state})
			waiter.reached = waiter.reached && prospect == reached
			inVain = inVain || prospect == unlikely
			if prospect == coming {
				missing = append(missing, name)
			}
		}
		if waiter.reached || inVain {
			close(waiter.done)
			w.remove(waiter)
			continue
		}
		for _, name := range missing {
			if target, known := late[name]; !known || waiter.target < target {
				late[name] = waiter.target
			}
		}
	}
	return late
}
