package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// How often something is tried again after its connection was lost, and how long
// that waits before, times the number of the attempt.
const (
	lostAttempts = 4
	lostBackOff  = 50 * time.Millisecond
)

// again does work that may be repeated, also when its outcome is unknown, until
// its connection is good. A pool may well hold several that are lost, that lead to a server
// which is a replica since a failover, or on which somebody deallocated all
// prepared statements.
func again(ctx context.Context, pool *pgxpool.Pool, work func() error) error {
	for attempt := 1; ; attempt++ {
		err := work()
		if pgerr.ReadOnly(err) {
			pool.Reset() // the pool would keep them, as they are alive
		} else if !pgerr.Lost(err) && !isForgotten(err) {
			return err
		}
		if attempt == lostAttempts || !wait.Sleep(ctx, time.Duration(attempt)*lostBackOff) {
			return err
		}
	}
}
