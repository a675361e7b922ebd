// Package wait has the framework's only sleep, back-off and recover.
package wait

import (
	"context"
	"time"
)

// Sleep waits for d and tells whether ctx is still alive.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// detachedTimeout is how long a call of [Detached] takes at most.
const detachedTimeout = 5 * time.Second

// Detached calls what outlives ctx, for five seconds at most: such as saving a position, as what is
// done counts, or giving a lease back.
func Detached(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachedTimeout)
	defer cancel()
	return call(ctx)
}
