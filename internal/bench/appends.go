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

// oldEvents are in the log before: few logs are empty.
const oldEvents = 20_000

// appendFigure compares appends of one event to new accounts with plain INSERTs of the
// same row, each on its own copy of the same log. With few writers the speed is that
// of the disk, which changes from second to second: so turns are short.
func appendFigure(writers int, goal string) figure {
	finer, lasting := 5, 400*time.Millisecond
	switch {
	case writers == 1: // nothing else is so near to its baseline
		finer, lasting = 75, 80*time.Millisecond
	case writers <= 16:
		finer, lasting = 25, 80*time.Millisecond
	}
	return figure{
		name: fmt.Sprintf("append, %d writers", writers), unit: "appends/s", baseline: plain, goal: goal, finer: finer,
		prepare: func(ctx context.Context, e *environment) ([]contender, error) {
			if err := e.insert(ctx, oldEvents, 1); err != nil {
				return nil, err
			}
			for _, statement := range []string{`CREATE TABLE plain (LIKE events INCLUDING ALL)`, `INSERT INTO plain SELECT * FROM events`, `CREATE SEQUENCE plain_tstamp`} {
				if _, err := e.pool.Exec(ctx, statement); err != nil {
					return nil, err
				}
			}
			if err := e.settle(ctx); err != nil {
				return nil, err
			}
			var contenders []contender
			for _, c := range []struct {
				name string
				open func(*pgxpool.Pool) func(context.Context, int64) error
			}{{ours, e.appends}, {plain, plainInserts}} {
				pool, err := e.newPool(ctx, min(int32(max(writers, 4)), 300))
				if err != nil {
					return nil, err
				}
				e.closers = append(e.closers, pool.Close)
				w := &appendWriters{n: writers, work: c.open(pool)}
				if err := w.warmUp(ctx, pool); err != nil {
					return nil, err
				}
				contenders = append(contenders, contender{c.name, func(ctx context.Context) (float64, error) { return w.rate(ctx, lasting) }})
			}
			return contenders, nil
		},
	}
}

// appends returns what appends one event to a new account, which must be new.
func (e *environment) appends(pool *pgxpool.Pool) func(context.Context, int64) error {
	store := pgstore.New(pool, e.store.Registry(), pgstore.Config{})
	e.closers = append(e.closers, store.Close)
	return func(ctx context.Context, n int64) error {
		events, err := store.Registry().Encode(ctx, &Deposited{Amount: n, BaseEvent: eventsourced.BaseEvent{EventTime: time.Now()}})
		if err == nil {
			_, err = store.Append(ctx, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: fmt.Sprint("new-", n)}, eventsourced.NoStream, events)
		}
		return err
	}
}

// plainInserts returns what inserts the same row in a statement that is its own
// transaction: without an order, an expectation or anything else to wait for.
func plainInserts(pool *pgxpool.Pool) func(context.Context, int64) error {
	return func(ctx context.Context, n int64) error {
		payload, err := json.Marshal(&Deposited{Amount: n})
		if err == nil {
			_, err = pool.Exec(ctx, `INSERT INTO plain (tstamp, id, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload)
				VALUES (nextval('plain_tstamp'), $1, 'Deposited', 'bank.Account', $2, 1, 1, $3, $4)`,
				[16]byte(eventsourced.NewEventID()), fmt.Sprint("new-", n), time.Now(), payload)
		}
		return err
	}
}

// appendWriters are writers that work on the same pool.
type appendWriters struct {
	n    int
	work func(ctx context.Context, n int64) error
	last atomic.Int64
}

// warmUp opens all connections and has each writer work often enough that the server
// keeps its plans.
func (w *appendWriters) warmUp(ctx context.Context, pool *pgxpool.Pool) error {
	if err := connect(ctx, pool); err != nil {
		return err
	}
	return w.each(ctx, func(i int) bool { return i < 20 })
}

// rate has the writers work for a while, and returns how often they did a second.
func (w *appendWriters) rate(ctx context.Context, lasting time.Duration) (float64, error) {
	before, started := w.last.Load(), time.Now()
	if err := w.each(ctx, func(int) bool { return time.Since(started) < lasting }); err != nil {
		return 0, err
	}
	return float64(w.last.Load()-before) / time.Since(started).Seconds(), nil
}

func (w *appendWriters) each(ctx context.Context, more func(i int) bool) error {
	var group sync.WaitGroup
	errs := make(chan error, w.n)
	for range w.n {
		group.Go(func() {
			for i := 0; more(i); i++ {
				if err := w.work(ctx, w.last.Add(1)); err != nil {
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
