package pgstore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/internal/wait"
)

const (
	lookAfter   = time.Second            // waits for the log's lock that are longer are looked into, again and again
	lookTimeout = time.Second            // for one look
	poolTimeout = 200 * time.Millisecond // for a connection of the pool for it; then it has one of its own
)

// LockHolder is who has the log's lock, or a transaction open, as far as the store's role may see it: without the
// rights of pg_read_all_stats State and Query of other users are empty.
type LockHolder struct {
	PID         int           `json:"pid"`         // of the server's process, 0 for a prepared transaction
	Transaction string        `json:"transaction"` // the name of a prepared transaction, which somebody must commit or roll back
	State       string        `json:"state"`       // such as "idle in transaction"
	Query       string        `json:"query"`       // the beginning of the last one
	User        string        `json:"user"`        // of the database
	Application string        `json:"application"` // the application_name
	Client      string        `json:"client"`      // the address
	Connected   time.Time     `json:"connected"`   // when it did, which with PID says which session it is: pids are used again; zero when it is not visible
	Since       time.Time     `json:"since"`       // when the transaction began, by the database's clock
	Age         time.Duration `json:"age_ns"`      // of the transaction
}

// String returns the holder as "pid 7, state idle in transaction, query INSERT ...".
func (h LockHolder) String() string {
	parts := []string{fmt.Sprint("pid ", h.PID)}
	if h.Transaction != "" {
		parts = []string{fmt.Sprintf("the prepared transaction %q", h.Transaction)}
	}
	for _, part := range [][2]string{
		{"state", h.State}, {"query", h.Query}, {"user", h.User}, {"application", h.Application}, {"client", h.Client},
	} {
		if part[1] != "" {
			parts = append(parts, part[0]+" "+part[1])
		}
	}
	return fmt.Sprintf("%s, in its transaction for %s", strings.Join(parts, ", "), h.Age)
}

// waits tells those who wait for the log's lock whom for.
type waits struct {
	pool     *pgxpool.Pool
	sql      string
	logger   *slog.Logger
	observer Observer

	latest atomic.Pointer[sighting]

	mu     sync.Mutex
	logged LockHolder // was in the log last
}

// sighting is a holder for whom an append of this process waits or has given up waiting.
type sighting struct {
	holder LockHolder
	at     time.Time
}

// lockWait is one exchange's.
type lockWait struct {
	*waits
	pid    uint32
	began  time.Time
	timer  *time.Timer
	cancel context.CancelFunc
	looks  sync.WaitGroup
	seen   *sighting // by this one
}

// begin starts to look after a server's process that is about to wait for the lock.
func (w *waits) begin(pid uint32) *lockWait {
	ctx, cancel := context.WithCancel(context.Background())
	one := &lockWait{waits: w, pid: pid, began: time.Now(), cancel: cancel}
	one.looks.Add(1)
	one.timer = time.AfterFunc(lookAfter, func() {
		defer one.looks.Done()
		one.follow(ctx)
	})
	return one
}

// follow looks until ctx ends, and puts what it sees into the log when it is new.
func (w *lockWait) follow(ctx context.Context) {
	for {
		if holder, ok := w.look(ctx, w.pid); ok {
			if w.seen == nil {
				if ended := w.observer.LockAwaited(ctx, w.began, holder); ended != nil {
					defer ended()
				}
			}
			w.seen = &sighting{holder, time.Now()}
			w.latest.Store(w.seen)
			w.log(ctx, holder, time.Since(w.began))
		}
		if !wait.Sleep(ctx, lookAfter) {
			return
		}
	}
}

// log puts a holder into the log once, however many wait for it.
func (w *waits) log(ctx context.Context, holder LockHolder, waited time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.logged; last.PID == holder.PID && last.Transaction == holder.Transaction && last.Since.Equal(holder.Since) {
		return
	}
	w.logged = holder
	w.logger.WarnContext(ctx, "an append waits for the log's lock", "waited", waited.Round(time.Millisecond),
		"pid", holder.PID, "prepared_transaction", holder.Transaction, "state", holder.State, "query", holder.Query,
		"user", holder.User, "application", holder.Application, "client", holder.Client, "transaction_age", holder.Age)
}

// end ends the looks. It returns err, as a [*LockError] if the exchange gave up waiting
// for the lock.
func (w *lockWait) end(ctx context.Context, x *exchange, err error) error {
	w.cancel()
	if !w.timer.Stop() {
		w.looks.Wait()
	}
	waited := time.Since(w.began)
	switch {
	case err == nil || !isTimeout(err) && ctx.Err() == nil:
		if w.seen != nil {
			w.latest.CompareAndSwap(w.seen, nil)
		}
		return err
	case x.locking: // the server's word: it is not known whom for, or only now
		if w.seen == nil {
			if holder, ok := w.look(context.WithoutCancel(ctx), 0); ok {
				w.seen = &sighting{holder, time.Now()}
				w.log(ctx, holder, waited)
			}
		}
	case w.seen == nil: // it may wait for anything
		return err
	}
	gaveUp := &LockError{Waited: waited, Err: err}
	if w.seen != nil {
		gaveUp.Holder = &w.seen.holder
	}
	return gaveUp
}

// blame returns the error of a caller whose context has ended while the appends before
// it wait for the lock.
func (w *waits) blame(began time.Time, err error) error {
	seen, waited := w.latest.Load(), time.Since(began)
	if seen == nil || waited < lookAfter || time.Since(seen.at) > 3*lookAfter {
		return err
	}
	return &LockError{Waited: waited, Holder: &seen.holder, Err: err}
}

// look returns who holds the log's lock, if the server's process pid waits for it. With 0,
// and with a pid that a pooler has made up, it is taken for granted that it does.
func (w *waits) look(ctx context.Context, pid uint32) (h LockHolder, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	conn, release, err := w.connection(ctx)
	if err != nil {
		return h, false
	}
	defer release()
	rows, err := conn.Query(ctx, w.sql, int32(pid))
	if err != nil {
		return h, false
	}
	h, err = pgx.CollectOneRow(rows, scanHolder)
	return h, err == nil
}

// connection returns one that does not wait for those who wait.
func (w *waits) connection(ctx context.Context) (*pgx.Conn, func(), error) {
	short, cancel := context.WithTimeout(ctx, poolTimeout)
	defer cancel()
	if pooled, err := w.pool.Acquire(short); err == nil {
		return pooled.Conn(), pooled.Release, nil
	}
	config := w.pool.Config()
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err == nil && config.AfterConnect != nil {
		err = config.AfterConnect(ctx, conn)
	}
	return conn, func() { _ = conn.Close(context.WithoutCancel(ctx)) }, err
}
