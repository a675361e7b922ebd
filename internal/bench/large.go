package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// The logs of "make bench-large": every million has 10,000 accounts of its own with 99 events or 100 each, and each
// hundredth event is one of the ledger, an aggregate that gets as long as the log. Nothing of it depends on how much
// there is, so whatever differs is the size.
const (
	million  = 1_000_000
	accounts = 10_000
	ledger   = "ledger"

	ofAMillion = "a million"
)

// largeLog is a log of n events.
type largeLog struct {
	*environment
	n        int
	versions map[string]eventsourced.Version // of the accounts that were appended to
	head     eventsourced.Position           // before anything was
}

// newLargeLog fills a log. The keys are made at the end, which takes a third of the time.
func newLargeLog(ctx context.Context, admin string, n int) (*largeLog, error) {
	e, err := newEnvironment(ctx, admin)
	if err != nil {
		return nil, err
	}
	l := &largeLog{environment: e, n: n, versions: map[string]eventsourced.Version{}}
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	began := time.Now()
	for _, statement := range []string{
		"SET synchronous_commit = off", "SET maintenance_work_mem = '1GB'",
		"ALTER TABLE events DROP CONSTRAINT events_pkey, DROP CONSTRAINT events_id_key, DROP CONSTRAINT events_stream_key",
		"DROP INDEX events_name_idx",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	for first := 0; first < n; first += million {
		_, err := conn.Exec(ctx, `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
			SELECT 1700000000000000 + n, gen_random_uuid(), 'Deposited', 'bank.Account',
				CASE WHEN n % 100 = 0 THEN '`+ledger+`' ELSE 'account-' || ($1::bigint / 1000000 * 10000 + n % 10000) END,
				CASE WHEN n % 100 = 0 THEN n / 100 ELSE (n - $1) / 10000 + 1 END,
				to_timestamp(1700000000 + n / 1000000.0), '{"amount":1}'
			FROM generate_series($1 + 1, $1 + 1000000) n`, first)
		if err != nil {
			return nil, err
		}
		done := first + million
		took := time.Since(began)
		_, _ = fmt.Fprintf(os.Stderr, "\r\033[Kfills a log: %d of %d million events, %.0f/s, %s left, without the keys", done/million, n/million,
			float64(done)/took.Seconds(), (took * time.Duration(n-done) / time.Duration(done)).Round(time.Second))
	}
	for _, statement := range []string{
		"ALTER TABLE events ADD CONSTRAINT events_pkey PRIMARY KEY (tstamp)",
		"ALTER TABLE events ADD CONSTRAINT events_id_key UNIQUE (id)",
		"ALTER TABLE events ADD CONSTRAINT events_stream_key UNIQUE (aggregate_name, aggregate_id, version)",
		"CREATE INDEX events_name_idx ON events (name, tstamp)",
	} {
		_, _ = fmt.Fprintf(os.Stderr, "\r\033[Kfills a log of %d million events: %s: %s", n/million, time.Since(began).Round(time.Second), statement)
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	if err := e.settle(ctx); err != nil {
		return nil, err
	}
	if l.head, err = e.last(ctx); err != nil {
		return nil, err
	}
	_, err = l.ledger().Update(ctx, ledger, func(a *ledgerAccount) error { return eventsourced.Record(a, &Deposited{Amount: 1}) }) // makes a snapshot
	_, _ = fmt.Fprintf(os.Stderr, "\r\033[Kfilled a log of %d million events: %s\n", n/million, time.Since(began).Round(time.Second))
	return l, err
}

// ledgerAccount is an account with snapshots.
type ledgerAccount struct{ account }

func (a *ledgerAccount) MarshalSnapshot() ([]byte, error) { return json.Marshal(a.balance) }

func (a *ledgerAccount) UnmarshalSnapshot(state []byte) error {
	return json.Unmarshal(state, &a.balance)
}

func (l *largeLog) ledger() *eventsourced.Repository[ledgerAccount] {
	return eventsourced.NewRepository[ledgerAccount](l.store, "bank.Account", eventsourced.RepositoryConfig{SnapshotEvery: 1})
}

// any returns one of the accounts of the log's last events, and how many it has.
func (l *largeLog) any(last int) (id string, version eventsourced.Version) {
	block := (l.n-last)/million + rand.IntN(last/million)
	id = fmt.Sprint("account-", block*accounts+rand.IntN(accounts/100)*100+1+rand.IntN(99)) // the others have none: their turn is the ledger's
	if version = l.versions[id]; version == 0 {
		version = million / accounts
	}
	return id, version
}

// append appends to accounts of the last events, and returns how long an append took, p50 in milliseconds.
func (l *largeLog) append(ctx context.Context, last int) (float64, error) {
	return each(200, func() error {
		id, version := l.any(last)
		events, err := l.store.Registry().Encode(ctx, &Deposited{Amount: 1, BaseEvent: eventsourced.BaseEvent{EventTime: time.Now()}})
		if err == nil {
			_, err = l.store.Append(ctx, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: id}, eventsourced.AtVersion(version), events)
		}
		l.versions[id] = version + 1
		return err
	})
}

func (l *largeLog) load(ctx context.Context, last int) (float64, error) {
	repository := eventsourced.NewRepository[account](l.store, "bank.Account", eventsourced.RepositoryConfig{})
	return each(100, func() error {
		id, version := l.any(last)
		a, err := repository.Load(ctx, id)
		if err == nil && a.balance != int64(version) {
			err = fmt.Errorf("%s has %d, not %d", id, a.balance, version)
		}
		return err
	})
}

func (l *largeLog) loadLedger(ctx context.Context) (float64, error) {
	repository := l.ledger()
	return each(300, func() error { _, err := repository.Load(ctx, ledger); return err })
}

func (l *largeLog) readHead(ctx context.Context) (float64, error) {
	return each(300, func() error { _, err := l.last(ctx); return err })
}

// catchUp applies the last events that the log was filled with, and returns events a second.
func (l *largeLog) catchUp(ctx context.Context) (float64, error) {
	if _, err := l.pool.Exec(ctx, `DELETE FROM events WHERE tstamp > $1`, int64(l.head)); err != nil { // what was appended
		return 0, err
	}
	clear(l.versions)
	return l.project(ctx, l.head-catchUpEvents, catchUpEvents)
}

func (l *largeLog) status(ctx context.Context) (float64, error) {
	projections, err := l.many(ctx, 10)
	if err != nil {
		return 0, err
	}
	return l.statusFarBehind(ctx, projections)
}

// each does work n times, and returns how long it takes, p50 in milliseconds.
func each(n int, work func() error) (float64, error) {
	times := make([]float64, n)
	for i := range times {
		began := time.Now()
		if err := work(); err != nil {
			return 0, err
		}
		times[i] = float64(time.Since(began).Microseconds()) / 1000
	}
	return median(times), nil
}

// largeFigures are those of a log of n events beside one of a million. Both are filled once for all.
func largeFigures(ctx context.Context, admin string, n int) (figures []figure, closeLogs func() error, err error) {
	if n < 2*million || n%million != 0 {
		return nil, nil, errors.New("-large wants whole millions, two at least")
	}
	small, err := newLargeLog(ctx, admin, million)
	if err != nil {
		return nil, nil, err
	}
	large, err := newLargeLog(ctx, admin, n)
	if err != nil {
		return nil, nil, err
	}
	add := func(name, unit, goal string, finer int, contenders ...contender) {
		figures = append(figures, figure{name: name, unit: unit, baseline: ofAMillion, goal: goal, finer: finer,
			prepare: func(context.Context, *environment) ([]contender, error) { return contenders, nil }})
	}
	both := func(name, goal string, work func(l *largeLog, ctx context.Context, last int) (float64, error)) {
		add(name, "ms", goal, 10, // the disk is much of it
			contender{"any of them", func(ctx context.Context) (float64, error) { return work(large, ctx, n) }},
			contender{"of the last million", func(ctx context.Context) (float64, error) { return work(large, ctx, million) }},
			contender{ofAMillion, func(ctx context.Context) (float64, error) { return work(small, ctx, million) }})
	}
	one := func(name, unit, goal string, work func(l *largeLog, ctx context.Context) (float64, error)) {
		add(name, unit, goal, 1,
			contender{fmt.Sprintf("%d million", n/million), func(ctx context.Context) (float64, error) { return work(large, ctx) }},
			contender{ofAMillion, func(ctx context.Context) (float64, error) { return work(small, ctx) }})
	}
	both("append to an account, p50", "at most 1.2", (*largeLog).append)
	both("load an account of 100 events, p50", "flat", (*largeLog).load)
	one("load the ledger, with a snapshot, p50", "ms", "flat", (*largeLog).loadLedger)
	one("head", "ms", "flat", (*largeLog).readHead)
	one("catch-up of the last 100,000", "events/s", "flat", (*largeLog).catchUp)
	one("status, 10 projections, all behind", "ms", "flat", (*largeLog).status)
	figures = append(figures, large.sizes())
	return figures, func() error { return errors.Join(small.close(ctx), large.close(ctx)) }, nil
}

// sizes tells what an event takes on disk.
func (l *largeLog) sizes() figure {
	f := figure{name: "on disk", unit: "bytes an event", onceOnly: true}
	f.prepare = func(context.Context, *environment) (all []contender, err error) {
		for _, name := range []string{"events", "events_pkey", "events_id_key", "events_stream_key", "events_name_idx"} {
			all = append(all, contender{name, func(ctx context.Context) (bytes float64, err error) {
				err = l.pool.QueryRow(ctx, `SELECT pg_relation_size($1::text::regclass)::float8 / $2`, name, float64(l.n)).Scan(&bytes)
				return bytes, err
			}})
		}
		return all, nil
	}
	return f
}
