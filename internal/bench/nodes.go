package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// node is a process of its own as the database sees it: a pool, a store and a manager, whose
// statements are counted.
type node struct {
	pool       *pgxpool.Pool
	store      *pgstore.Store
	statements *atomic.Int64
}

func (e *environment) newNode(ctx context.Context, connections int32) (*node, error) {
	config, err := pgxpool.ParseConfig(e.url)
	if err != nil {
		return nil, err
	}
	n := &node{statements: new(atomic.Int64)}
	config.MaxConns = connections
	config.ConnConfig.Tracer = counter{n.statements}
	if n.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	n.store = pgstore.New(n.pool, e.store.Registry(), pgstore.Config{})
	e.closers = append(e.closers, func() {
		n.store.Close()
		n.pool.Close()
	})
	return n, nil
}

// counter counts the statements of a pool. An append is one.
type counter struct{ n *atomic.Int64 }

func (c counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (c counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (c counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) { c.n.Add(1) }
func (c counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// many returns projections like balances, each with a table of its own.
func (e *environment) many(ctx context.Context, n int) (all []readview.Projection, err error) {
	for i := range n {
		table := fmt.Sprintf("balance_%d", i)
		if _, err := e.pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+table+` (LIKE balance INCLUDING ALL)`); err != nil {
			return nil, err
		}
		statement := `INSERT INTO ` + table + ` AS b (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount`
		all = append(all, readview.Projection{Name: table, Tables: []string{table}, Handlers: readview.Handlers{
			readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
				_, err := tx.ExecContext(ctx, statement, e.AggregateID(), e.Amount)
				return err
			}),
		}})
	}
	return all, nil
}

// afresh empties the log, and puts n events into it.
func (e *environment) afresh(ctx context.Context, n int) error {
	_, err := e.pool.Exec(ctx, `TRUNCATE events, readviews, readview_states`)
	if err == nil && n > 0 {
		err = e.fill(ctx, n, 1)
	}
	return err
}

// onNodes runs projections on n nodes while work is done.
func (e *environment) onNodes(ctx context.Context, n int, projections []readview.Projection, work func(nodes []*node, managers []*readview.Manager) error) error {
	var (
		nodes    []*node
		managers []*readview.Manager
		run      func() error
	)
	run = func() error {
		if len(nodes) == n {
			return work(nodes, managers)
		}
		next, err := e.newNode(ctx, 24)
		if err != nil {
			return err
		}
		nodes = append(nodes, next)
		return withManager(ctx, next.pool, next.store, projections, func(manager *readview.Manager) error {
			managers = append(managers, manager)
			return run()
		})
	}
	return run()
}

// quietTime is for how long statements are counted, and settleTime how long before that all has come to rest.
const (
	quietTime  = 10 * time.Second
	settleTime = 3 * time.Second
)

// cost is what a time has cost the database, a second.
type cost struct{ statements, wal float64 }

// during counts what the nodes send, and what the server writes, while nothing is done but work.
func (e *environment) during(ctx context.Context, nodes []*node, work func(context.Context) error) (c cost, err error) {
	count := func() (statements, wal int64, err error) {
		for _, n := range nodes {
			statements += n.statements.Load()
		}
		err = e.pool.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&wal)
		return statements, wal, err
	}
	timed, cancel := context.WithTimeout(ctx, settleTime+quietTime)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- work(timed) }()
	time.Sleep(settleTime)
	s0, w0, err0 := count()
	began := time.Now()
	err = <-ran
	took := time.Since(began).Seconds()
	s1, w1, err1 := count()
	return cost{float64(s1-s0) / took, float64(w1-w0) / took / 1024}, errors.Join(err, err0, err1)
}

func nothing(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func prepareIdle(nodes int) func(context.Context, *environment) ([]contender, error) {
	return func(ctx context.Context, e *environment) ([]contender, error) {
		projections, err := e.many(ctx, 10)
		if err != nil {
			return nil, err
		}
		return []contender{{ours, func(ctx context.Context) (float64, error) {
			if err := e.afresh(ctx, 1000); err != nil {
				return 0, err
			}
			var c cost
			err := e.onNodes(ctx, nodes, projections, func(nodes []*node, managers []*readview.Manager) error {
				head, err := e.last(ctx)
				if err == nil {
					err = managers[0].WaitFor(ctx, head)
				}
				if err == nil {
					c, err = e.during(ctx, nodes, nothing)
				}
				return err
			})
			return c.statements, err
		}}}, nil
	}
}

// prepareIrrelevant has 200 events a second come that no projection handles, and tells what the projections add to what that
// costs without any.
func prepareIrrelevant(of func(cost) float64) func(context.Context, *environment) ([]contender, error) {
	return func(ctx context.Context, e *environment) ([]contender, error) {
		projections, err := e.many(ctx, 10)
		if err != nil {
			return nil, err
		}
		if err := e.fill(ctx, 1000, 1); err != nil {
			return nil, err
		}
		var c cost
		ignored := func(ctx context.Context) error { return e.ignored(ctx, 5*time.Millisecond) }
		alone := func(ctx context.Context) (float64, error) {
			var err error
			c, err = e.during(ctx, nil, ignored)
			return of(c), err
		}
		return []contender{{"10 projections", func(ctx context.Context) (float64, error) {
			without, err := alone(ctx)
			if err != nil {
				return 0, err
			}
			err = e.onNodes(ctx, 1, projections, func(nodes []*node, managers []*readview.Manager) error {
				head, err := e.last(ctx)
				if err == nil {
					err = managers[0].WaitFor(ctx, head)
				}
				if err == nil {
					c, err = e.during(ctx, nodes, ignored)
				}
				return err
			})
			return of(c) - without, err
		}}, {"the appends by themselves", alone}}, nil
	}
}

// ignored appends events that nobody handles until ctx ends.
func (e *environment) ignored(ctx context.Context, every time.Duration) error {
	encoded, err := e.store.Registry().Encode(ctx, &Ignored{Amount: 1})
	if err != nil {
		return err
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		event := encoded[0]
		event.ID = eventsourced.NewEventID()
		stream := eventsourced.Stream{AggregateName: "bank.Account", AggregateID: event.ID.String()}
		if _, err := e.store.Append(context.WithoutCancel(ctx), stream, eventsourced.NoStream, []eventsourced.EventData{event}); err != nil {
			return err
		}
	}
}

// prepareTogether measures how long projections of the same events take, all at once, against one.
func prepareTogether(ctx context.Context, e *environment) ([]contender, error) {
	projections, err := e.many(ctx, 4)
	if err != nil {
		return nil, err
	}
	const events = 50_000
	if err := e.fill(ctx, events, 1); err != nil {
		return nil, err
	}
	run := func(projections []readview.Projection) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			for _, p := range projections {
				if _, err := e.pool.Exec(ctx, `TRUNCATE `+p.Name); err != nil {
					return 0, err
				}
			}
			if err := e.clear(ctx, 0); err != nil {
				return 0, err
			}
			perSecond, err := e.run(ctx, e.pool, e.store, events, projections...)
			if err != nil {
				return 0, err
			}
			for _, p := range projections {
				var n int
				if err := e.pool.QueryRow(ctx, `SELECT sum(amount) FROM `+p.Name).Scan(&n); err != nil || n != events {
					return 0, fmt.Errorf("%s has %d of %d events: %w", p.Name, n, events, err)
				}
			}
			return events / perSecond, nil
		}
	}
	return []contender{{"four together", run(projections)}, {"one", run(projections[:1])}}, nil
}

// prepareFarBehind asks for the status of ten projections that have all of a log before them.
func prepareFarBehind(ctx context.Context, e *environment) ([]contender, error) {
	projections, err := e.many(ctx, 10)
	if err != nil {
		return nil, err
	}
	if err := e.fill(ctx, farBehind, 1); err != nil {
		return nil, err
	}
	return []contender{{ours, func(ctx context.Context) (float64, error) { return e.statusFarBehind(ctx, projections) }}}, nil
}

// statusFarBehind returns how long a status of projections takes that have everything to apply, p50 in milliseconds.
func (e *environment) statusFarBehind(ctx context.Context, projections []readview.Projection) (value float64, err error) {
	err = withManager(ctx, e.pool, e.store, projections, func(manager *readview.Manager) error {
		for _, name := range manager.Names() {
			if err := manager.Pause(ctx, name); err != nil {
				return err
			}
		}
		if _, err := e.pool.Exec(ctx, `UPDATE readviews SET position = 0`); err != nil {
			return err
		}
		value, err = each(21, func() error { _, err := manager.Status(ctx); return err })
		return err
	})
	return value, err
}

// farBehind is how many events. What is counted is bounded, so that 30 million are as 3.
const farBehind = 3_000_000

// prepareVisible measures the time from an append to its being visible, on one node or with one that applies, one that appends
// and one that waits.
func prepareVisible(quantile float64, baseline string, contenders map[string]int) func(context.Context, *environment) ([]contender, error) {
	return func(ctx context.Context, e *environment) ([]contender, error) {
		if _, err := e.pool.Exec(ctx, `CREATE TABLE plain (n BIGINT)`); err != nil {
			return nil, err
		}
		all := []contender{}
		for name, n := range contenders {
			projections, err := e.many(ctx, n)
			if err != nil {
				return nil, err
			}
			c := contender{name, func(ctx context.Context) (float64, error) { return e.visibleOn(ctx, quantile, projections) }}
			if name == baseline {
				all = append(all, c)
			} else {
				all = append([]contender{c}, all...)
			}
		}
		if baseline == plainCommit {
			all = append(all, contender{plainCommit, func(ctx context.Context) (float64, error) {
				return atSteadyPace(ctx, 0.50, func(n int) error {
					_, err := e.pool.Exec(ctx, `INSERT INTO plain VALUES ($1)`, n)
					return err
				})
			}})
		}
		return all, nil
	}
}

func (e *environment) visibleOn(ctx context.Context, quantile float64, projections []readview.Projection) (value float64, err error) {
	if err := e.afresh(ctx, 0); err != nil {
		return 0, err
	}
	err = e.onNodes(ctx, 1, projections, func(nodes []*node, managers []*readview.Manager) (err error) {
		value, err = atSteadyPace(ctx, quantile, func(n int) error {
			position, err := nodes[0].deposit(ctx, fmt.Sprint("account-", n))
			if err == nil {
				err = managers[0].WaitFor(ctx, position)
			}
			return err
		})
		return err
	})
	return value, err
}

func (n *node) deposit(ctx context.Context, account string) (eventsourced.Position, error) {
	return (&environment{store: n.store}).deposit(ctx, account)
}

// prepareElsewhere has one node apply, and another one append and wait.
func prepareElsewhere(quantile float64) func(context.Context, *environment) ([]contender, error) {
	return func(ctx context.Context, e *environment) ([]contender, error) {
		all, err := prepareVisible(quantile, plainCommit, nil)(ctx, e)
		if err != nil {
			return nil, err
		}
		return append([]contender{{ours, func(ctx context.Context) (value float64, err error) {
			if err := e.clear(ctx, 0); err != nil {
				return 0, err
			}
			if err := e.afresh(ctx, 0); err != nil {
				return 0, err
			}
			web, err := e.newNode(ctx, 24)
			if err != nil {
				return 0, err
			}
			waits, err := readview.NewManager(nil, web.store, web.pool, readview.Config{}, balances)
			if err != nil {
				return 0, err
			}
			err = e.onNodes(ctx, 1, []readview.Projection{balances}, func([]*node, []*readview.Manager) (err error) {
				value, err = atSteadyPace(ctx, quantile, func(n int) error {
					position, err := web.deposit(ctx, fmt.Sprint("account-", n))
					if err == nil {
						err = waits.WaitFor(ctx, position)
					}
					return err
				})
				return err
			})
			return value, err
		}}}, all...), nil
	}
}
