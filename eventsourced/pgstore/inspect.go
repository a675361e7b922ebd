package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// Defaults of [InspectorConfig], and what is not to be changed.
const (
	DefaultInspectTimeout = 2 * time.Second
	DefaultScan           = 10_000

	DefaultFound = 50   // events that [Inspector.Find] returns
	MaxFound     = 1000 // at most

	inspections = 4               // at the same time, of one inspector
	fewer       = 20              // times less than Scan is looked at when that takes too long
	clientGrace = time.Second     // the server is to give up first: then the connection is kept
	maxTimeout  = 1 * time.Minute // of an inspection
)

// InspectorConfig is the optional part of an [Inspector]. The zero value works.
type InspectorConfig struct {
	// Timeout is for how long the server works on one question, and how long that waits for a
	// connection. It is a minute at most. Defaults to [DefaultInspectTimeout].
	Timeout time.Duration

	// Scan is how many events one question looks at that has no index for what it asks. When the
	// Timeout is not enough for that, as the table is not in memory, it is asked once more of a twentieth
	// of them. Defaults to [DefaultScan].
	Scan int

	// Tables are names of tables besides the log's, without a schema, such as "readviews": who waits for a lock on one of them counts for
	// [Inspector.Blocked], too.
	Tables []string
}

// Inspector reads the log for people who look into something. Whatever they ask, it can't hurt the
// database: a question is a read-only transaction with a timeout on the server and no parallel
// workers, looks at no more than so many events, and four at most are asked at the same time. An
// answer that is not all of it says so. It is safe for concurrent use.
type Inspector struct {
	store  *Store
	config InspectorConfig
	places chan struct{}
}

// Inspector returns one for the log. It panics with all that is wrong with config.
func (s *Store) Inspector(config InspectorConfig) *Inspector {
	var problems []error
	if config.Timeout < 0 || config.Timeout > maxTimeout {
		problems = append(problems, fmt.Errorf("pgstore.InspectorConfig: Timeout is %s, want up to %s, or 0 for %s", config.Timeout, maxTimeout, DefaultInspectTimeout))
	}
	if config.Scan < 0 {
		problems = append(problems, fmt.Errorf("pgstore.InspectorConfig: Scan is negative"))
	}
	if err := errors.Join(problems...); err != nil {
		panic(err.Error())
	}
	config.Timeout, config.Scan = cmp.Or(config.Timeout, DefaultInspectTimeout), cmp.Or(config.Scan, DefaultScan)
	return &Inspector{s, config, make(chan struct{}, inspections)}
}

// limitsSQL sets those of one inspection's transaction, and tells how far the log is archived. Parallel workers would take the processors from
// those who append, and compiling a plan takes longer than anything here may. A plan that gathers and sorts
// all that may match, as the planner thinks fit for several names with a filter, is never the one for a page.
const limitsSQL = `SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $1, true),
	set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), (SELECT coalesce(max(last), 0) FROM {log_archive})`

// inspection is the transaction of a question. All of it sees the same state.
type inspection struct {
	pgx.Tx
	archived eventsourced.Position // up to there the log is in files
	scan     int                   // how many events a search may look at
}

// search is ask for what looks at Scan events. When that takes too long, it is asked once more of fewer: an answer
// that is cut tells more than none.
func (i *Inspector) search(ctx context.Context, what string, f func(context.Context, inspection) error) (err error) {
	for _, scan := range []int{i.config.Scan, max(i.config.Scan/fewer, 1)} {
		err = i.ask(ctx, what, func(ctx context.Context, tx inspection) error {
			tx.scan = scan
			return f(ctx, tx)
		})
		if !errors.Is(err, ErrTooLong) {
			break
		}
	}
	return err
}

// ask has f ask the database something. The error is [ErrTooLong] when that took too long.
func (i *Inspector) ask(ctx context.Context, what string, f func(context.Context, inspection) error) error {
	if i.store.unusable != nil {
		return fmt.Errorf("%s: %w", what, i.store.unusable)
	}
	within, cancel := context.WithTimeout(ctx, i.config.Timeout+clientGrace)
	defer cancel()
	select {
	case i.places <- struct{}{}:
		defer func() { <-i.places }()
	case <-within.Done():
		return i.explain(ctx, what, within.Err())
	}
	err := again(within, i.store.pool, func() error {
		return pgx.BeginTxFunc(within, i.store.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			var archived int64
			settings := make([]any, 6)
			err := tx.QueryRow(within, i.store.sql.limits, strconv.FormatInt(max(i.config.Timeout.Milliseconds(), 1), 10)).Scan(append(settings, &archived)...)
			if err != nil {
				return err
			}
			return f(within, inspection{Tx: tx, archived: eventsourced.Position(archived)})
		})
	})
	return i.explain(ctx, what, err)
}

func (i *Inspector) explain(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case isTimeout(err) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return fmt.Errorf("%s: %w after %s: %w", what, ErrTooLong, i.config.Timeout, err)
	case pgerr.Code(err) == "":
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, translate(err))
}

// Event returns the event at a position with its payload, from the archive if it is there; nil when there is none. Errors:
// [ErrTooLong], [ErrArchived] and those of package logarchive.
func (i *Inspector) Event(ctx context.Context, position eventsourced.Position) (event *eventsourced.Recorded, err error) {
	event, archived, err := i.one(ctx, i.store.sql.eventAt, int64(position))
	if event != nil || err != nil || position > archived {
		return event, err
	}
	for found, err := range i.store.ReadLog(ctx, eventsourced.LogQuery{After: position - 1, UpTo: position}) {
		return &found, err
	}
	return nil, nil
}

// EventByID returns the event of an id with its payload, nil when there is none. Of archived events it knows the first and the
// last one of each stream; an id that it does not find in a log with an archive is [ErrNotSought]. Errors: that one, [ErrTooLong].
func (i *Inspector) EventByID(ctx context.Context, id eventsourced.EventID) (*eventsourced.Recorded, error) {
	event, archived, err := i.one(ctx, i.store.sql.eventByID, [16]byte(id))
	if event == nil && err == nil && archived > 0 {
		err = fmt.Errorf("the event %s is not above position %d: %w", id, archived, ErrNotSought)
	}
	return event, err
}

func (i *Inspector) one(ctx context.Context, sql string, key any) (event *eventsourced.Recorded, archived eventsourced.Position, err error) {
	err = i.ask(ctx, "read an event", func(ctx context.Context, tx inspection) error {
		archived = tx.archived
		events, err := collect(ctx, tx, sql, key)
		if len(events) > 0 {
			event = &events[0]
		}
		return err
	})
	return event, archived, err
}

func collect(ctx context.Context, tx querier, sql string, arguments ...any) (events []eventsourced.Recorded, err error) {
	rows, err := tx.Query(ctx, sql, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	d := decoder{}
	for rows.Next() {
		event, err := d.event(rows)
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return slices.Clip(events), rows.Err()
}
