package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

const wideEvents = 200_000

// Entered has the eight columns of a row in a table that only grows.
type Entered struct {
	eventsourced.BaseEvent
	N         int64  `json:"n"`
	Account   string `json:"account"`
	Day       string `json:"day"`
	Kind      string `json:"kind"`
	Note      string `json:"note"`
	Reference string `json:"reference"`
	Currency  string `json:"currency"`
	Amount    int64  `json:"amount"`
}

const (
	wideTable  = `CREATE TABLE wide (n BIGINT PRIMARY KEY, account TEXT NOT NULL, day DATE NOT NULL, kind TEXT NOT NULL, note TEXT NOT NULL, reference TEXT NOT NULL, currency TEXT NOT NULL, amount BIGINT NOT NULL)`
	insertWide = `INSERT INTO wide (n, account, day, kind, note, reference, currency, amount) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	fillWide   = `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT 1700000000000000 + n, gen_random_uuid(), 'Entered', 'bank.Account', 'account-' || n % 1000, n, now(), json_build_object('n', n, 'account', 'account-' || n % 1000,
			'day', date '2026-01-01' + (n % 365)::int, 'kind', 'deposit', 'note', 'the entry of number ' || n, 'reference', 'R' || n * 7919, 'currency', 'SEK', 'amount', n % 10000)
		FROM generate_series(1, $1) n`
	wideInServer = `WITH page AS (SELECT tstamp, payload FROM events WHERE name = 'Entered' AND tstamp > $1 ORDER BY tstamp LIMIT $2),
		entered AS (INSERT INTO wide SELECT r.* FROM page, json_to_record(payload) AS r (n BIGINT, account TEXT, day DATE, kind TEXT, note TEXT, reference TEXT, currency TEXT, amount BIGINT))
		SELECT count(*), max(tstamp) FROM page`
)

// prepareWide compares a handler that inserts a row an event with the server doing all of that by itself.
func prepareWide(ctx context.Context, e *environment) ([]contender, error) {
	registry, err := eventsourced.NewRegistry(eventsourced.Type[Entered]("Entered"))
	if err != nil {
		return nil, err
	}
	store := pgstore.New(e.pool, registry, pgstore.Config{})
	e.closers = append(e.closers, store.Close)
	if _, err := e.pool.Exec(ctx, wideTable); err != nil {
		return nil, err
	}
	if _, err := e.pool.Exec(ctx, fillWide, wideEvents); err != nil {
		return nil, err
	}
	if err := e.settle(ctx); err != nil {
		return nil, err
	}
	projection := readview.Projection{Name: "balances", Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *Entered) error {
		return readview.Exec(ctx, tx, insertWide, e.N, e.Account, e.Day, e.Kind, e.Note, e.Reference, e.Currency, e.Amount)
	})}}
	want := ""
	same := func(run func(ctx context.Context) (float64, error)) func(ctx context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			if err := e.clear(ctx, 0); err != nil {
				return 0, err
			}
			if _, err := e.pool.Exec(ctx, `TRUNCATE wide; CHECKPOINT`); err != nil {
				return 0, err
			}
			value, err := run(ctx)
			if err != nil {
				return 0, err
			}
			var found string
			if err := e.pool.QueryRow(ctx, `SELECT concat(count(*), ' ', md5(string_agg(w::text, ' ' ORDER BY n))) FROM wide w`).Scan(&found); err != nil {
				return 0, err
			}
			if want != "" && found != want {
				return 0, fmt.Errorf("the table is %s, and that of another contender %s", found, want)
			}
			want = found
			return value, nil
		}
	}
	return []contender{
		{ours, same(func(ctx context.Context) (float64, error) { return e.run(ctx, e.pool, store, wideEvents, projection) })},
		{pgxLoop, same(func(ctx context.Context) (float64, error) { return e.widePages(ctx, wideLoop) })},
		{insertSelect, same(func(ctx context.Context) (float64, error) { return e.widePages(ctx, wideByServer) })},
	}, nil
}

// widePages applies all events in pages, with the position in the page's transaction.
func (e *environment) widePages(ctx context.Context, apply func(ctx context.Context, tx pgx.Tx, after int64) (n int, last int64, err error)) (float64, error) {
	if _, err := e.pool.Exec(ctx, `INSERT INTO readviews VALUES ('balances', 0)`); err != nil {
		return 0, err
	}
	return rate(wideEvents, func() error {
		for applied := 0; applied < wideEvents; {
			err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
				var position int64
				if err := tx.QueryRow(ctx, `SELECT position FROM readviews WHERE name = 'balances' FOR UPDATE`).Scan(&position); err != nil {
					return err
				}
				n, last, err := apply(ctx, tx, position)
				if err != nil {
					return err
				}
				applied += n
				_, err = tx.Exec(ctx, `UPDATE readviews SET position = $1 WHERE name = 'balances'`, last)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func wideByServer(ctx context.Context, tx pgx.Tx, after int64) (n int, last int64, err error) {
	err = tx.QueryRow(ctx, wideInServer, after, pageEvents).Scan(&n, &last)
	return n, last, err
}

func wideLoop(ctx context.Context, tx pgx.Tx, after int64) (n int, last int64, err error) {
	rows, err := tx.Query(ctx, `SELECT tstamp, payload FROM events WHERE name = 'Entered' AND tstamp > $1 ORDER BY tstamp LIMIT $2`, after, pageEvents)
	if err != nil {
		return 0, 0, err
	}
	batch := &pgx.Batch{}
	var payload []byte
	_, err = pgx.ForEachRow(rows, []any{&last, &payload}, func() error {
		var e Entered
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		batch.Queue(insertWide, e.N, e.Account, e.Day, e.Kind, e.Note, e.Reference, e.Currency, e.Amount)
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return batch.Len(), last, tx.SendBatch(ctx, batch).Close()
}
