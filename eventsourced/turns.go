package eventsourced

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/internal/wait"
)

const (
	// maxAct is how long the others wait for a command that runs, as for one that waits for itself.
	maxAct = time.Second
	// A stream that is changed inARow times is left alone for rests times as long as it takes to read and change it:
	// those who wait in other processes, see [Repository.settle], have to read and would never be as fast.
	inARow, rests = 64, 5
	longestRest   = 100 * time.Millisecond
)

// turns lets those who change one stream in this process do so one after the other, in the order in which they
// came, each on what the one before has read and committed. That saves conflicts and reading, and decides
// nothing: the append's check does, as for those who take no turn.
type turns struct {
	limit int // of the bytes of tapes that are kept while nobody changes their streams

	mu      sync.Mutex
	streams map[string]*turn // by aggregate id: those that somebody changes, and the idle ones
	idle    list.List        // of those that nobody changes, the one changed last in front
	bytes   int              // of the tapes of the idle ones
}

// turn is where those stand who change one stream.
type turn struct {
	id    string
	taken chan struct{} // holds a token while somebody has the turn
	acts  atomic.Int64  // commands begun and ended: odd while one runs
	users int           // who have the turn or wait for it; of turns.mu, as idle
	idle  *list.Element

	// Of whoever has the turn.
	tape  *tape         // nil when the stream has to be read
	row   int           // appends since the last rest
	took  time.Duration // to read and change it, also in vain
	ended time.Time     // the last append
}

func newTurns(limit int) *turns { return &turns{limit: limit, streams: map[string]*turn{}} }

func (s *turns) enter(id string) *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.streams[id]
	if t == nil {
		t = &turn{id: id, taken: make(chan struct{}, 1)}
		s.streams[id] = t
	}
	if t.idle != nil {
		s.idle.Remove(t.idle)
		t.idle = nil
		s.bytes -= t.tape.bytes
	}
	t.users++
	return t
}

func (s *turns) leave(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.users--; t.users > 0 {
		return
	}
	if t.tape == nil || t.tape.bytes > s.limit {
		delete(s.streams, t.id)
		return
	}
	t.idle = s.idle.PushFront(t)
	s.bytes += t.tape.bytes
	for s.bytes > s.limit {
		oldest := s.idle.Remove(s.idle.Back()).(*turn)
		s.bytes -= oldest.tape.bytes
		delete(s.streams, oldest.id)
	}
}

// wanted tells whether somebody will look at the tape of a turn.
func (s *turns) wanted(t *turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.users > 1 || s.limit > 0
}

// wait returns true when it is the caller's turn, and false when he should go without: a command has been
// running for maxAct.
func (t *turn) wait(ctx context.Context) (bool, error) {
	select {
	case t.taken <- struct{}{}:
		return true, nil
	default:
	}
	ticker := time.NewTicker(maxAct)
	defer ticker.Stop()
	for seen := t.acts.Load(); ; {
		select {
		case t.taken <- struct{}{}: // in the order in which they came
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case <-ticker.C:
			now := t.acts.Load()
			if now == seen && now%2 == 1 {
				return false, nil
			}
			seen = now
		}
	}
}

// rest leaves the stream to others for a while when it is time.
func (t *turn) rest(ctx context.Context) error {
	pause := min(rests*t.took, longestRest) - time.Since(t.ended)
	switch {
	case pause <= 0:
		t.row = 0
	case t.row >= inARow:
		t.row, t.tape = 0, nil
		if !wait.Sleep(ctx, pause) {
			return ctx.Err()
		}
	}
	return nil
}

// run runs a command.
func (t *turn) run(act func() error) error {
	t.acts.Add(1)
	defer t.acts.Add(1)
	return act()
}

// maxTape is how many bytes of a stream are kept at most.
const maxTape = 4 << 20

// tape is what was read of a stream and appended to it since, as it is stored: each command gets an aggregate of
// its own from it, so that whatever it does to that is seen by nobody else.
type tape struct {
	snapshot *Snapshot // that it begins with, nil for none
	events   []Recorded
	most     int // events
	bytes    int // about
}

func newTape(most int) *tape { return &tape{most: most, bytes: 512} }

// begin sets the snapshot that the tape begins with, if there are both.
func (t *tape) begin(snapshot *Snapshot) {
	if t != nil && snapshot != nil {
		t.snapshot = snapshot
		t.bytes += len(snapshot.State)
	}
}

// add adds an event, if there is a tape. It returns true.
func (t *tape) add(event *Recorded) bool {
	if t.fits() {
		t.events = append(t.events, *event)
		t.bytes += 256 + len(event.Payload)
	}
	return true
}

// fits tells that there is a tape, and all events are on it.
func (t *tape) fits() bool { return t != nil && len(t.events) <= t.most && t.bytes <= maxTape }

// appended adds what was appended after a version; the last event has the position.
func (t *tape) appended(stream Stream, after Version, position Position, events []EventData) {
	for i, event := range events {
		event.Time = event.Time.UTC().Truncate(time.Microsecond)
		t.add(&Recorded{EventData: event, Stream: stream, Version: after + 1 + Version(i), Position: position})
	}
}
