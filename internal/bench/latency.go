package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// prepareLatency measures from the call of an append to the return of WaitFor, at
// a steady 200 events a second, in units of a plain commit.
func prepareLatency(quantile float64) func(context.Context, *environment) ([]contender, error) {
	return func(ctx context.Context, e *environment) ([]contender, error) {
		if _, err := e.pool.Exec(ctx, `CREATE TABLE plain (n BIGINT)`); err != nil {
			return nil, err
		}
		return []contender{
			{ours, func(ctx context.Context) (float64, error) { return e.visible(ctx, quantile) }},
			{plainCommit, func(ctx context.Context) (float64, error) {
				return atSteadyPace(ctx, 0.50, func(n int) error {
					_, err := e.pool.Exec(ctx, `INSERT INTO plain VALUES ($1)`, n)
					return err
				})
			}},
		}, nil
	}
}

func (e *environment) visible(ctx context.Context, quantile float64) (value float64, err error) {
	if _, err := e.pool.Exec(ctx, `TRUNCATE events`); err != nil {
		return 0, err
	}
	if err := e.clear(ctx, 0); err != nil {
		return 0, err
	}
	err = withManager(ctx, e.pool, e.store, []readview.Projection{balances}, func(manager *readview.Manager) (err error) {
		value, err = atSteadyPace(ctx, quantile, func(n int) error {
			position, err := e.deposit(ctx, fmt.Sprint("account-", n))
			if err == nil {
				err = manager.WaitFor(ctx, position)
			}
			return err
		})
		return err
	})
	return value, err
}

func (e *environment) deposit(ctx context.Context, account string) (eventsourced.Position, error) {
	events, err := e.store.Registry().Encode(ctx, &Deposited{Amount: 1})
	if err != nil {
		return 0, err
	}
	return e.store.Append(ctx, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: account}, eventsourced.NoStream, events)
}

// atSteadyPace does work 200 times a second, 600 times, and returns a quantile of
// the time that it takes, in milliseconds. The first hundred don't count.
func atSteadyPace(ctx context.Context, quantile float64, work func(n int) error) (float64, error) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		times  []float64
		failed error
	)
	for n := range 600 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		group.Go(func() {
			started := time.Now()
			err := work(n)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			if n >= 100 {
				times = append(times, float64(time.Since(started).Microseconds())/1000)
			}
		})
	}
	group.Wait()
	if failed != nil {
		return 0, failed
	}
	slices.Sort(times)
	return times[int(quantile*float64(len(times)-1))], nil
}
