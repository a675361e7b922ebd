package reactor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// windowEvents is how far, in events, a reactor that handles several at once gets ahead of the
// first one that is not done.
const windowEvents = 1000

// unit is what is handled in one go: all that the log has at one position.
type unit struct {
	parts  []eventsourced.Recorded // as stored, at least one
	parked *ParkedEvent            // set if it was put aside, and is tried again

	became  outcome // by who works on it, until it has ended
	outcome outcome // as the window has taken it in
	err     error
	tries   int
	since   time.Time // when the first one failed
	took    time.Duration
	marked  bool // that it is done is on record, by its own transaction
}

func (u *unit) event() *eventsourced.Recorded   { return &u.parts[0] }
func (u *unit) position() eventsourced.Position { return u.parts[0].Position }
func (u *unit) stream() eventsourced.Stream     { return u.parts[0].Stream }

// outcome is what became of a unit.
type outcome int

const (
	open    outcome = iota // it has not ended, or was left when the lease or the process ended
	done                   // handled
	aside                  // to be parked
	skipped                // not to be handled
	refused                // the reactor is to stop at it
	fenced                 // another node has it
)

// window is what a reactor has read and not yet put on record as done, for as long as it has
// the lease. Units of one stream run one after the other, others at the same time. All but the
// workers is of the follower's goroutine.
type window struct {
	r        *Reactor
	ctx      context.Context // of the lease
	slots    chan struct{}
	ended    chan *unit
	workers  sync.WaitGroup
	stopping chan struct{} // closed when waits are to end

	read    eventsourced.Position            // up to where units were made
	pending []*unit                          // those above the position, in the order of the log
	streams map[eventsourced.Stream][]*unit  // of pending, those that are open: the first one runs
	parked  map[eventsourced.Stream]struct{} // streams that wait for somebody
	aside   int64                            // events that are parked
	done    map[eventsourced.Position]bool   // above the position, from before this window
	onFile  bool                             // reactor_done may have rows
	again   map[eventsourced.Position]*unit  // parked ones that run
	unsaved []*unit                          // that have ended
}

// begin makes the window of a lease.
func (r *Reactor) begin(ctx context.Context) (end func(), err error) {
	w := &window{
		r:        r,
		ctx:      ctx,
		slots:    make(chan struct{}, r.config.Concurrency),
		ended:    make(chan *unit, windowEvents+duePage+1),
		stopping: make(chan struct{}),
		streams:  map[eventsourced.Stream][]*unit{},
		parked:   map[eventsourced.Stream]struct{}{},
		done:     map[eventsourced.Position]bool{},
		again:    map[eventsourced.Position]*unit{},
	}
	if err := w.load(ctx); err != nil {
		return nil, err
	}
	r.window = w
	return func() {
		w.end()
		r.window = nil
	}, nil
}

// limit is how many units may be pending.
func (w *window) limit() int {
	if w.r.config.Concurrency == 1 {
		return 1 // in the order of the log, whatever their streams
	}
	return windowEvents
}

// handle takes events in, and returns when there is room for more.
func (r *Reactor) handle(ctx context.Context, events []eventsourced.Recorded) error {
	w := r.window
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].Position == events[0].Position {
			n++
		}
		w.take(&unit{parts: events[:n:n]})
		events = events[n:]
		if err := w.settle(ctx); err != nil {
			return err
		}
		for len(w.pending) >= w.limit() {
			if err := w.await(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// take makes a unit one of the window's.
func (w *window) take(u *unit) {
	w.read = u.position()
	w.pending = append(w.pending, u)
	_, parked := w.parked[u.stream()]
	switch queue := w.streams[u.stream()]; {
	case w.done[u.position()]:
		u.became, u.marked = done, true
		w.ended <- u
	case parked:
		u.became = aside
		w.ended <- u
	default:
		w.streams[u.stream()] = append(queue, u)
		if len(queue) == 0 {
			w.start(u)
		}
	}
}

func (w *window) start(u *unit) {
	w.workers.Go(func() {
		w.work(u)
		w.ended <- u
		if w.r.config.Concurrency > 1 || u.parked != nil {
			w.r.follower.Nudge()
		}
	})
}

// await waits for a unit to end, and puts on record what has.
func (w *window) await(ctx context.Context) error {
	select {
	case u := <-w.ended:
		return w.settle(ctx, u)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle puts on record what has ended. What follows in its stream begins.
func (w *window) settle(ctx context.Context, ended ...*unit) error {
	for more := true; more; {
		select {
		case u := <-w.ended:
			ended = append(ended, u)
		default:
			more = false
		}
	}
	var stopsAt *unit
	lost := false
	for len(ended) > 0 {
		u := ended[0]
		ended = ended[1:]
		u.outcome = u.became
		w.r.forget(u)
		w.mayPark(ctx, u)
		switch {
		case u.outcome.closed():
			w.unsaved = append(w.unsaved, u)
			ended = append(ended, w.next(u)...)
		case u.outcome == refused && stopsAt == nil:
			stopsAt = u
		case u.parked != nil: // it was left, and is due
			delete(w.again, u.position())
		}
		lost = lost || u.outcome == fenced
	}
	if lost {
		return consumer.ErrLeaseLost
	}
	if err := w.save(ctx); err != nil || stopsAt == nil {
		return err
	}
	return w.stop(ctx, stopsAt)
}

// next begins what follows a unit in its stream. With one that is parked they have ended, too.
func (w *window) next(u *unit) (ended []*unit) {
	queue, stream := w.streams[u.stream()], u.stream()
	if u.parked != nil {
		return nil
	}
	if u.outcome == aside {
		w.parked[stream] = struct{}{}
	}
	if len(queue) == 0 || queue[0] != u {
		return nil // it did not run
	}
	queue = queue[1:]
	switch {
	case u.outcome == aside:
		for _, behind := range queue {
			behind.became = aside
		}
		ended, queue = queue, nil
	case len(queue) > 0:
		w.start(queue[0])
	}
	if len(queue) == 0 {
		delete(w.streams, stream)
	} else {
		w.streams[stream] = queue
	}
	return ended
}

// mayPark turns a unit that would be one parked too many into one at which the reactor stops.
func (w *window) mayPark(ctx context.Context, u *unit) {
	most := int64(w.r.config.MaxParked)
	if u.outcome != aside || u.parked != nil {
		return
	}
	if w.aside >= most { // some may be gone meanwhile
		if n, err := w.r.parking.count(ctx); err == nil {
			w.aside = n
			for _, u := range w.unsaved {
				if u.outcome == aside && u.parked == nil {
					w.aside++
				}
			}
		}
	}
	if w.aside >= most {
		cause := u.err
		if cause == nil {
			cause = errBehind(u.stream())
		}
		u.outcome, u.err = refused, tooManyError(most, cause)
		return
	}
	w.aside++
}

// drain waits until nothing runs any more, and returns what has ended.
func (w *window) drain() (ended []*unit) {
	close(w.stopping)
	w.workers.Wait()
	for {
		select {
		case u := <-w.ended:
			u.outcome = u.became
			ended = append(ended, u)
		default:
			return ended
		}
	}
}

// stop stops the reactor at a unit. What has ended stays done, all else is read again when
// it goes on.
func (w *window) stop(ctx context.Context, at *unit) error {
	for _, u := range w.drain() {
		w.r.forget(u)
		if u.outcome == done || u.outcome == skipped {
			w.unsaved = append(w.unsaved, u)
		} else {
			u.outcome = open
		}
	}
	if err := w.save(ctx); err != nil {
		return err
	}
	for _, u := range w.pending {
		if u.outcome.closed() {
			w.done[u.position()] = true
		}
	}
	w.read, w.pending, w.stopping = w.r.follower.Position(), nil, make(chan struct{})
	clear(w.streams)
	clear(w.again)
	event := *at.event()
	w.r.logger(&event).ErrorContext(ctx, "reactor stopped at an event; fix the cause, then resume or restart", "error", at.err)
	w.r.follower.Show(consumer.PartEvents, at.failure())
	if err := w.r.follower.Stop(ctx, event, at.err); err != nil {
		return &consumer.WorkError{Event: event, Err: errors.Join(at.err, err)} // it is tried again
	}
	return consumer.ErrStopped
}

// end waits for what runs when the lease ends, and puts it on record.
func (w *window) end() {
	ended := w.drain()
	for _, u := range ended {
		w.r.forget(u)
	}
	if errors.Is(context.Cause(w.ctx), consumer.ErrLeaseLost) {
		return
	}
	slices.SortFunc(ended, func(a, b *unit) int { return cmp.Compare(a.position(), b.position()) })
	for _, u := range ended {
		if w.mayPark(w.ctx, u); u.outcome.closed() {
			w.unsaved = append(w.unsaved, u)
		}
	}
	if err := w.save(w.ctx); err != nil {
		w.r.follower.Logger().WarnContext(w.ctx, "what was handled is not on record, and is handled again", "error", err)
	}
}

// skip implements [consumer.Work]: there are no events of the reactor's up to to.
func (w *window) skip(ctx context.Context, to eventsourced.Position) error {
	w.read = to
	return w.save(ctx)
}

// between implements [consumer.Work]: it puts on record what has ended, and tries parked
// events again.
func (r *Reactor) between(ctx context.Context) error {
	w := r.window
	if err := w.settle(ctx); err != nil {
		return err
	}
	if len(w.parked) == 0 {
		return nil
	}
	return w.retryParked(ctx)
}
