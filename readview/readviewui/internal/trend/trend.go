// Package trend keeps what was measured in the last minutes, in a few steps of time for each of a
// bounded number of things, in memory: for curves that a person glances at.
package trend

import (
	"sync"
	"time"
)

// Trend keeps values of type V for things of type K. It is safe for concurrent use.
type Trend[K comparable, V any] struct {
	step   time.Duration
	steps  int
	most   int
	merge  func(V, V) V
	mu     sync.Mutex
	series map[K]*series[V]
}

// series is a ring of steps.
type series[V any] struct {
	last   int64 // the number of the newest step since 1970
	values []*V  // of step n at n modulo their number; nil for one without
}

// New returns a trend of that many steps of time for at most that many things. What comes in one
// step is merged, the earlier value first.
func New[K comparable, V any](step time.Duration, steps, things int, merge func(V, V) V) *Trend[K, V] {
	return &Trend[K, V]{step: step, steps: steps, most: things, merge: merge, series: map[K]*series[V]{}}
}

// Add notes a value at a time. A thing more than there is room for takes the place of one of which
// nothing has come for as long as the trend goes back, or else is not kept. What is older than the
// trend is not kept either.
func (t *Trend[K, V]) Add(at time.Time, thing K, value V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.number(at)
	s := t.series[thing]
	if s == nil {
		if len(t.series) >= t.most && !t.forget(n) {
			return
		}
		s = &series[V]{last: n, values: make([]*V, t.steps)}
		t.series[thing] = s
	}
	if n <= s.last-int64(t.steps) {
		return
	}
	for ; s.last < n; s.last++ {
		if n-s.last > int64(t.steps) {
			s.last = n - int64(t.steps)
		}
		s.values[(s.last+1)%int64(t.steps)] = nil
	}
	place := &s.values[n%int64(t.steps)]
	if *place != nil {
		value = t.merge(**place, value)
	}
	*place = &value
}

// forget removes what has no value in the steps up to n.
func (t *Trend[K, V]) forget(n int64) (found bool) {
	for thing, s := range t.series {
		if s.last <= n-int64(t.steps) {
			delete(t.series, thing)
			found = true
		}
	}
	return found
}

// Of returns the values of a thing in the steps up to a time, the oldest first: always as many as
// there are steps, nil for those without one.
func (t *Trend[K, V]) Of(thing K, at time.Time) []*V {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*V, t.steps)
	s := t.series[thing]
	if s == nil {
		return all
	}
	n := t.number(at)
	for i := range all {
		if k := n - int64(t.steps-1-i); k <= s.last && k > s.last-int64(t.steps) {
			if v := s.values[k%int64(t.steps)]; v != nil {
				copied := *v
				all[i] = &copied
			}
		}
	}
	return all
}

func (t *Trend[K, V]) number(at time.Time) int64 { return at.UnixNano() / int64(t.step) }
