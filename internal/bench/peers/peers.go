// Package peers does the benchmarks' account job with other event-sourcing
// libraries, through their public API only.
//
// An account is an aggregate with one event, Deposited. The read view is a table
// with the balance of each account, kept by one upsert an event. What the libraries
// leave to their users, the read view's transactions and a durable position of the
// projection, is the same code for all of them.
package peers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Peer is another library doing the account job on a PostgreSQL database of its
// own. Append, AppendNew and Load may be called concurrently, and while one
// Project runs.
type Peer interface {
	// Append deposits 1 to the account: it loads the aggregate, records the event
	// and saves it with the library's optimistic concurrency, again from the start
	// after a version conflict, until it succeeds or ctx ends. The account need
	// not exist.
	Append(ctx context.Context, account string) error
	// AppendNew deposits 1 to an account that has no events, without loading it.
	AppendNew(ctx context.Context, account string) error
	// Load rebuilds the account from all its events and returns its balance, which
	// is 0 for an account without events.
	Load(ctx context.Context, account string) (int64, error)
	// Project applies the events after the projection's position to the table
	// balance, one upsert each, until it has applied n. It applies more if more
	// were there to fetch. What it returns is how many it applied and committed,
	// also with an error: if the library misses events, ctx ends it.
	Project(ctx context.Context, n int) (int, error)
	// ResetProjection empties the table balance and puts the projection before the
	// first event.
	ResetProjection(ctx context.Context) error
	// Close closes the connections.
	Close() error
}

// Deposited is the event of both libraries.
type Deposited struct{ Amount int64 }

const (
	// connections is at least one for each of 64 writers.
	connections = 64
	// pageEvents bounds the transactions that apply events. The libraries have none of
	// their own, so this is the choice that is best for them: a commit for each event
	// costs much more, and in one transaction for the whole log an upsert has to pass
	// all the versions that its row had before.
	pageEvents = 1000
	// pause is how long a projection that has nothing to do waits before it looks
	// again. The libraries poll; their own examples do so in seconds.
	pause = 10 * time.Millisecond
)

var openers = map[string]func(context.Context, *pgxpool.Pool) (Peer, error){
	"hallgren/eventsourcing": openHallgren,
	"modernice/goes":         openGoes,
}

// Names returns the names that [Open] knows.
func Names() []string { return slices.Sorted(maps.Keys(openers)) }

// Open connects to the database at url and creates the library's tables and those
// of the read view. Two peers can't share a schema: both have a table "events".
func Open(ctx context.Context, name, url string) (Peer, error) {
	open, ok := openers[name]
	if !ok {
		return nil, fmt.Errorf("no peer %q; there are %q", name, Names())
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	var peer Peer
	if err = createView(ctx, pool); err == nil {
		peer, err = open(ctx, pool)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return peer, nil
}

// untilSaved repeats an append that lost to another one on the same account.
func untilSaved(ctx context.Context, conflict error, deposit func() error) error {
	for {
		err := deposit()
		lost := conflict != nil && errors.Is(err, conflict) || isUniqueViolation(err)
		if !lost || ctx.Err() != nil {
			return err
		}
	}
}

// isUniqueViolation recognizes a version that another append took first. Both
// libraries let this error of the database through.
func isUniqueViolation(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && failure.Code == "23505"
}
