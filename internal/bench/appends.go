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

// appendTime is for how long each contender appends.
const appendTime = 2 * time.Second

func appendFigure(writers int, goal string) figure {
	return figure{
		name: fmt.Sprintf("append, %d writers", writers), unit: "appends/s", baseline: plain, goal: goal,
		prepare: func(ctx context.Context, e *environment) ([]contender, error) {
			if _, err := e.pool.Exec(ctx, `CREATE SEQUENCE plain`); err != nil {
				return nil, err
			}
			connections := min(int32(max(writers, 4)), 300)
			return []contender{
				{ours, func(ctx context.Context) (float64, error) { return e.append(ctx, writers, connections) }},
				{plain, func(ctx context.Context) (float64, error) { return e.plainInsert(ctx, writers, connections) }},
			}, nil
		},
	}
}

// append appends one event to a new account each time, which must be new.
func (e *environment) append(ctx context.Context, writers int, connections int32) (float64, error) {
	return e.byMany(ctx, writers, connections, func(pool *pgxpool.Pool) (func(int64) error, func()) {
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
func (e *environment) plainInsert(ctx context.Context, writers int, connections int32) (float64, error) {
	return e.byMany(ctx, writers, connections, func(pool *pgxpool.Pool) (func(int64) error, func()) {
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

// byMany has writers work on a pool for appendTime, and returns how often they
// did a second.
func (e *environment) byMany(ctx context.Context, writers int, connections int32, open func(*pgxpool.Pool) (func(int64) error, func())) (float64, error) {
	if _, err := e.pool.Exec(ctx, `TRUNCATE events`); err != nil {
		return 0, err
	}
	pool, err := e.newPool(ctx, connections)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	work, done := open(pool)
	defer done()
	var (
		group  sync.WaitGroup
		count  atomic.Int64
		failed atomic.Pointer[error]
	)
	// The first half second connects and prepares, and does not count.
	var counted int64
	started := time.Now().Add(500 * time.Millisecond)
	end := started.Add(appendTime)
	for range writers {
		group.Go(func() {
			for time.Now().Before(end) && failed.Load() == nil {
				if err := work(count.Add(1)); err != nil {
					failed.Store(&err)
				}
				if time.Now().After(started) {
					atomic.AddInt64(&counted, 1)
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(counted) / time.Since(started).Seconds(), nil
}
