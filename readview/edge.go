package readview

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// In a catch-up the lock for a page is asked for while the page before commits, so that no trip to the server stands between two pages:
//
//	page 1   ... its statements ─▶ COMMIT ──────────▶ committed: those who wait are told
//	page 2   read ─▶ BEGIN, lock ── waits for page 1 ──▶ locked ─▶ compared as ever ─▶ its handlers
//
// That is on another connection, which is idle: so the lock is the server's to give, in the order in which it was asked for, and who has waited
// for page 1 longer gets it before page 2. What page 1 comes to changes nothing: if it fails, its position is what page 2 finds.
// It is not asked for before the page is read, and given back when nobody takes it up soon.

// openPatience is for how long a lock is held that nobody has taken up: a middleware may hold the page, or there is none any more.
const openPatience = 50 * time.Millisecond

// opening is a transaction that waits for the lock of its projection, or has it.
type opening struct {
	tx     *pipeline.Tx
	at     checkpoint
	parked int64
	err    error
	begun  chan struct{} // closed when tx or err is set
	locked chan struct{} // closed when the others are, too

	cancel  context.CancelFunc
	claimed atomic.Bool   // somebody has the transaction for himself
	taken   chan struct{} // closed by him
}

// claim tells whether the transaction is the caller's, to go on with it or to end it.
func (o *opening) claim() bool {
	if o.claimed.Swap(true) {
		return false
	}
	close(o.taken)
	return true
}

// end ends it without having used it, once it is claimed. A connection that waits for its answer can't be used again, so it is
// waited for a little.
func (o *opening) end() {
	cut := time.AfterFunc(openPatience, o.cancel)
	<-o.locked
	cut.Stop()
	o.cancel()
	if o.tx != nil {
		o.tx.Close()
	}
}

// openNext begins the transaction of the page after p, which is about to commit, if that page is read before p is committed.
// The returned function is to be called with the outcome; nothing is begun any more then.
func (a *applier) openNext(p *page) (settle func(committed bool)) {
	next := p.next.Load()
	if next == nil || next.life.Err() != nil {
		return func(bool) {}
	}
	var (
		mu      sync.Mutex
		settled bool
		o       *opening
	)
	over := make(chan struct{})
	a.openings.Go(func() {
		select {
		case <-next.result:
		case <-over:
			return
		}
		if next.err != nil || len(next.page.items) == 0 || !a.idle(over) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if !settled {
			o = a.open(next.life)
			next.page.opening.Store(o)
			next.page.next.Load().begin()
		}
	})
	return func(committed bool) {
		close(over)
		mu.Lock()
		defer mu.Unlock()
		settled = true
		if o != nil && !committed && o.claim() {
			a.openings.Go(o.end)
		}
	}
}

// idle waits for a connection to be idle, until over, and tells whether there is one.
func (a *applier) idle(over <-chan struct{}) bool {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for a.m.pool.Stat().IdleConns() == 0 {
		select {
		case <-look.C:
		case <-over:
			return false
		}
	}
	return true
}

// open begins a transaction in a goroutine, which ends it if nobody claims it soon.
func (a *applier) open(ctx context.Context) *opening {
	o := &opening{begun: make(chan struct{}), locked: make(chan struct{}), taken: make(chan struct{})}
	ctx, o.cancel = context.WithCancel(ctx)
	a.openings.Go(func() {
		o.lock(ctx, a)
		timer := time.NewTimer(openPatience)
		defer timer.Stop()
		select {
		case <-o.taken:
			return
		case <-timer.C:
		case <-ctx.Done():
		}
		if o.claim() {
			o.end()
		}
	})
	return o
}

func (o *opening) lock(ctx context.Context, a *applier) {
	begun := sync.OnceFunc(func() { close(o.begun) })
	defer close(o.locked)
	defer begun()
	defer wait.Recover(&o.err) // of a PositionStore
	o.tx, o.err = a.db.Begin(ctx, pipeline.Options{SearchPath: a.target.searchPath()})
	begun()
	if o.err == nil {
		o.at, o.parked, o.err = a.target.checkpoint(ctx, o.tx.Turn(ctx, pipeline.NoEvent))
	}
}

// begin begins the transaction of a page, or takes up the one that was begun for it and has the lock. What went wrong with that counts for
// nothing: it has waited for longer than others would have.
func (a *applier) begin(ctx context.Context, p *page, how pipeline.How) (tx *pipeline.Tx, o *opening, err error) {
	if o := p.opening.Swap(nil); o != nil && o.claim() {
		select {
		case <-o.begun:
			if o.tx != nil {
				a.under(p, o.tx)
			}
		case <-ctx.Done():
		}
		select {
		case <-o.locked:
		case <-ctx.Done():
		}
		if ctx.Err() == nil && o.err == nil {
			o.cancel()
			o.tx.Continue(ctx, how)
			return o.tx, o, nil
		}
		o.end()
	}
	tx, err = a.db.Begin(ctx, pipeline.Options{How: how, SearchPath: a.target.searchPath()})
	if err == nil {
		a.under(p, tx)
	}
	return tx, nil, err
}

// under notes which transaction a page is in.
func (a *applier) under(p *page, tx *pipeline.Tx) {
	p.tx.Store(tx)
	a.progress.tx.Store(tx)
}

// checkpoint locks the position, unless the transaction has it, and returns how the projection stands.
func (a *applier) checkpoint(ctx context.Context, own *pipeline.Turn, opened *opening) (at checkpoint, parked int64, err error) {
	if opened != nil {
		return opened.at, opened.parked, nil
	}
	return a.target.checkpoint(ctx, own)
}
