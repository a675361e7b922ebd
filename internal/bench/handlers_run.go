package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/readview"
)

// prepareHandler compares a job's handler with the same done by hand. All have to leave the
// same tables.
func prepareHandler(j job) func(ctx context.Context, e *environment) ([]contender, error) {
	return func(ctx context.Context, e *environment) ([]contender, error) {
		if _, err := e.pool.Exec(ctx, handlerTables); err != nil {
			return nil, err
		}
		_, err := e.pool.Exec(ctx, `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
			SELECT 1700000000000000 + n, gen_random_uuid(), 'Deposited', 'bank.Account', 'account-' || n % 1000, n, now(), json_build_object('Amount', n)
			FROM generate_series(1, $1) n`, handlerEvents)
		if err == nil {
			err = e.settle(ctx)
		}
		if err != nil {
			return nil, err
		}
		want := ""
		run := func(run func(ctx context.Context) (float64, error)) func(ctx context.Context) (float64, error) {
			return func(ctx context.Context) (float64, error) { return e.sameTables(ctx, j.entries, &want, run) }
		}
		handler := readview.On(j.handle)
		if j.lookUps != nil {
			handler = readview.On(j.handle, j.lookUps)
		}
		projection := readview.Projection{Name: "balances", Handlers: readview.Handlers{handler}}
		return []contender{
			{ours, run(func(ctx context.Context) (float64, error) {
				return e.run(ctx, e.pool, e.store, handlerEvents, projection)
			})},
			{pgxLoop, run(func(ctx context.Context) (float64, error) { return e.byHand(ctx, j.loop) })},
			{setsByHand, run(func(ctx context.Context) (float64, error) { return e.byHand(ctx, j.sets) })},
		}, nil
	}
}

// sameTables empties the tables, but for rows of which there is one an event if entries is set, and refuses a result whose tables are not as those
// of the others.
func (e *environment) sameTables(ctx context.Context, entries bool, want *string, run func(ctx context.Context) (float64, error)) (float64, error) {
	if err := e.clear(ctx, 0); err != nil {
		return 0, err
	}
	if _, err := e.pool.Exec(ctx, `TRUNCATE entry, note, line RESTART IDENTITY`); err != nil {
		return 0, err
	}
	if entries {
		if _, err := e.pool.Exec(ctx, allEntries, handlerEvents); err != nil {
			return 0, err
		}
		if _, err := e.pool.Exec(ctx, `VACUUM ANALYZE entry`); err != nil {
			return 0, err
		}
	}
	value, err := run(ctx)
	if err != nil {
		return 0, err
	}
	var found string
	err = e.pool.QueryRow(ctx, `SELECT concat_ws(' ',
		(SELECT md5(string_agg(b::text, ' ' ORDER BY account)) FROM balance b), (SELECT md5(string_agg(e::text, ' ' ORDER BY n)) FROM entry e),
		(SELECT md5(string_agg(concat(account, amount), ' ' ORDER BY amount, account)) FROM note JOIN line ON note = id),
		(SELECT count(*) FROM balance), (SELECT count(*) FROM entry), (SELECT count(*) FROM line))`).Scan(&found)
	if err != nil {
		return 0, err
	}
	if *want != "" && found != *want {
		return 0, fmt.Errorf("the tables are %s, and those of another contender %s", found, *want)
	}
	*want = found
	return value, nil
}

// byHand applies all events in pages, with the position in the page's transaction.
func (e *environment) byHand(ctx context.Context, apply func(ctx context.Context, tx pgx.Tx, page []Deposited) error) (float64, error) {
	if _, err := e.pool.Exec(ctx, `INSERT INTO readviews VALUES ('balances', 0)`); err != nil {
		return 0, err
	}
	return rate(handlerEvents, func() error {
		for applied := 0; applied < handlerEvents; {
			err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
				page, position, err := readPage(ctx, tx)
				if err != nil {
					return err
				}
				applied += len(page)
				if err := apply(ctx, tx, page); err != nil {
					return err
				}
				_, err = tx.Exec(ctx, `UPDATE readviews SET position = $1 WHERE name = 'balances'`, position)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func readPage(ctx context.Context, tx pgx.Tx) (page []Deposited, position int64, err error) {
	if err := tx.QueryRow(ctx, `SELECT position FROM readviews WHERE name = 'balances' FOR UPDATE`).Scan(&position); err != nil {
		return nil, 0, err
	}
	rows, err := tx.Query(ctx, `SELECT tstamp, aggregate_id, payload FROM events WHERE name = 'Deposited' AND tstamp > $1 ORDER BY tstamp LIMIT $2`, position, pageEvents)
	if err != nil {
		return nil, 0, err
	}
	var account string
	var payload []byte
	_, err = pgx.ForEachRow(rows, []any{&position, &account, &payload}, func() error {
		var e Deposited
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		e.EventAggregateId = account
		page = append(page, e)
		return nil
	})
	return page, position, err
}
