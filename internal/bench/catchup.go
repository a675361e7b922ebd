package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

const (
	catchUpEvents = 100_000
	fewEvents     = 5_000 // for a contender that would take a minute
	pageEvents    = 1000
)

func prepareCatchUp(ctx context.Context, e *environment) ([]contender, error) {
	if err := e.fill(ctx, catchUpEvents, 1); err != nil {
		return nil, err
	}
	return []contender{
		{ours, e.exactly(catchUpEvents, func(ctx context.Context, n int) (float64, error) { return e.project(ctx, 0, n) })},
		{pgxLoop, e.exactly(catchUpEvents, func(ctx context.Context, n int) (float64, error) { return e.loop(ctx, pageEvents, n) })},
		{stock, e.exactly(4*fewEvents, e.stock)},
		{txPerEvent, e.exactly(fewEvents, func(ctx context.Context, n int) (float64, error) { return e.loop(ctx, 1, n) })},
		{insertSelect, e.exactly(catchUpEvents, e.insertSelect)},
	}, nil
}

// exactly refuses the result of a contender that did not apply each of n events
// once.
func (e *environment) exactly(n int, run func(ctx context.Context, n int) (float64, error)) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		value, err := run(ctx, n)
		if err != nil {
			return 0, err
		}
		var applied int
		if err := e.pool.QueryRow(ctx, `SELECT coalesce(sum(amount), 0) FROM balance`).Scan(&applied); err != nil {
			return 0, err
		}
		if applied != n {
			return 0, fmt.Errorf("the balances have %d of %d events", applied, n)
		}
		return value, nil
	}
}

func onDeposited(ctx context.Context, tx readview.Tx, e *Deposited) error {
	_, err := tx.ExecContext(ctx, upsert, e.AggregateID(), e.Amount)
	return err
}

var balances = readview.Projection{
	Name:     "balances",
	Handlers: readview.Handlers{readview.On(onDeposited)},
	Reset:    readview.Truncate("balance"),
	Tables:   []string{"balance"},
}

// clear empties the read view and puts the projection at a position. Then all
// connections are open and have read the events: a new one takes longer than many
// pages, and on a virtual machine its process's first look at a part of the server's
// memory longer than all else.
func (e *environment) clear(ctx context.Context, at eventsourced.Position) error {
	err := onEach(ctx, e.pool, func(conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, `SELECT count(payload::text) FROM events WHERE name = 'Deposited' AND tstamp > $1`, int64(at))
		return err
	})
	if err != nil {
		return err
	}
	_, err = e.pool.Exec(ctx, `TRUNCATE balance, readviews, readview_states`)
	if err == nil && at > 0 {
		_, err = e.pool.Exec(ctx, `INSERT INTO readviews VALUES ('balances', $1)`, int64(at))
	}
	if err == nil && at > 0 {
		_, err = e.pool.Exec(ctx, `INSERT INTO readview_states (name, handled) VALUES ('balances', '{Deposited}')`)
	}
	return err
}

// project lets the framework apply n events from a position on, with all its
// defaults.
func (e *environment) project(ctx context.Context, at eventsourced.Position, n int) (float64, error) {
	if err := e.clear(ctx, at); err != nil {
		return 0, err
	}
	return e.run(ctx, e.pool, e.store, n, balances)
}

// run runs projections until they are at the head of the log.
func (e *environment) run(ctx context.Context, pool *pgxpool.Pool, log eventsourced.Log, n int, projections ...readview.Projection) (float64, error) {
	head, err := e.last(ctx)
	if err != nil {
		return 0, err
	}
	return rate(n, func() error {
		return withManager(ctx, pool, log, projections, func(manager *readview.Manager) error {
			return manager.WaitFor(ctx, head)
		})
	})
}

// withManager runs projections while work is done.
func withManager(ctx context.Context, pool *pgxpool.Pool, log eventsourced.Log, projections []readview.Projection, work func(*readview.Manager) error) error {
	router := message.NewDefaultRouter(watermill.NopLogger{})
	manager, err := readview.NewManager(router, log, pool, readview.Config{})
	if err != nil {
		return err
	}
	if err := manager.Add(projections...); err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- router.Run(ctx) }()
	<-router.Running()
	err = work(manager)
	return errors.Join(err, router.Close(), <-ran)
}

// loop is what one would write by hand with pgx to get the same: page by page,
// the position locked and set in the transaction, all upserts in one batch.
func (e *environment) loop(ctx context.Context, page, n int) (float64, error) {
	if err := e.clear(ctx, 0); err != nil {
		return 0, err
	}
	if _, err := e.pool.Exec(ctx, `INSERT INTO readviews VALUES ('balances', 0)`); err != nil {
		return 0, err
	}
	return rate(n, func() error {
		for applied := 0; applied < n; {
			err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
				count, err := loopPage(ctx, tx, page)
				applied += count
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func loopPage(ctx context.Context, tx pgx.Tx, page int) (int, error) {
	var position int64
	if err := tx.QueryRow(ctx, `SELECT position FROM readviews WHERE name = 'balances' FOR UPDATE`).Scan(&position); err != nil {
		return 0, err
	}
	rows, err := tx.Query(ctx, `SELECT tstamp, aggregate_id, payload FROM events WHERE name = 'Deposited' AND tstamp > $1 ORDER BY tstamp LIMIT $2`, position, page)
	if err != nil {
		return 0, err
	}
	batch := &pgx.Batch{}
	for rows.Next() {
		var (
			account string
			payload []byte
			event   Deposited
		)
		if err := rows.Scan(&position, &account, &payload); err != nil {
			return 0, err
		}
		if err := json.Unmarshal(payload, &event); err != nil {
			return 0, err
		}
		batch.Queue(upsert, account, event.Amount)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	count := batch.Len()
	batch.Queue(`UPDATE readviews SET position = $1 WHERE name = 'balances'`, position)
	return count, tx.SendBatch(ctx, batch).Close()
}

// insertSelect has the database do it all in one statement: what can't be beaten.
func (e *environment) insertSelect(ctx context.Context, n int) (float64, error) {
	if err := e.clear(ctx, 0); err != nil {
		return 0, err
	}
	return rate(n, func() error {
		_, err := e.pool.Exec(ctx, `INSERT INTO balance SELECT aggregate_id, sum((payload->>'Amount')::bigint) FROM events WHERE name = 'Deposited' GROUP BY aggregate_id`)
		return err
	})
}
