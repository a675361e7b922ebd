// Package adoption turns the rows of a database from before there were events into events, so
// that the read views can be reset as any others: streams get the rows' ids, events their dates,
// and a replay reproduces the tables column by column.
//
// The events are recorded as they are, past the commands: what the domain would refuse today, such
// as a name that is too long or a text with a line break, is a fact all the same. A row is refused
// only when no event can say what it says: a date that is infinite or before Christ, a
// coordinate that is no number, a name that is empty.
//
// A band's name may belong to one band only, but rows may have it in different case: all are
// adopted under their own ids, with their own dances, and the oldest one is the one that whoever
// creates a band by that name meets. The same holds for halls. Preferences keep all their
// spellings; who takes one back takes them all back. A dance whose band is gone is adopted as it is: its
// band is unknown.
package adoption

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// ErrRunning is returned while another process adopts rows of the same database.
var ErrRunning = errors.New("rows are being adopted by another process")

// MetaAdopted is the key of the metadata that adopted events have: the table and id of the row.
const MetaAdopted = "adopted_from"

// workers is how many appends are under way at once: the store sends them together.
const workers = 16

// Options of [Run]. The zero value works.
type Options struct {
	Progress func(rows int64) // is told the number of rows so far, from one goroutine at a time
	Refused  func(Refusal)    // is told of each row that can't be adopted, from one goroutine at a time
}

// Refusal is a row that can't be adopted.
type Refusal struct {
	Table  string `json:"table"`
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// Table counts the rows of one table.
type Table struct {
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	Adopted int64  `json:"adopted"` // now
	Known   int64  `json:"known"`   // to the log before, by an earlier run or otherwise
	Refused int64  `json:"refused"`
}

// Run adopts all rows that the log does not know. It is idempotent, and after it was stopped,
// however that was, another run does the rest: each row is adopted as a whole or not at all, and once.
// The report is right also with an error. It returns [ErrRunning].
//
// Nothing else should create bands or halls until it is through: by name they would not meet those
// that are still to come.
func Run(ctx context.Context, pool *pgxpool.Pool, store eventsourced.Store, options Options) (report []Table, err error) {
	unlock, err := lock(ctx, pool)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := &run{pool: pool, store: store, options: options, tables: map[string]*Table{}}
	for _, adopt := range []func(context.Context) error{r.bands, r.halls, r.dances, r.preferences} {
		if err = adopt(ctx); err != nil {
			err = fmt.Errorf("adopt: %w", err)
			break
		}
	}
	for _, name := range Tables {
		report = append(report, *r.table(name))
	}
	return report, err
}

// Tables are those whose rows are adopted, in that order.
var Tables = []string{
	"band", "dance_hall", "event", "origin", "ignored_band", "ignored_dance_hall", "ignored_city", "ignored_municipality", "ignored_state",
}

// lockWait is how long a run waits for another one to end: the server may take a moment to
// notice that one was killed.
const lockWait = 5 * time.Second

func lock(ctx context.Context, pool *pgxpool.Pool) (unlock func(), err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	const key = "hashtextextended('dancefinder adopts ' || current_schema(), 0)"
	for deadline := time.Now().Add(lockWait); ; {
		var locked bool
		if err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock("+key+")").Scan(&locked); err == nil && locked {
			break
		}
		if err == nil && time.Now().After(deadline) {
			err = ErrRunning
		}
		if err != nil {
			conn.Release()
			return nil, err
		}
		select {
		case <-ctx.Done(): // which the next look finds out
		case <-time.After(50 * time.Millisecond):
		}
	}
	return func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock("+key+")"); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // and the lock goes with it
		}
		conn.Release()
	}, nil
}

// run is one run.
type run struct {
	pool    *pgxpool.Pool
	store   eventsourced.Store
	options Options

	mu     sync.Mutex
	tables map[string]*Table
	rows   int64
}

// together gives do a function that has work done by a few goroutines, and waits for them.
func together(ctx context.Context, do func(ctx context.Context, work func(func() error)) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	err := do(ctx, func(f func() error) { group.Go(f) })
	failed := group.Wait()
	if failed != nil && errors.Is(err, context.Canceled) {
		return failed // it ended the group's context, and so the other
	}
	return errors.Join(err, failed)
}

// outcome is what became of a row.
type outcome int

const (
	adopted outcome = iota
	known
	refused
)

func (r *run) count(table string, what outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.table(table)
	t.Rows++
	switch what {
	case adopted:
		t.Adopted++
	case known:
		t.Known++
	case refused:
		t.Refused++
	}
	r.rows++
	if r.options.Progress != nil {
		r.options.Progress(r.rows)
	}
}

func (r *run) table(name string) *Table {
	if r.tables[name] == nil {
		r.tables[name] = &Table{Table: name}
	}
	return r.tables[name]
}

func (r *run) refuse(table, id string, reason error) {
	r.count(table, refused)
	if r.options.Refused != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.options.Refused(Refusal{table, id, reason.Error()})
	}
}

// append appends what a row says to a stream. An event's id follows from its row, so that one
// whose append was cut off is not there twice.
func (r *run) append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, facts ...fact) error {
	data := make([]eventsourced.EventData, len(facts))
	for i, f := range facts {
		eventsourced.SetBase(f.event, eventsourced.BaseEvent{EventAggregateId: stream.AggregateID, EventTime: f.at})
		encoded, err := r.store.Registry().Encode(eventsourced.WithMetadata(ctx, MetaAdopted, f.from), f.event)
		if err != nil {
			return fmt.Errorf("%w: %w", eventsourced.ErrInvalid, err)
		}
		data[i] = encoded[0]
		data[i].ID = eventsourced.EventID(uuid.NewSHA1(eventIDs, []byte(data[i].Name+"\x1f"+f.from)))
	}
	_, err := r.store.Append(ctx, stream, expected, data)
	return err
}

var eventIDs = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/dancefinder/eventsourcing/adopted-events"))
