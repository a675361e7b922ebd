package readview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// page is a part of the log as one projection sees it: all events that it handles
// with a position above after and up to upTo. It is read once and never changed.
// What follows meanwhile is about its being applied.
type page struct {
	after, upTo eventsourced.Position
	generation  int64
	projection  string
	items       []item
	meanwhile   func() // called when the page's transaction is under way; may be nil

	calls   calls
	hurry   atomic.Bool                 // it should end with the event that is being applied
	exited  atomic.Int64                // 1 more than the index of the item whose handler has ended its goroutine
	tx      atomic.Pointer[pipeline.Tx] // the last one
	slowest time.Duration               // of the transaction's handlers
	slow    int                         // the index of its item
	given   chan struct{}               // closed when the page is given up
	giveUp  func()
}

// position is where the projection is when the items before end are applied.
func (pg *page) position(end int) eventsourced.Position {
	if end == len(pg.items) {
		return pg.upTo
	}
	return pg.items[end-1].recorded.Position
}

// recorded is the event of the item at from, nil if that is not below end.
func (pg *page) recorded(from, end int) *eventsourced.Recorded {
	if from >= end {
		return nil
	}
	return &pg.items[from].recorded
}

// newPage returns an empty page after a checkpoint.
func newPage(projection string, after, upTo eventsourced.Position, generation int64) *page {
	pg := &page{projection: projection, after: after, upTo: upTo, generation: generation, given: make(chan struct{})}
	pg.calls.changed = make(chan struct{}, 1)
	pg.giveUp = sync.OnceFunc(func() {
		close(pg.given)
		if tx := pg.tx.Load(); tx != nil {
			go tx.Abandon() // it may have to wait for the handler
		}
	})
	return pg
}

// calls counts the calls of the handler for a page. An ack tells nothing of it: a
// middleware may ack before it calls the handler, or without.
type calls struct {
	mu             sync.Mutex
	started, ended int
	err            error         // of the last one
	changed        chan struct{} // of capacity 1: one has started or ended
}

func (c *calls) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started++
	nudge(c.changed)
}

func (c *calls) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended++
	c.err = err
	nudge(c.changed)
}

// outcome returns that of the last call, once none is under way.
func (c *calls) outcome() (called, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started > 0, c.started > 0 && c.started == c.ended, c.err
}

// attempt applies the page in a goroutine of its own, which a handler may end or hang up.
func (pg *page) attempt(ctx context.Context, apply func(context.Context, *page) error) error {
	pg.calls.start()
	result := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			if value := recover(); value != nil {
				err = &panicError{value, debug.Stack()}
			}
			result <- err
		}()
		err = apply(ctx, pg)
	}()
	var err error
	select {
	case err = <-result:
	case <-pg.given:
		err = errAbandoned
	}
	if i := pg.exited.Swap(0) - 1; errors.Is(err, errGoexit) && i >= 0 {
		err = &EventError{Projection: pg.projection, Event: pg.items[i].recorded, Err: err}
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", errLate, err)
	}
	pg.calls.end(err)
	return err
}

// item is one event of a page, decoded while the page before is applied.
type item struct {
	recorded eventsourced.Recorded
	event    eventsourced.Event
	err      error // of decoding; it counts when it is the event's turn
}

// readPage reads the page after a position. It is empty when there is nothing new
// for the projection; upTo then says how far that holds.
func (r *runner) readPage(ctx context.Context, at Checkpoint) (*page, error) {
	pg := newPage(r.Name, at.Position, at.Position, at.Generation)
	err := r.collect(ctx, pg, 0)
	if err != nil || len(pg.items) > 0 {
		return pg, err
	}
	// Nothing, so far. The head is read before the events are looked for once
	// more: an event that comes in between is above it.
	head, err := r.m.log.Head(ctx)
	switch {
	case err != nil || head == at.Position:
		return pg, err
	case head < at.Position:
		return nil, aheadError(r.Name, at.Position, head)
	}
	if err := r.collect(ctx, pg, head); err != nil {
		return pg, err
	}
	if len(pg.items) == 0 {
		pg.upTo = head
	}
	return pg, nil
}

// collect adds events to the page until it is full.
func (r *runner) collect(ctx context.Context, pg *page, upTo eventsourced.Position) error {
	query := eventsourced.LogQuery{After: pg.after, UpTo: upTo, Names: r.handled, Limit: min(r.pageLimit, int(r.pageCap.Load()))}
	bytes := 0
	pg.items = make([]item, 0, r.lastItems) // in a catch-up all pages have as many
	defer func() { r.lastItems = len(pg.items) }()
	for recorded, err := range r.m.log.ReadLog(ctx, query) {
		if err != nil {
			return err
		}
		event, err := r.decode(recorded)
		pg.items = append(pg.items, item{recorded: recorded, event: event, err: err})
		pg.upTo = recorded.Position
		if bytes += len(recorded.Payload); bytes >= r.m.config.PageBytes {
			break
		}
	}
	// What is asked for beyond the limit of bytes is read in vain: ask for about
	// as much as fits.
	if bytes >= r.m.config.PageBytes {
		r.pageLimit = len(pg.items) + 1
	} else {
		r.pageLimit = min(r.m.config.PageEvents, r.pageLimit*2)
	}
	return nil
}

// decode survives upcasters and UnmarshalJSON methods that panic.
func (r *runner) decode(recorded eventsourced.Recorded) (event eventsourced.Event, err error) {
	defer recoverAs(&err)
	return r.registry.Decode(recorded)
}

func recoverAs(err *error) {
	if value := recover(); value != nil {
		*err = &panicError{value, debug.Stack()}
	}
}

type pageKey struct{}

// message returns a message that carries the page in its context. Its payload and
// metadata are for people and middlewares to look at.
func (pg *page) message(ctx context.Context, projection string) *message.Message {
	id := watermill.NewUUID()
	// With the id, as a Deduplicator knows messages by their payload: a page that is
	// offered again is no duplicate.
	payload, _ := json.Marshal(map[string]any{"after": pg.after, "events": len(pg.items), "page": id, "up_to": pg.upTo})
	msg := message.NewMessage(id, payload)
	msg.Metadata.Set("projection", projection)
	msg.Metadata.Set("position", fmt.Sprint(int64(pg.upTo)))
	msg.SetContext(context.WithValue(ctx, pageKey{}, pg))
	return msg
}

func pageOf(ctx context.Context) *page {
	pg, _ := ctx.Value(pageKey{}).(*page)
	return pg
}

// reading is a page that is read in a goroutine of its own.
type reading struct {
	begin  func() // the first time
	result chan struct{}
	page   *page
	err    error
	stop   context.CancelFunc
}

func (r *runner) readAhead(ctx context.Context, at Checkpoint) *reading {
	ctx, stop := context.WithCancel(ctx)
	next := &reading{result: make(chan struct{}), stop: stop}
	next.begin = sync.OnceFunc(func() {
		go func() {
			defer close(next.result)
			next.page, next.err = r.readPage(ctx, at)
		}()
	})
	return next
}

func (n *reading) await() (*page, error) {
	n.begin()
	<-n.result
	n.stop()
	return n.page, n.err
}

// cancel ends the reading and waits for its goroutine.
func (n *reading) cancel() {
	n.stop()
	n.begin()
	<-n.result
}
