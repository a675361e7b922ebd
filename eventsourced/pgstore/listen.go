package pgstore

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Times of the wake-up. All of it is a hint: consumers poll as well.
const (
	notifyTimeout   = 5 * time.Second        // for one NOTIFY
	notifyFirst     = time.Millisecond       // between two: the first goes at once, those that follow become one; it doubles
	notifyLast      = 5 * time.Millisecond   // while several come each time, and is halved for one, so that each of a few goes at once
	lookInterval    = 500 * time.Millisecond // the same while nobody listens elsewhere
	listenTimeout   = 10 * time.Second       // for connecting and LISTEN
	listenerBackOff = 500 * time.Millisecond // after the listening connection was lost
	pooledBackOff   = time.Minute            // after a pooler was found in its place
)

// hub carries wake-ups: from appends of this process at once, from those of other
// processes by LISTEN on one connection, which is held while anybody listens.
// NOTIFY takes a lock on the whole cluster when it commits, so it is sent after the append's
// commit, on its own and without a flush to disk, not for every append, and not when nobody listens elsewhere: listeners hold a shared advisory lock. Of a pooler that
// spreads a session's statements the lock would stay in a connection that nobody listens on,
// so there it is not taken.
type hub struct {
	pool   *pgxpool.Pool
	sql    statements
	logger *slog.Logger

	open context.Context // until close
	end  context.CancelFunc

	listenerPID atomic.Uint32 // the server's process that this one listens on, 0 when it does not

	mu        sync.Mutex
	listeners map[chan struct{}]struct{}
	stop      context.CancelFunc // of the receiving goroutine, nil when there is none
	notifying bool               // or resting behind it
	again     int                // wakes that came while notifying
	rest      time.Duration      // the next one
	resting   bool
	running   sync.WaitGroup
	warned    map[[2]string]bool // of errors by what did not work and their kind, until it works again
}

func newHub(pool *pgxpool.Pool, sql statements, logger *slog.Logger) *hub {
	h := &hub{pool: pool, sql: sql, logger: logger, listeners: map[chan struct{}]struct{}{}, warned: map[[2]string]bool{}}
	h.open, h.end = context.WithCancel(context.Background())
	return h
}

// Listen implements [eventsourced.Listener]. While anybody listens, one
// connection more than the pool's is in use for it. After [Store.Close] the channel gets no
// more values.
func (s *Store) Listen(ctx context.Context) <-chan struct{} { return s.hub.listen(ctx) }

// Wake tells consumers in all processes to look for new events. It returns at
// once. Appends do it by themselves; [Store.AppendTx] can't.
func (s *Store) Wake() { s.hub.wake() }

func (h *hub) listen(ctx context.Context) <-chan struct{} {
	listener := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners[listener] = struct{}{}
	if h.stop == nil && h.open.Err() == nil {
		receiveCtx, stop := context.WithCancel(h.open)
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
	if len(h.listeners) == 0 && h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// wake tells the listeners of this process, and those of the others by NOTIFY.
func (h *hub) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open.Err() != nil {
		return
	}
	h.tellLocked()
	if h.notifying {
		h.again++
		return
	}
	h.notifying, h.rest = true, notifyFirst
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

// notify tells other processes. The rest behind it is a timer's: it holds up nobody who ends meanwhile.
func (h *hub) notify() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
		var told int64
		err := again(ctx, h.pool, func() error {
			tag, err := h.pool.Exec(ctx, h.sql.notify, int32(h.listenerPID.Load()))
			told = tag.RowsAffected()
			return err
		})
		cancel()
		h.report("NOTIFY", "other processes are not woken, and find new events at their next poll", err)
		if !h.goesOn(err == nil && told == 0) {
			return
		}
	}
}

// goesOn begins the rest, unless the store is closed: then it tells whether there is one more wake to pass on.
func (h *hub) goesOn(alone bool) (more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open.Err() != nil {
		more, h.again = h.again > 0, 0
		return more
	}
	rest := h.rest
	if alone {
		rest = lookInterval
	}
	h.resting = true
	time.AfterFunc(rest, h.rested)
	return false
}

func (h *hub) rested() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open.Err() != nil { // close has seen to it
		return
	}
	if h.again > 1 {
		h.rest = min(2*h.rest, notifyLast)
	} else {
		h.rest = max(h.rest/2, notifyFirst)
	}
	h.resting = false
	if h.notifying, h.again = h.again > 0, 0; h.notifying {
		h.running.Go(h.notify)
	}
}

// receive passes notifications on until ctx ends. After every (re)connect it
// wakes everybody, because notifications may have been missed.
func (h *hub) receive(ctx context.Context) {
	for ctx.Err() == nil {
		err := h.receiveOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		h.report("LISTEN", "events of other processes are found at the next poll only", err)
		pause := listenerBackOff
		switch {
		case errors.Is(err, errPooled):
			pause = pooledBackOff
		case pgerr.ReadOnly(err):
			h.pool.Reset()
		}
		wait.Sleep(ctx, pause)
	}
}

func (h *hub) receiveOnce(ctx context.Context) error {
	connectCtx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	pooled, err := h.pool.Acquire(connectCtx)
	if err != nil {
		return err
	}
	channel, err := h.session(connectCtx, pooled.Conn())
	if err != nil {
		pooled.Release()
		return err
	}
	// The connection is in the LISTEN state: it never goes back to the pool.
	conn := pooled.Hijack()
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyTimeout)
		defer cancel()
		_ = conn.Close(closeCtx)
	}()
	for _, statement := range []string{h.sql.listening, "LISTEN " + pgx.Identifier{channel}.Sanitize()} {
		if _, err := conn.Exec(connectCtx, statement); err != nil {
			return err
		}
	}
	h.listenerPID.Store(conn.PgConn().PID())
	defer h.listenerPID.Store(0)
	h.report("LISTEN", "", nil)
	for {
		h.tell()
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// session returns the name of the channel, if the connection is a session of the server: a
// pooler tells its clients a process id that is not the server's, or has several for
// several statements.
func (h *hub) session(ctx context.Context, conn *pgx.Conn) (channel string, err error) {
	for range 3 {
		var pid uint32
		if err := conn.QueryRow(ctx, h.sql.channel).Scan(&channel, &pid); err != nil {
			return "", err
		}
		if pid != conn.PgConn().PID() {
			return "", errPooled
		}
	}
	return channel, nil
}

// report puts an error into the log, once for each kind of error until it works again.
func (h *hub) report(what, message string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		maps.DeleteFunc(h.warned, func(key [2]string, _ bool) bool { return key[0] == what })
		return
	}
	if key := [2]string{what, kind(err)}; !h.warned[key] {
		h.warned[key] = true
		h.logger.WarnContext(h.open, message, "statement", what, "error", translate(err))
	}
}

// close waits for what is under way, and ends the listening.
func (h *hub) close() {
	h.mu.Lock() // whoever is in wake or listen has begun what is waited for
	h.end()
	if h.resting && h.again > 0 {
		h.again = 0
		h.running.Go(h.notify)
	}
	h.mu.Unlock()
	h.running.Wait()
}
