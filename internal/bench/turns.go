package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// crowd is many writers on few aggregates.
type crowd struct {
	repositories []*eventsourced.Repository[account] // the writers' in turn
	aggregates   int
	rounds       int // each has aggregates of its own
}

const crowdWriters = 64

// prepareCrowd compares updates of 16 aggregates by 64 writers with those of 64 aggregates, one for each. A
// repository for each writer is what many processes are: nobody waits for another.
func prepareCrowd(value func(updates, conflicts float64) float64) func(ctx context.Context, e *environment) ([]contender, error) {
	return func(ctx context.Context, e *environment) ([]contender, error) {
		if err := e.fill(ctx, oldEvents, 1); err != nil {
			return nil, err
		}
		pool, err := e.newPool(ctx, crowdWriters)
		if err != nil {
			return nil, err
		}
		e.closers = append(e.closers, pool.Close)
		if err := connect(ctx, pool); err != nil {
			return nil, err
		}
		store := pgstore.New(pool, e.store.Registry(), pgstore.Config{})
		e.closers = append(e.closers, store.Close)
		repositories := func(n int) (all []*eventsourced.Repository[account]) {
			for range n {
				all = append(all, eventsourced.NewRepository[account](store, "bank.Account", eventsourced.RepositoryConfig{}))
			}
			return all
		}
		var contenders []contender
		for _, c := range []struct {
			name  string
			crowd crowd
		}{
			{ours, crowd{repositories(1), 16, 0}},
			{ownAggregates, crowd{repositories(1), crowdWriters, 0}},
			{"a repository each", crowd{repositories(crowdWriters), 16, 0}},
		} {
			contenders = append(contenders, contender{c.name, func(ctx context.Context) (float64, error) {
				updates, conflicts, err := c.crowd.work(ctx, c.name)
				return value(updates, conflicts), err
			}})
		}
		return contenders, nil
	}
}

// work has the writers deposit for a second. It returns their updates a second, and of all those that have given
// up in percent.
func (c *crowd) work(ctx context.Context, name string) (updates, conflicts float64, err error) {
	var (
		group      sync.WaitGroup
		done, lost atomic.Int64
		errs       = make(chan error, crowdWriters)
		started    = time.Now()
	)
	c.rounds++
	for w := range crowdWriters {
		repository, id := c.repositories[w%len(c.repositories)], fmt.Sprint(name, c.rounds, "-", w%c.aggregates)
		group.Go(func() {
			for time.Since(started) < time.Second {
				_, err := repository.Update(ctx, id, func(a *account) error { return eventsourced.Record(a, &Deposited{Amount: 1}) })
				switch {
				case errors.Is(err, eventsourced.ErrConflict):
					lost.Add(1)
				case err != nil:
					errs <- err
					return
				default:
					done.Add(1)
				}
			}
		})
	}
	group.Wait()
	close(errs)
	took := time.Since(started).Seconds()
	return float64(done.Load()) / took, 100 * float64(lost.Load()) / float64(done.Load()+lost.Load()), <-errs
}
