package readview

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Pauses between two looks at a log in which there is nothing for the projections,
// while it grows: they double from the first to the last. So others' events cost
// little, and one of theirs after a quiet time is not kept waiting.
const (
	firstPause = time.Millisecond
	lastPause  = 25 * time.Millisecond
)

// tail looks at the end of the log for all projections of a manager that have come there: once for
// each wake-up, whatever their number, and hands each its events. It runs while a source does.
//
// A projection that has come to the end takes a seat. Where only events pass that are none of its own, what it has
// seen is above its position until the keeper has moved the positions of all seats together, soon. The seat's
// projection is given a page from its position, not from what it has seen, so that the comparison in the page's
// transaction proves what it always does.
type tail struct {
	m      *Manager
	joined chan struct{} // a nudge: look
	heard  atomic.Int64  // wake-ups

	mu      sync.Mutex
	seats   map[*logSource]*seat
	looking bool
}

// seat is a projection at the end of the log. Its fields but the first and the last are guarded by the tail's mutex.
type seat struct {
	names  []string
	at     checkpoint            // as stored
	seen   eventsourced.Position // at its position or above: no event of the names is between
	answer chan answer           // of capacity 1: it ends the wait
}

// answer is what a wait at the end of the log has led to: events, or only a reason to look again.
type answer struct {
	at     checkpoint
	seen   eventsourced.Position // with events: up to which they are all
	heard  int64                 // before the log was looked at
	events []eventsourced.Recorded
	more   bool // there may be more of them at once
	err    error
}

func newTail(m *Manager) *tail {
	return &tail{m: m, joined: make(chan struct{}, 1), seats: map[*logSource]*seat{}}
}

// wait waits at the end of the log, which a projection has come to after it had heard a number of wake-ups.
func (t *tail) wait(ctx context.Context, s *logSource, at checkpoint, heard int64) answer {
	me := &seat{names: s.handled, at: at, seen: at.Position, answer: make(chan answer, 1)}
	s.progress.at(atRest, nil)
	t.mu.Lock()
	t.seats[s] = me
	if t.looking { // and may hang
		s.progress.at(atLog, nil)
	}
	t.mu.Unlock()
	if heard != t.heard.Load() {
		nudge(t.joined)
	}
	if s.lost.Load() { // perhaps before there was a seat
		t.wakeLost(s)
	}
	err := errStale
	select {
	case a := <-me.answer:
		return a
	case <-s.nudges:
	case <-ctx.Done():
		err = ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.seats, s)
	return answer{at: me.at, seen: me.seen, err: err}
}

// leave ends the wait of a seat. The caller holds the mutex.
func (t *tail) leave(s *logSource, seat *seat, a answer) {
	delete(t.seats, s)
	a.at = seat.at
	if a.events == nil {
		a.seen = seat.seen
	}
	seat.answer <- a
}

// run looks at every wake-up, and at intervals, until ctx ends.
func (t *tail) run(ctx context.Context) {
	news := t.m.log.Listen(ctx)
	poll := time.NewTicker(t.m.config.PollInterval)
	defer poll.Stop()
	var (
		idle   time.Duration
		looked time.Time
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-news:
			t.heard.Add(1)
		case <-t.joined:
		case <-poll.C:
		}
		if ctx.Err() != nil || !wait.Sleep(ctx, time.Until(looked.Add(idle))) {
			return
		}
		select {
		case <-news: // meanwhile
			t.heard.Add(1)
		default:
		}
		looked = time.Now()
		switch found, asked := t.look(ctx); {
		case found:
			idle = 0
		case asked:
			idle = min(max(2*idle, firstPause), lastPause)
		}
	}
}

// look reads what has come for the seats, and tells whether there was anything, and whether there is any seat.
func (t *tail) look(ctx context.Context) (found, asked bool) {
	before := t.begin()
	if len(before) == 0 {
		return false, false
	}
	found = t.end(before, t.read(ctx, before))
	return found, true
}

// sight is what a look has found above what all seats had seen: the events up to a position, of the names of them all.
type sight struct {
	heard  int64 // wake-ups, before
	events []eventsourced.Recorded
	upTo   eventsourced.Position
	whole  bool // upTo is the end of the log, which has gone back if it is below what a seat had seen
	more   bool // there may be more events at once
	err    error
}

func (t *tail) read(ctx context.Context, seats []glance) (found sight) {
	found.heard = t.heard.Load()
	query := eventsourced.LogQuery{After: seats[0].seen, Limit: t.m.config.PageEvents}
	for _, g := range seats {
		query.After = min(query.After, g.seen)
		query.Names = append(query.Names, g.seat.names...)
	}
	slices.Sort(query.Names)
	query.Names = slices.Compact(query.Names)
	if found.events, found.more, found.err = t.collect(ctx, query); found.err != nil || len(found.events) > 0 {
		return found.upToLast()
	}
	// Nothing, so far. The head is read before the events are looked for once
	// more: an event that comes in between is above it.
	head, err := t.m.log.Head(ctx)
	if found.err = err; err != nil || head <= query.After {
		found.upTo, found.whole = head, true
		return found
	}
	query.UpTo = head
	if found.events, found.more, found.err = t.collect(ctx, query); found.err != nil || found.more {
		return found.upToLast()
	}
	found.upTo, found.whole = head, true
	return found
}

func (s sight) upToLast() sight {
	if n := len(s.events); n > 0 {
		s.upTo = s.events[n-1].Position
	}
	return s
}

func (t *tail) collect(ctx context.Context, query eventsourced.LogQuery) (events []eventsourced.Recorded, full bool, err error) {
	bytes := 0
	for event, err := range t.m.log.ReadLog(ctx, query) {
		if err != nil {
			return nil, false, err
		}
		events = append(events, event)
		if bytes += len(event.Payload); bytes >= t.m.config.PageBytes {
			return events, true, nil
		}
	}
	return events, len(events) >= query.Limit, nil
}

// glance is a seat as it was before a look. What is above what it has seen then, it is given.
type glance struct {
	source *logSource
	seat   *seat
	seen   eventsourced.Position
	at     eventsourced.Position // its position
}

// begin begins a look. A projection that waits for it is at the log, for those who watch it.
func (t *tail) begin() (all []glance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looking = true
	for s, seat := range t.seats {
		all = append(all, glance{s, seat, seat.seen, seat.at.Position})
		s.progress.at(atLog, nil)
	}
	return all
}

// end hands out what was found.
func (t *tail) end(before []glance, found sight) (any bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looking = false
	lags := false
	for _, g := range before {
		if t.seats[g.source] != g.seat {
			continue
		}
		a := answer{seen: found.upTo, heard: found.heard, more: found.more, err: found.err}
		if a.err == nil && found.whole && found.upTo < g.seen {
			a.err = errStale // it looks at its state, and says so
		}
		for _, event := range found.events {
			if a.err == nil && event.Position > g.seen && slices.Contains(g.seat.names, event.Name) {
				a.events = append(a.events, event)
			}
		}
		if a.err != nil || a.events != nil {
			any = any || a.err == nil
			t.leave(g.source, g.seat, a)
			continue
		}
		g.seat.seen = max(g.seat.seen, found.upTo)
		lags = lags || g.seat.seen > g.seat.at.Position
	}
	for s := range t.seats { // those that came meanwhile as well
		s.progress.at(atRest, nil)
	}
	if lags {
		nudge(t.m.keeper.moves)
	}
	if found.more {
		nudge(t.joined)
	}
	return any
}

// all returns the seats.
func (t *tail) all() map[*logSource]glance {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[*logSource]glance, len(t.seats))
	for s, seat := range t.seats {
		all[s] = glance{s, seat, seat.seen, seat.at.Position}
	}
	return all
}

// moves returns the seats that have seen more than their position says.
func (t *tail) moves() (all []move) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, seat := range t.seats {
		if seat.seen > seat.at.Position {
			all = append(all, move{s, seat, seat.at.Generation, seat.at.Position, seat.seen})
		}
	}
	return all
}

// moved is called when a position was moved.
func (t *tail) moved(m move) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.seat == t.seats[m.source] {
		m.seat.at.Position = m.to
	}
}

// wake ends the wait of a seat that is as it was.
func (t *tail) wake(g glance, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g.seat != nil && t.seats[g.source] == g.seat && g.seat.at.Position == g.at {
		t.leave(g.source, g.seat, answer{err: err})
	}
}

// wakeLost has a projection look at its state.
func (t *tail) wakeLost(s *logSource) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seat := t.seats[s]; seat != nil {
		t.leave(s, seat, answer{err: errStale})
	}
}

// fail ends the waits of all with an error that each puts on record.
func (t *tail) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, seat := range t.seats {
		t.leave(s, seat, answer{err: err})
	}
}
