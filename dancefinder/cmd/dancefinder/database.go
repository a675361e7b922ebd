package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/operate"
)

// How many connections a process has, unless the URL says so with pool_max_conns. The
// one that listens comes on top of it. With the least of them all goes on, if slower.
const (
	defaultConns = 16
	leastConns   = 2
)

// idleTime is how long a connection stays that nobody uses, unless the URL says so
// with pool_max_conn_idle_time: a process at rest has few.
const idleTime = time.Minute

const poolerHint = "Behind a pooler such as PgBouncer in transaction mode, add default_query_exec_mode=cache_describe to the database URL."

// openPool connects to the database, and refuses what could not work before
// anything is done.
func openPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, operate.UsageError{Err: fmt.Errorf("the database URL: %w", err)}
	}
	named, err := pgconn.ParseConfig(url) // which leaves the pool's settings alone
	if err != nil {
		return nil, operate.UsageError{Err: fmt.Errorf("the database URL: %w", err)}
	}
	if _, ok := named.RuntimeParams["pool_max_conns"]; !ok {
		config.MaxConns = max(defaultConns, config.MinConns, config.MinIdleConns)
	}
	if _, ok := named.RuntimeParams["pool_max_conn_idle_time"]; !ok {
		config.MaxConnIdleTime = idleTime
	}
	if _, ok := named.RuntimeParams["application_name"]; !ok {
		config.ConnConfig.RuntimeParams["application_name"] = "dancefinder" // by which the database's operators know it
	}
	if config.MaxConns < leastConns {
		return nil, operate.UsageError{Err: fmt.Errorf("the database URL: pool_max_conns=%d is too small: a projector needs %d, and has one more to listen", config.MaxConns, leastConns)}
	}
	switch mode := config.ConnConfig.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol:
		return nil, operate.UsageError{Err: fmt.Errorf("the database URL: default_query_exec_mode=%s does not ask the server for types, which the log needs: "+
			"behind a pooler use cache_describe, otherwise leave it out", strings.ReplaceAll(mode.String(), " ", "_"))}

	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("the database does not answer: %w", err)
	}
	return pool, nil
}

// checkMigrated refuses tables that this program was not made for.
func (a *app) checkMigrated(ctx context.Context) error {
	all, err := migrations.Status(ctx, a.pool)
	if errors.Is(err, migrations.ErrNewer) {
		return operate.HintedError{Err: err, Hint: "Run the version of DanceFinder that has migrated the database, or a later one."}
	}
	if err != nil {
		return err
	}
	if missing := migrations.Pending(all); len(missing) > 0 {
		return fmt.Errorf("the database lacks the migrations %s: run 'dancefinder migrate up'", strings.Join(missing, ", "))
	}
	return nil
}
