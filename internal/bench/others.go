package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// prepareSize compares the last 100,000 events of a large log with a log that has
// no others.
func prepareSize(ctx context.Context, e *environment) ([]contender, error) {
	small, err := newEnvironment(ctx, e.admin)
	if err != nil {
		return nil, err
	}
	const large = 3_000_000
	if err := e.fill(ctx, large, 1); err != nil {
		return nil, err
	}
	if err := small.fill(ctx, catchUpEvents, 1); err != nil {
		return nil, err
	}
	head, err := e.last(ctx)
	if err != nil {
		return nil, err
	}
	return []contender{
		{"the last 100,000 of them", func(ctx context.Context) (float64, error) {
			return e.project(ctx, head-catchUpEvents, catchUpEvents)
		}},
		{"log of 100,000", func(ctx context.Context) (float64, error) { return small.project(ctx, 0, catchUpEvents) }},
	}, nil
}

func prepareSparse(ctx context.Context, e *environment) ([]contender, error) {
	alone, err := newEnvironment(ctx, e.admin)
	if err != nil {
		return nil, err
	}
	const all, every = 1_000_000, 100
	if err := e.fill(ctx, all, every); err != nil {
		return nil, err
	}
	if err := alone.fill(ctx, all/every, 1); err != nil {
		return nil, err
	}
	return []contender{
		{ours, func(ctx context.Context) (float64, error) { return e.project(ctx, 0, all/every) }},
		{"alone in a log", func(ctx context.Context) (float64, error) { return alone.project(ctx, 0, all/every) }},
	}, nil
}

func prepareHeap(ctx context.Context, e *environment) ([]contender, error) {
	small, err := newEnvironment(ctx, e.admin)
	if err != nil {
		return nil, err
	}
	const all = 1_000_000
	if err := e.fill(ctx, all, 1); err != nil {
		return nil, err
	}
	if err := small.fill(ctx, catchUpEvents, 1); err != nil {
		return nil, err
	}
	return []contender{
		{"log of a million", func(ctx context.Context) (float64, error) {
			return peakHeap(func() error { _, err := e.project(ctx, 0, all); return err })
		}},
		{"log of 100,000", func(ctx context.Context) (float64, error) {
			return peakHeap(func() error { _, err := small.project(ctx, 0, catchUpEvents); return err })
		}},
	}, nil
}

// peakHeap returns the most that is on the heap of this process during work, in
// MiB, what is no longer used but not yet collected included.
func peakHeap(work func() error) (float64, error) {
	runtime.GC()
	done := make(chan struct{})
	var peak atomic.Uint64
	var group sync.WaitGroup
	group.Go(func() {
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			peak.Store(max(peak.Load(), stats.HeapAlloc))
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	err := work()
	close(done)
	group.Wait()
	return float64(peak.Load()) / (1 << 20), err
}

// prepareAllocations counts allocations in a catch-up, without those that the
// handler makes when it is called with its event and a transaction that does
// nothing.
func prepareAllocations(ctx context.Context, e *environment) ([]contender, error) {
	if err := e.fill(ctx, catchUpEvents, 1); err != nil {
		return nil, err
	}
	return []contender{{ours, func(ctx context.Context) (float64, error) {
		handler := mallocs(func() {
			event := &Deposited{Amount: 1}
			for range catchUpEvents {
				_ = onDeposited(ctx, idleTx{}, event)
			}
		})
		var err error
		all := mallocs(func() { _, err = e.project(ctx, 0, catchUpEvents) })
		return float64(all-handler) / catchUpEvents, err
	}}}, nil
}

func mallocs(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// prepareCorrectness has 32 writers append 1 to 4 events at a time while a
// projection tails, and counts events that it missed or applied twice.
func prepareCorrectness(ctx context.Context, e *environment) ([]contender, error) {
	_, err := e.pool.Exec(ctx, `CREATE TABLE journal (position BIGINT NOT NULL)`)
	if err != nil {
		return nil, err
	}
	journal := readview.Projection{Name: "journal", Handlers: readview.Handlers{readview.On(onJournal)}}
	return []contender{{ours, func(ctx context.Context) (float64, error) {
		if _, err := e.pool.Exec(ctx, `TRUNCATE journal, balance, events, readviews, readview_states`); err != nil {
			return 0, err
		}
		err := withManager(ctx, e.pool, e.store, []readview.Projection{journal}, func(manager *readview.Manager) error {
			if err := e.writeAtOnce(ctx); err != nil {
				return err
			}
			head, err := e.last(ctx)
			if err != nil {
				return err
			}
			return manager.WaitFor(ctx, head)
		})
		if err != nil {
			return 0, err
		}
		var wrong float64
		err = e.pool.QueryRow(ctx, `SELECT count(*) FROM (
			SELECT e.tstamp FROM events e FULL JOIN journal j ON j.position = e.tstamp
			GROUP BY e.tstamp HAVING count(j.position) <> 1) wrong`).Scan(&wrong)
		if err != nil {
			return 0, err
		}
		var upserts float64 // all to 8 rows
		err = e.pool.QueryRow(ctx, `SELECT abs((SELECT count(*) FROM events) - (SELECT sum(amount) FROM balance))`).Scan(&upserts)
		return wrong + upserts, err
	}}}, nil
}

func onJournal(ctx context.Context, tx readview.Tx, e *Deposited) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO journal (position) VALUES ($1)`, int64(eventsourced.FromContext(ctx).Position)); err != nil {
		return err
	}
	return onDeposited(ctx, tx, e)
}

func (e *environment) writeAtOnce(ctx context.Context) error {
	var group sync.WaitGroup
	errs := make(chan error, 32)
	for w := range 32 {
		group.Go(func() {
			for i := range 200 {
				events := make([]eventsourced.Event, 1+(w+i)%4)
				for k := range events {
					events[k] = &Deposited{Amount: 1}
				}
				encoded, err := e.store.Registry().Encode(ctx, events...)
				if err == nil {
					_, err = e.store.Append(ctx, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: fmt.Sprint(w % 8)}, eventsourced.Any, encoded)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}
