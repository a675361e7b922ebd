package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// appendTime is for how long each contender appends in a round.
const appendTime = 2 * time.Second

// oldEvents are in the log before: few logs are empty.
const oldEvents = 20_000

func appendFigure(writers int, goal string) figure {
	finer := 1
	if writers <= 16 { // many connections take longer to open than to measure
		finer = 5
	}
	lasting := appendTime / time.Duration(finer)
	return figure{
		name: fmt.Sprintf("append, %d writers", writers), unit: "appends/s", baseline: plain, goal: goal, finer: finer,
		prepare: func(ctx context.Context, e *environment) ([]contender, error) {
			if _, err := e.pool.Exec(ctx, `CREATE SEQUENCE plain`); err != nil {
				return nil, err
			}
			connections := min(int32(max(writers, 4)), 300)
			return []contender{
				{ours, func(ctx context.Context) (float64, error) { return e.append(ctx, writers, connections, lasting) }},
				{plain, func(ctx context.Context) (float64, error) { return e.plainInsert(ctx, writers, connections, lasting) }},
			}, nil
		},
	}
}

// append appends one event to a new account each time, which must be new.
func (e *environment) append(ctx context.Context, writers int, connections int32, lasting time.Duration) (float64, error) {
	return e.byMany(ctx, writers, connections, lasting, func(pool *pgxpool.Pool) (func(int64) error, func()) {
		store := pgstore.New(pool, e.store.Registry(), pgstore.Config{})
		return func(n int64) error {
			events, err := store.Registry().Encode(ctx, &Deposited{Amount: n, BaseEvent: eventsourced.BaseEvent{EventTime: time.Now()}})
			if err == nil {
				_, err = store.Append(ctx, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: fmt.Sprint("new-", n)}, eventsourced.NoStream, events)
			}
			return err
		}, store.Close
	})
}

// plainInsert inserts the same row in a statement that is its own transaction:
// without an order, an expectation or anything else to wait for.
func (e *environment) plainInsert(ctx context.Context, writers int, connections int32, lasting time.Duration) (float64, error) {
	return e.byMany(ctx, writers, connections, lasting, func(pool *pgxpool.Pool) (func(int64) error, func()) {
		return func(n int64) error {
			payload, err := json.Marshal(&Deposited{Amount: n})
			if err == nil {
				_, err = pool.Exec(ctx, `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload)
					VALUES (nextval('plain'), $1, 'Deposited', 'bank.Account', $2, 1, 1, $3, $4)`,
					[16]byte(eventsourced.NewEventID()), fmt.Sprint("new-", n), time.Now(), payload)
			}
			return err
		}, func() {}
	})
}

// byMany has writers work on a pool for a while, and returns how often they
// did a second. All connections are open before, and each writer has worked often
// enough that the server keeps its plans.
func (e *environment) byMany(ctx context.Context, writers int, connections int32, lasting time.Duration, open func(*pgxpool.Pool) (func(int64) error, func())) (float64, error) {
	if _, err := e.pool.Exec(ctx, `TRUNCATE events`); err != nil {
		return 0, err
	}
	if err := e.insert(ctx, oldEvents, 1); err != nil {
		return 0, err
	}
	pool, err := e.newPool(ctx, connections)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	if err := connect(ctx, pool); err != nil {
		return 0, err
	}
	work, done := open(pool)
	defer done()
	var last atomic.Int64
	each := func(more func(i int) bool) error {
		var group sync.WaitGroup
		errs := make(chan error, writers)
		for range writers {
			group.Go(func() {
				for i := 0; more(i); i++ {
					if err := work(last.Add(1)); err != nil {
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
	if err := each(func(i int) bool { return i < 20 }); err != nil {
		return 0, err
	}
	before, started := last.Load(), time.Now()
	if err := each(func(int) bool { return time.Since(started) < lasting }); err != nil {
		return 0, err
	}
	return float64(last.Load()-before) / time.Since(started).Seconds(), nil
}

// connect opens all connections of the pool.
func connect(ctx context.Context, pool *pgxpool.Pool) error {
	return onEach(ctx, pool, func(*pgxpool.Conn) error { return nil })
}

// onEach opens all connections of the pool and does something on each.
func onEach(ctx context.Context, pool *pgxpool.Pool, work func(*pgxpool.Conn) error) error {
	var acquired, worked sync.WaitGroup
	n := int(pool.Config().MaxConns)
	acquired.Add(n)
	errs := make(chan error, n)
	for range n {
		worked.Go(func() {
			conn, err := pool.Acquire(ctx)
			acquired.Done()
			if err != nil {
				errs <- err
				return
			}
			defer conn.Release()
			acquired.Wait() // nobody gets one that has been given back
			if err := work(conn); err != nil {
				errs <- err
			}
		})
	}
	worked.Wait()
	close(errs)
	return <-errs
}
