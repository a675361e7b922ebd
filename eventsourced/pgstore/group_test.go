package pgstore

// In the package itself: the coalescer has no database, and what it does about
// size and pressure does not show from outside.

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// gate is a server that answers when it is told to.
type gate struct {
	mu      sync.Mutex
	groups  [][]*request
	arrived chan []*request
	answer  chan error
}

func newGate() *gate {
	return &gate{arrived: make(chan []*request), answer: make(chan error)}
}

func (g *gate) send(_ context.Context, requests ...*request) error {
	g.mu.Lock()
	g.groups = append(g.groups, requests)
	g.mu.Unlock()
	g.arrived <- requests
	return <-g.answer
}

func newRequest(stream string, events int) *request {
	return &request{stream: eventsourced.Stream{AggregateName: "n", AggregateID: stream}, events: make([]eventsourced.EventData, events)}
}

// occupy sends as many appends as can be under way, so that the next one waits.
func (g *gate) occupy(t *testing.T, c *coalescer, group *sync.WaitGroup) {
	t.Helper()
	for i := range maxAlone {
		group.Go(func() { _ = c.append(t.Context(), newRequest(fmt.Sprint("first-", i), 1)) })
		require.Len(t, <-g.arrived, 1, "the first go alone and at once")
	}
}

// queue has an append wait, and returns when it does.
func (c *coalescer) queue(ctx context.Context, group *sync.WaitGroup, r *request) <-chan error {
	c.mu.Lock()
	before := len(c.waiting)
	c.mu.Unlock()
	result := make(chan error, 1)
	group.Go(func() { result <- c.append(ctx, r) })
	for {
		c.mu.Lock()
		waiting := len(c.waiting)
		c.mu.Unlock()
		if waiting > before {
			return result
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	t.Run("have one append of a stream", func(t *testing.T) {
		t.Parallel()
		g := newGate()
		c := newCoalescer(g.send)
		var group sync.WaitGroup
		g.occupy(t, c, &group)
		for _, s := range []string{"a", "b", "a", "a", "c"} {
			c.queue(t.Context(), &group, newRequest(s, 1))
		}
		g.answer <- nil
		<-g.arrived
		require.Equal(t, []string{"a", "b", "c"}, streamsOf(g.groups[maxAlone]))
		finish(g, &group, c)
		total := 0
		for _, requests := range g.groups {
			total += len(requests)
		}
		require.Equal(t, maxAlone+5, total)
	})
	t.Run("are bounded", func(t *testing.T) {
		t.Parallel()
		g := newGate()
		c := newCoalescer(g.send)
		var group sync.WaitGroup
		g.occupy(t, c, &group)
		for i := range maxGroupRequests + 10 {
			c.queue(t.Context(), &group, newRequest(fmt.Sprint(i), 1))
		}
		for i := range 5 {
			c.queue(t.Context(), &group, newRequest(fmt.Sprint("large-", i), eventsourced.MaxEvents))
		}
		finish(g, &group, c)
		for _, requests := range g.groups {
			events := 0
			for _, r := range requests {
				events += len(r.events)
			}
			require.LessOrEqual(t, len(requests), maxGroupRequests)
			require.LessOrEqual(t, events, maxGroupEvents)
		}
	})
	t.Run("lose a member that gives up while it waits", func(t *testing.T) {
		t.Parallel()
		g := newGate()
		c := newCoalescer(g.send)
		var group sync.WaitGroup
		g.occupy(t, c, &group)
		ctx, cancel := context.WithCancel(t.Context())
		gone := c.queue(ctx, &group, newRequest("gone", 1))
		stays := c.queue(t.Context(), &group, newRequest("stays", 1))
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		finish(g, &group, c)
		require.NoError(t, <-stays)
		for _, requests := range g.groups {
			require.NotContains(t, streamsOf(requests), "gone")
		}
	})
	t.Run("that fail are sent one by one", func(t *testing.T) {
		t.Parallel()
		bad := &pgconn.PgError{Code: "22P02"}
		var sizes []int
		c := newCoalescer(func(_ context.Context, requests ...*request) error {
			sizes = append(sizes, len(requests))
			for _, r := range requests {
				if r.stream.AggregateID == "bad" {
					return bad
				}
			}
			return nil
		})
		members := []*request{newRequest("a", 1), newRequest("bad", 1), newRequest("b", 1)}
		for _, r := range members {
			r.done = make(chan struct{})
		}
		c.waiting = members
		c.grouped = true
		c.run()
		require.NoError(t, members[0].failure)
		require.ErrorIs(t, members[1].failure, bad)
		require.NoError(t, members[2].failure)
		require.Equal(t, []int{3, 1, 1, 1}, sizes)
	})
	t.Run("that fail by nobody's fault fail at once, with those who wait for as long", func(t *testing.T) {
		t.Parallel()
		for _, code := range []string{"55P03", "57014", "53100", "42501", "40001"} {
			var sizes []int
			failure := &LockError{Err: &pgconn.PgError{Code: code}}
			c := newCoalescer(func(_ context.Context, requests ...*request) error {
				sizes = append(sizes, len(requests))
				return failure
			})
			members := []*request{newRequest("a", 1), newRequest("b", 1), newRequest("a", 1)}
			for _, r := range members {
				r.done = make(chan struct{})
			}
			c.waiting = members
			c.grouped = true
			c.run()
			for _, r := range members {
				require.ErrorIs(t, r.failure, ErrLockTimeout)
			}
			require.Equal(t, []int{2}, sizes, code)
		}
	})
	t.Run("stop to be sent one by one when something else is in the way", func(t *testing.T) {
		t.Parallel()
		var sizes []int
		failures := []error{&pgconn.PgError{Code: "23514"}, nil, &pgconn.PgError{Code: "57014"}}
		g := &group{requests: []*request{newRequest("a", 1), newRequest("b", 1), newRequest("c", 1)}, ctx: t.Context()}
		g.settle(failures[0], func(_ context.Context, requests ...*request) error {
			sizes = append(sizes, len(requests))
			return failures[len(sizes)]
		})
		require.NoError(t, g.requests[0].failure)
		require.Equal(t, failures[2], g.requests[1].failure)
		require.Equal(t, failures[2], g.requests[2].failure)
		require.Equal(t, []int{1, 1}, sizes)
	})
	t.Run("leave no more than so many waiting", func(t *testing.T) {
		t.Parallel()
		g := newGate()
		c := newCoalescer(g.send)
		var group sync.WaitGroup
		g.occupy(t, c, &group)
		for range maxWaiting {
			c.places <- struct{}{}
		}
		ctx, cancel := context.WithCancel(t.Context())
		refused := make(chan error, 1)
		group.Go(func() { refused <- c.append(ctx, newRequest("one too many", 1)) })
		cancel()
		require.ErrorIs(t, <-refused, context.Canceled, "it waits for a place")
		finish(g, &group, c)
	})
}

// finish answers until nothing is under way.
func finish(g *gate, group *sync.WaitGroup, c *coalescer) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		c.close()
		close(done)
	}()
	for {
		select {
		case g.answer <- nil:
		case <-g.arrived:
		case <-done:
			return
		}
	}
}

func streamsOf(requests []*request) (ids []string) {
	for _, r := range requests {
		ids = append(ids, r.stream.AggregateID)
	}
	return ids
}
