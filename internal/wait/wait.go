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
