package pgstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Times of the wake-up. All of it is a hint: consumers poll as well.
const (
	notifyTimeout   = 5 * time.Second        // for one NOTIFY
	notifyInterval  = 10 * time.Millisecond  // between two: the first goes at once, those that follow become one
	lookInterval    = 500 * time.Millisecond // the same while nobody listens elsewhere
	listenTimeout   = 10 * time.Second       // for connecting and LISTEN
	listenerBackOff = 500 * time.Millisecond // after the listening connection was lost
)

// hub carries wake-ups: from appends of this process at once, from those of other
// processes by LISTEN on one connection, which is held while anybody listens.
// NOTIFY takes a lock on the whole cluster when it commits, and a flush to disk, so
// it is sent after the append's commit, on its own, not for every append, and not
// when nobody listens elsewhere: listeners hold a shared advisory lock.
type hub struct {
	pool *pgxpool.Pool
	sql  statements

	pauses    context.Context // no longer, once it has ended
	endPauses context.CancelFunc

	listenerPID atomic.Uint32 // the server's process that this one listens on, 0 when it does not

	mu        sync.Mutex
	listeners map[chan struct{}]struct{}
	stop      context.CancelFunc // of the receiving goroutine, nil when there is none
	notifying bool
	again     bool // another wake came while notifying
	running   sync.WaitGroup
}

func newHub(pool *pgxpool.Pool, sql statements) *hub {
	h := &hub{pool: pool, sql: sql, listeners: map[chan struct{}]struct{}{}}
	h.pauses, h.endPauses = context.WithCancel(context.Background())
	return h
}

// Listen implements [eventsourced.Listener]. While anybody listens, one
// connection of the pool is in use for it.
func (s *Store) Listen(ctx context.Context) <-chan struct{} { return s.hub.listen(ctx) }

// Wake tells consumers in all processes to look for new events. It returns at
// once. Appends do it by themselves; [Store.AppendTx] can't.
func (s *Store) Wake() { s.hub.wake() }

func (h *hub) listen(ctx context.Context) <-chan struct{} {
	listener := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners[listener] = struct{}{}
	if h.stop == nil {
		receiveCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		h.stop = stop
		h.running.Go(func() { h.receive(receiveCtx) })
	}
	context.AfterFunc(ctx, func() { h.unlisten(listener) })
	return listener
}

func (h *hub) unlisten(listener chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, listener)
	close(listener)
	if len(h.listeners) == 0 {
		h.stop()
		h.stop = nil
	}
}

// wake tells the listeners of this process, and those of the others by NOTIFY.
func (h *hub) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tellLocked()
	if h.notifying {
		h.again = true
		return
	}
	h.notifying = true
	h.running.Go(h.notify)
}

func (h *hub) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tellLocked()
}

func (h *hub) tellLocked() {
	for listener := range h.listeners {
		select {
		case listener <- struct{}{}:
		default:
		}
	}
}

func (h *hub) notify() {
	for more := true; more; {
		ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
		tag, err := h.pool.Exec(ctx, h.sql.notify, int32(h.listenerPID.Load())) // a lost hint costs one poll interval
		cancel()
		pause := notifyInterval
		if err == nil && tag.RowsAffected() == 0 {
			pause = lookInterval
		}
		sleep(h.pauses, pause)
		h.mu.Lock()
		more, h.again = h.again, false
		h.notifying = more
		h.mu.Unlock()
	}
}

// receive passes notifications on until ctx ends. After every (re)connect it
// wakes everybody, because notifications may have been missed.
func (h *hub) receive(ctx context.Context) {
	for ctx.Err() == nil {
		_ = h.receiveOnce(ctx) // lost: polling goes on meanwhile
		sleep(ctx, listenerBackOff)
	}
}

func (h *hub) receiveOnce(ctx context.Context) error {
	connectCtx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	pooled, err := h.pool.Acquire(connectCtx)
	if err != nil {
		return err
	}
	// The connection is in the LISTEN state: it never goes back to the pool.
	conn := pooled.Hijack()
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyTimeout)
		defer cancel()
		_ = conn.Close(closeCtx)
	}()
	var channel string
	if err := conn.QueryRow(connectCtx, h.sql.channel).Scan(&channel); err != nil {
		return err
	}
	for _, statement := range []string{h.sql.listening, "LISTEN " + pgx.Identifier{channel}.Sanitize()} {
		if _, err := conn.Exec(connectCtx, statement); err != nil {
			return err
		}
	}
	h.listenerPID.Store(conn.PgConn().PID())
	defer h.listenerPID.Store(0)
	for {
		h.tell()
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// close waits for what is under way; the listeners end with their contexts.
func (h *hub) close() {
	h.endPauses()
	h.running.Wait()
}
