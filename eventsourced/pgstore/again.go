package pgstore

import (
	"context"
	"time"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// How often something is tried again after its connection was lost, and how long
// that waits before, times the number of the attempt.
const (
	lostAttempts = 4
	lostBackOff  = 50 * time.Millisecond
)

// again does work that may be repeated, also when its outcome is unknown, until
// its connection is not lost. A pool may well hold several that are.
func again(ctx context.Context, work func() error) error {
	for attempt := 1; ; attempt++ {
		err := work()
		if err == nil || !pgerr.Lost(err) || attempt == lostAttempts || !sleep(ctx, time.Duration(attempt)*lostBackOff) {
			return err
		}
	}
}

// sleep waits for d and tells whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
