package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// environment is a figure's own database with the framework's tables and those of
// the account job.
type environment struct {
	admin string
	name  string
	url   string
	pool  *pgxpool.Pool
	store *pgstore.Store

	closers []func() // of what a figure opened, the last first
}

// The account job: an event, and one upsert for each.
type Deposited struct {
	eventsourced.BaseEvent
	Amount int64
}

// Ignored is what a sparse projection passes over.
type Ignored struct {
	eventsourced.BaseEvent
	Amount int64
}

const upsert = `INSERT INTO balance AS b (account, amount) VALUES ($1, $2)
	ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount`

func newEnvironment(ctx context.Context, admin string) (*environment, error) {
	address, err := url.Parse(admin)
	if err != nil {
		return nil, err
	}
	e := &environment{admin: admin, name: fmt.Sprintf("bench_%d", time.Now().UnixNano())}
	if err := e.execute(ctx, "CREATE DATABASE "+e.name); err != nil {
		return nil, err
	}
	address.Path = "/" + e.name
	e.url = address.String()
	if e.pool, err = e.newPool(ctx, 8); err != nil {
		return nil, err
	}
	if err := migrate.Run(ctx, e.pool, migrate.Config{}, pgstore.Migrations()); err != nil {
		return nil, err
	}
	if err := migrate.Run(ctx, e.pool, migrate.Config{}, readview.Migrations()); err != nil {
		return nil, err
	}
	if _, err := e.pool.Exec(ctx, `CREATE TABLE balance (account TEXT PRIMARY KEY, amount BIGINT NOT NULL)`); err != nil {
		return nil, err
	}
	registry, err := eventsourced.NewRegistry(eventsourced.Type[Deposited]("Deposited"), eventsourced.Type[Ignored]("Ignored"))
	if err != nil {
		return nil, err
	}
	e.store = pgstore.New(e.pool, registry, pgstore.Config{})
	return e, nil
}

func (e *environment) newPool(ctx context.Context, connections int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(e.url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	return pgxpool.NewWithConfig(ctx, config)
}

func (e *environment) execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, e.admin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

func (e *environment) close(ctx context.Context) error {
	for _, closer := range slices.Backward(e.closers) {
		closer()
	}
	e.store.Close()
	e.pool.Close()
	return e.execute(ctx, "DROP DATABASE "+e.name+" WITH (FORCE)")
}

// fill puts n events into the log; one in every is a Deposited, of 1,000 accounts in
// turn.
func (e *environment) fill(ctx context.Context, n, every int) error {
	if err := e.insert(ctx, n, every); err != nil {
		return err
	}
	return e.settle(ctx)
}

func (e *environment) insert(ctx context.Context, n, every int) error {
	payload, err := json.Marshal(&Deposited{Amount: 1})
	if err != nil {
		return err
	}
	_, err = e.pool.Exec(ctx, `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT 1700000000000000 + n, gen_random_uuid(), CASE WHEN n % $2 = 0 THEN 'Deposited' ELSE 'Ignored' END,
			'bank.Account', 'account-' || n / $2 % 1000, n, now(), $3
		FROM generate_series(1, $1) n`, n, every, payload)
	return err
}

// settle leaves nothing to do for the server in the background.
func (e *environment) settle(ctx context.Context) error {
	for _, statement := range []string{"VACUUM (ANALYZE, FREEZE) events", "CHECKPOINT"} {
		if _, err := e.pool.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// last returns the position of the last event that the names select.
func (e *environment) last(ctx context.Context) (eventsourced.Position, error) {
	return e.store.Head(ctx)
}

// rate runs work and returns how many of n it did a second.
func rate(n int, work func() error) (float64, error) {
	started := time.Now()
	err := work()
	return float64(n) / time.Since(started).Seconds(), err
}
