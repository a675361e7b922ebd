package pgstore

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Limits of what is appended in one transaction, and of what may wait for it.
const (
	maxGroupRequests = 256
	maxGroupEvents   = 2 * eventsourced.MaxEvents
	maxGroupBytes    = 8 << 20
	maxWaiting       = 4096 // appends; more wait for a place
)

// maxAlone is how many appends are under way by themselves at most. While the
// server commits the first, the second is on its way and waits there for the lock.
const maxAlone = 2

// coalescer brings appends that are made at the same time into one transaction.
// Only one transaction at a time can hold the log's lock, so appends that went
// each by itself would wait in line for each other's commits.
//
// The first appends go at once, in their callers' goroutines and contexts, as if
// there were no coalescer. Those that arrive while they are under way wait, and go
// together in the next transaction, and so on until nobody waits. Each has its own
// outcome: under the lock it is decided for each whether its stream is as
// expected.
type coalescer struct {
	send   func(ctx context.Context, requests ...*request) error
	places chan struct{} // a place for each append that waits

	mu      sync.Mutex
	alone   int  // appends that are under way by themselves
	grouped bool // groups are under way, one after the other
	waiting []*request
	running sync.WaitGroup
}

func newCoalescer(send func(context.Context, ...*request) error) *coalescer {
	return &coalescer{send: send, places: make(chan struct{}, maxWaiting)}
}

// append appends a request. The error is that of the connection or the context;
// the outcome of a request that was decided is in it.
func (c *coalescer) append(ctx context.Context, r *request) error {
	c.mu.Lock()
	if !c.grouped && c.alone < maxAlone {
		c.alone++
		c.running.Add(1)
		c.mu.Unlock()
		defer c.running.Done()
		defer c.next()
		return c.send(ctx, r)
	}
	c.mu.Unlock()
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return c.wait(ctx, r)
}

// wait lets r go with a group.
func (c *coalescer) wait(ctx context.Context, r *request) error {
	r.done, r.since = make(chan struct{}), time.Now()
	c.mu.Lock()
	c.waiting = append(c.waiting, r)
	if c.alone == 0 { // what was under way has ended meanwhile
		c.startGroups()
	}
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.failure
	case <-ctx.Done():
		return c.leave(ctx, r)
	}
}

// leave takes r back if it still waits. If it is under way its outcome is open,
// and the last one to leave a group ends it.
func (c *coalescer) leave(ctx context.Context, r *request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.group == nil {
		for i, other := range c.waiting {
			if other == r {
				c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			}
		}
	} else if r.group.members--; r.group.members == 0 {
		r.group.cancel()
	}
	return ctx.Err()
}

// next ends an append that went by itself, and starts what has come meanwhile.
func (c *coalescer) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alone--
	c.startGroups()
}

// startGroups lets those who wait go, if nobody does already. The caller holds
// the lock.
func (c *coalescer) startGroups() {
	if !c.grouped && len(c.waiting) > 0 {
		c.grouped = true
		c.running.Go(c.run)
	}
}

// run appends group after group until nobody waits.
func (c *coalescer) run() {
	for {
		group := c.take()
		if group == nil {
			return
		}
		began := time.Now()
		err := c.send(group.ctx, group.requests...)
		group.settle(err, c.send)
		group.cancel()
		for _, r := range group.requests {
			close(r.done)
		}
		if errors.Is(err, ErrLockTimeout) {
			c.refuse(began, err)
		}
		// Let those that have just been answered come again before the next group is
		// formed: half the transactions for the same appends.
		for range 4 {
			runtime.Gosched()
		}
	}
}

// refuse hands the error of a group that waited too long for the lock on to those who have
// waited longer still: the next group would wait as long.
func (c *coalescer) refuse(began time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var later []*request
	for _, r := range c.waiting {
		if r.since.After(began) {
			later = append(later, r)
			continue
		}
		r.failure = err
		close(r.done)
	}
	c.waiting = later
}

// group is the requests of one transaction.
type group struct {
	requests []*request
	members  int // that wait for the outcome
	ctx      context.Context
	cancel   context.CancelFunc
}

// take forms a group of those that have waited longest, one of each stream: the
// next one of a stream needs to know what became of the one before it.
func (c *coalescer) take() *group {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.grouped = false
		return nil
	}
	g := &group{}
	streams := make(map[eventsourced.Stream]struct{}, min(len(c.waiting), maxGroupRequests))
	var later []*request
	events, bytes := 0, 0
	for i, r := range c.waiting {
		if len(g.requests) > 0 && (len(g.requests) == maxGroupRequests || events+len(r.events) > maxGroupEvents || bytes+r.bytes > maxGroupBytes) {
			later = append(later, c.waiting[i:]...)
			break
		}
		if _, taken := streams[r.stream]; taken {
			later = append(later, r)
			continue
		}
		streams[r.stream] = struct{}{}
		events, bytes = events+len(r.events), bytes+r.bytes
		g.requests = append(g.requests, r)
		r.group = g
	}
	c.waiting = later
	g.members = len(g.requests)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// settle hands an error of the whole group on. If it is one that a single request can cause,
// each is sent alone to see which, as long as nothing else is in the way.
func (g *group) settle(err error, send func(context.Context, ...*request) error) {
	alone := len(g.requests) > 1 && blamesOne(err)
	for _, r := range g.requests {
		r.failure = err
		if alone && g.ctx.Err() == nil {
			r.failure = send(g.ctx, r)
			if r.failure != nil && !blamesOne(r.failure) {
				alone, err = false, r.failure
			}
		}
	}
}

// close waits for what is under way.
func (c *coalescer) close() { c.running.Wait() }
