package pgstore

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Observer is told of appends: metrics hang on it. Its methods are called by the goroutines that
// append, concurrently, and hold them up until they return. Embed [NoObserver]: so a program
// compiles when there is more to be told.
type Observer interface {
	// Appended is called after each transaction that appends, also one that has failed, and after
	// each [Store.AppendTx]. A try that is repeated, as its connection was lost, is told of for itself.
	Appended(ctx context.Context, stats AppendStats)

	// LockAwaited is called when a transaction that appends has waited for the log's lock for a second, with
	// when the wait began and for whom. What it returns, if not nil, is called when the wait is over.
	// Neither is in the way of an append, but the wait's end.
	LockAwaited(ctx context.Context, began time.Time, holder LockHolder) (ended func())
}

// AppendStats is what [Observer].Appended is told.
type AppendStats struct {
	Appends   int           // that went together, of one process
	Events    int           // of those that were appended
	Conflicts int           // how many of the appends found their stream not as expected
	Queued    time.Duration // how long the first of them waited in this process, for those before it
	LockWait  time.Duration // how long the server waited for the log's lock, also when that was in vain
	Took      time.Duration // in all, without Queued
	Err       error         // why nothing was decided, nil if it was
}

// NoObserver is an [Observer] that does nothing.
type NoObserver struct{}

// Appended implements [Observer].
func (NoObserver) Appended(context.Context, AppendStats) {}

// LockAwaited implements [Observer].
func (NoObserver) LockAwaited(context.Context, time.Time, LockHolder) func() { return nil }

// observe tells of an exchange that began at some time.
func (s *Store) observe(ctx context.Context, x *exchange, began time.Time, err error, requests ...*request) {
	stats := AppendStats{Appends: len(requests), LockWait: x.lockWait, Took: time.Since(began), Err: err}
	if gaveUp := (*LockError)(nil); errors.As(err, &gaveUp) {
		stats.LockWait = gaveUp.Waited
	}
	for _, r := range requests {
		if !r.since.IsZero() {
			stats.Queued = max(stats.Queued, began.Sub(r.since))
		}
		switch {
		case err != nil:
		case r.err == nil:
			stats.Events += len(r.events)
		case errors.Is(r.err, eventsourced.ErrConflict):
			stats.Conflicts++
		}
	}
	s.totals.Lock()
	s.totals.add(stats)
	if stats.Err != nil && !errors.Is(stats.Err, context.Canceled) { // that is its caller's wish
		s.totals.failure, s.totals.failedAt = stats.Err, time.Now()
	}
	s.totals.Unlock()
	s.config.Observer.Appended(ctx, stats)
}

// seconds reads a double precision of seconds.
func seconds(value []byte) time.Duration {
	return time.Duration(math.Float64frombits(binary.BigEndian.Uint64(value)) * float64(time.Second))
}
