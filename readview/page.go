package readview

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
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
	decoded     []eventsourced.Decoded // of all items

	// Of the page after it, which begins when its transaction is under way; nil if there is none, and when the page is done: a page that is kept
	// somewhere, as by the context of a connection that is idle since, would keep all that come after it.
	next atomic.Pointer[reading]

	calls     calls
	hurry     atomic.Bool                 // it should end with the event that is being applied
	exited    atomic.Int64                // 1 more than the index of the item whose handler has ended its goroutine
	exitStack atomic.Pointer[string]      // where
	opening   atomic.Pointer[opening]     // the transaction that was begun for it, until somebody takes it
	tx        atomic.Pointer[pipeline.Tx] // the last one
	committed atomic.Pointer[time.Time]   // it was not before that moment
	cut       bool                        // it ends before its last item, as its time runs out
	slowest   time.Duration               // of the transaction's handlers
	slow      int                         // the index of its item
	given     chan struct{}               // closed when the page is given up
	giveUp    func()
}

// position is where the projection is when the items before end are applied.
func (p *page) position(end int) eventsourced.Position {
	if end == len(p.items) {
		return p.upTo
	}
	return p.items[end-1].recorded.Position
}

// recorded is the event of the item at from, nil if that is not below end.
func (p *page) recorded(from, end int) *eventsourced.Recorded {
	if from >= end {
		return nil
	}
	return &p.items[from].recorded
}

// causes are the metadata of the events of the items [from, to).
func (p *page) causes(from, to int) iter.Seq[eventsourced.Metadata] {
	return func(yield func(eventsourced.Metadata) bool) {
		for i := from; i < to; i++ {
			if !yield(p.items[i].recorded.Metadata) {
				return
			}
		}
	}
}

// committing returns a moment before its commit, the zero time when that was perhaps another process's.
func (p *page) committing() time.Time {
	if at := p.committed.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// newPage returns an empty page after a checkpoint.
func newPage(projection string, after, upTo eventsourced.Position, generation int64) *page {
	p := &page{projection: projection, after: after, upTo: upTo, generation: generation, given: make(chan struct{})}
	p.calls.changed = make(chan struct{}, 1)
	p.giveUp = sync.OnceFunc(func() {
		close(p.given)
		if tx := p.tx.Load(); tx != nil {
			go tx.Abandon() // it may have to wait for the handler
		}
	})
	return p
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
func (p *page) attempt(ctx context.Context, apply func(context.Context, *page) error) error {
	p.calls.start()
	result := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() { result <- err }()
		defer wait.Recover(&err)
		err = apply(ctx, p)
	}()
	var err error
	select {
	case err = <-result:
	case <-p.given:
		err = errAbandoned
	}
	if i := p.exited.Swap(0) - 1; errors.Is(err, errGoexit) && i >= 0 {
		err = &EventError{Projection: p.projection, Event: p.items[i].recorded, Err: err, Stack: *p.exitStack.Load()}
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", errLate, err)
	}
	p.calls.end(err)
	return err
}

// item is one event of a page, decoded while the page before is applied.
type item struct {
	recorded eventsourced.Recorded
	parts    []eventsourced.Decoded  // what it is today, mostly one; applied together or not at all
	joined   []eventsourced.Recorded // the other parts of what another context has split
	err      error                   // of decoding; it counts when it is the event's turn
}

// add appends a stored event. Its parts are in a slice that all of the page share, so that
// one event costs no allocation of its own.
func (p *page) add(ctx context.Context, a *applier, recorded eventsourced.Recorded) {
	p.items = append(p.items, item{recorded: recorded})
	it, before := &p.items[len(p.items)-1], len(p.decoded)
	var decoded []eventsourced.Decoded
	if decoded, it.err = a.decode(ctx, p.decoded, &it.recorded); it.err == nil {
		p.decoded = decoded
		it.parts = decoded[before:len(decoded):len(decoded)]
	}
}
