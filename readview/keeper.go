package readview

import (
	"context"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// moveInterval is the longest pause between two moves of the positions of projections for which nothing comes, while the
// log grows: they double up to it. It is what one who waits for others' events has to wait at most.
const moveInterval = 50 * time.Millisecond

// keeper keeps the leases of all projections that this node applies from the log, looks at those of
// the projections for which it stands by, and moves the positions of those for which nothing comes:
// each by one statement for all of them. It runs while a source does.
//
// A projection that does nothing has its lease renewed; one that hangs has not, see [logSource.responds]. That
// a lease is lost is no more than a reason to look: pages are safe without it.
type keeper struct {
	m     *Manager
	news  chan struct{} // a nudge: somebody waits for a turn
	moves chan struct{} // likewise: there are positions to move

	asking sync.Mutex // held while leases are renewed: afterwards, who has left is not among them

	mu      sync.Mutex
	held    map[*logSource]int64 // the generation
	waiting map[*logSource]*turn
}

// turn is the wait of a projection for another node's lease to end.
type turn struct {
	generation int64
	until      time.Time
	come       chan struct{} // closed when it has
}

func newKeeper(m *Manager) *keeper {
	return &keeper{m: m, news: make(chan struct{}, 1), moves: make(chan struct{}, 1), held: map[*logSource]int64{}, waiting: map[*logSource]*turn{}}
}

// hold has the lease of a projection renewed, which this node has in a generation of it, until drop.
func (k *keeper) hold(s *logSource, generation int64) {
	s.lost.Store(false)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[s] = generation
}

// drop waits for a renewal that is under way: it does not come after what the caller does next.
func (k *keeper) drop(s *logSource) {
	k.asking.Lock()
	defer k.asking.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, s)
}

// await waits until another node's lease ends or something else about the projection changes, for as long as it takes.
func (k *keeper) await(ctx context.Context, s *logSource, generation int64, left time.Duration) {
	me := &turn{generation: generation, until: time.Now().Add(left), come: make(chan struct{})}
	k.mu.Lock()
	k.waiting[s] = me
	k.mu.Unlock()
	nudge(k.news)
	select {
	case <-me.come:
	case <-s.nudges:
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.waiting, s)
}

// holds tells whether this node has the lease of a projection, as far as it knows.
func (k *keeper) holds(s *logSource) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, held := k.held[s]
	return held
}

func (k *keeper) run(ctx context.Context) {
	renewal := time.NewTicker(k.m.config.LeaseTime() / 4)
	defer renewal.Stop()
	turns, moves := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer turns.Stop()
	defer moves.Stop()
	var (
		moved time.Time
		pause time.Duration
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-renewal.C:
			k.renew(ctx)
		case <-k.moves:
			moves.Reset(time.Until(moved.Add(pause)))
		case <-moves.C:
			if pause = min(max(2*pause, firstPause), moveInterval); time.Since(moved) > 2*moveInterval {
				pause = 0
			}
			k.move(ctx)
			moved = time.Now()
		case <-turns.C:
			k.look(ctx)
		case <-k.news:
		}
		turns.Reset(k.untilNext())
	}
}

// untilNext is how long until the first turn may come.
func (k *keeper) untilNext() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	first := time.Now().Add(time.Hour)
	for _, t := range k.waiting {
		if t.until.Before(first) {
			first = t.until
		}
	}
	return max(time.Until(first), time.Millisecond)
}

// renew renews the leases that are held, of projections that are not stuck.
func (k *keeper) renew(ctx context.Context) {
	k.asking.Lock()
	defer k.asking.Unlock()
	var asked []leaseRequest
	sources := map[string]*logSource{}
	k.mu.Lock()
	for s, generation := range k.held {
		if s.responds() {
			asked = append(asked, leaseRequest{s.Name, generation, s.meter.now()})
			sources[s.Name] = s
		}
	}
	k.mu.Unlock()
	if len(asked) == 0 {
		return
	}
	seats := k.m.tail.all()
	answers, err := k.m.states.renew(ctx, k.m.node, k.m.config.LeaseTime(), asked)
	if err != nil {
		k.m.tail.fail(err) // the others find out by themselves
		return
	}
	for name, s := range sources {
		a, there := answers[name]
		seat, idle := seats[s]
		switch {
		case !there || !a.held && !a.locked: // another node's, reset, paused
			s.lost.Store(true)
			k.m.tail.wakeLost(s)
		case a.held && idle && a.position != seat.at: // set by hand, or by another node
			k.m.tail.wake(seat, errStale)
		case a.recorded: // by whoever: what succeeds next forgets it
			s.failed.Store(true)
			k.m.tail.wake(seat, nil)
		}
	}
}

// look asks how the projections are whose turn may have come.
func (k *keeper) look(ctx context.Context) {
	var names []string
	k.mu.Lock()
	for _, t := range k.waiting {
		if time.Until(t.until) <= 0 {
			for s := range k.waiting { // all of them: it is one statement in any case
				names = append(names, s.Name)
			}
			break
		}
	}
	k.mu.Unlock()
	if len(names) == 0 {
		return
	}
	turns, err := k.m.states.turns(ctx, names)
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for s, t := range k.waiting {
		stored, there := turns[s.Name]
		if err == nil && there && stored.running && stored.leaseValid && stored.generation == t.generation {
			t.until = now.Add(min(max(stored.leaseLeft, time.Millisecond), k.m.config.PollInterval))
			continue
		}
		delete(k.waiting, s)
		close(t.come)
	}
}

// move moves the positions of projections that have nothing to apply, in one transaction. A position whose
// lock somebody has is left for the next time.
func (k *keeper) move(ctx context.Context) {
	moves := k.m.tail.moves()
	if len(moves) == 0 {
		return
	}
	if k.m.states.positions != nil { // it has no call for several
		for _, move := range moves {
			k.m.tail.wake(glance{source: move.source, seat: move.seat, at: move.from}, nil)
		}
		return
	}
	began := time.Now()
	moved, err := k.m.states.move(ctx, moves)
	if err != nil {
		k.m.tail.fail(err)
		return
	}
	for _, move := range moves {
		if moved[move.source.Name] {
			k.m.tail.moved(move)
			move.source.announce(move.to, began)
		}
	}
}

// move is that of a position over events that are none of the projection's.
type move struct {
	source     *logSource
	seat       *seat
	generation int64
	from, to   eventsourced.Position
}
