package messaging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const (
	positionTimeout = 5 * time.Second // of one call to the position store
	maxPageBytes    = 4 << 20         // of payloads read at once; a single event may be larger
)

// follower takes one consumer through the log, whenever this node has the
// consumer's lease: a subscription, a relay or a reactor. All but the lease's
// renewal happens in one goroutine.
type follower struct {
	log        eventsourced.Log
	positions  PositionStore
	table      *Positions // the positions, if they are those: it has the record, too
	config     SubscriberConfig
	logger     *slog.Logger
	consumer   Consumer
	names      []string // nil is all
	node       string   // unique to this follower
	pageEvents int      // read at once, and held in memory

	// restart, if set, lets a consumer that stopped try again, with the first lease.
	restart func(ctx context.Context) error
	// startAt, if set, makes a new consumer begin at a position, the log's head.
	startAt func(ctx context.Context, consumer Consumer, at eventsourced.Position) error
	// handle is given the next events and saves the position as it gets on.
	handle func(ctx context.Context, events []eventsourced.Recorded) error
	// session, if set, is called with every lease, before events are handled; what
	// it returns is called at the lease's end.
	session func(ctx context.Context) (end func(), err error)
	// between, if set, is called before the log is looked at, and soon after a nudge.
	between func(ctx context.Context) error

	// skip moves the position over events that are not the consumer's.
	skip func(ctx context.Context, to eventsourced.Position) error

	nudges   chan struct{}
	position eventsourced.Position // everything up to it is done
	at       atomic.Int64          // the position, for other goroutines
	aheadAt  atomic.Int64          // the position at which the consumer was found to be ahead of the log
	resumed  atomic.Bool           // since then; without a table
	leads    atomic.Bool           // it has the lease, as far as it knows
	look     atomic.Bool           // at the log's head, now
	headAt   time.Time             // when to compare it with the log's head again
	failures int                   // in a row

	record  *record
	hanging atomic.Int64  // how many calls hang
	givenUp chan struct{} // closed when Run is not to wait for them any longer
}

func newFollower(log eventsourced.Log, positions PositionStore, config SubscriberConfig, consumer Consumer) *follower {
	f := &follower{
		log:       log,
		positions: positions,
		config:    config,
		logger:    config.Logger.With("consumer", consumer.String()),
		consumer:  consumer,
		node:      config.Node + "/" + eventsourced.NewEventID().String()[24:],
		nudges:    make(chan struct{}, 1),
		record:    newRecord(),
		givenUp:   make(chan struct{}),
	}
	f.table, _ = positions.(*Positions)
	f.skip = f.save
	return f
}

// run handles events until ctx ends, whenever it is this node's turn. It returns
// soon after the drain timeout.
func (f *follower) run(ctx context.Context) {
	defer f.giveUpAfter(ctx)()
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	var keeper sync.WaitGroup
	keeper.Go(func() { f.keepRecord(keeping) })
	news := f.log.Listen(ctx)
	for ctx.Err() == nil {
		pause, err := f.lead(ctx, news)
		if err != nil && ctx.Err() == nil {
			f.backOff(ctx, err)
		}
		sleep(ctx, pause)
	}
	stopKeeping()
	keeper.Wait()
	err := detached(ctx, func(ctx context.Context) error {
		return f.positions.Release(ctx, f.consumer, f.node)
	})
	if err != nil {
		f.logger.InfoContext(ctx, "lease not released, it ends by itself", "error", err)
	}
}

// giveUpAfter has calls that hang given up when ctx has ended and the drain timeout
// has passed, and a tenth of it: for those that obey their context.
func (f *follower) giveUpAfter(ctx context.Context) (stop func()) {
	ended := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		timer := time.NewTimer(f.config.DrainTimeout + f.config.DrainTimeout/10)
		defer timer.Stop()
		select {
		case <-timer.C:
			close(f.givenUp)
		case <-ended:
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}

// lead handles events as long as it holds the lease. Without one it returns how
// long to wait before asking again.
func (f *follower) lead(ctx context.Context, news <-chan struct{}) (time.Duration, error) {
	lease, err := f.acquire(ctx)
	if err != nil {
		return 0, err
	}
	if !lease.Held {
		f.record.clear(ofEvents) // the other one's are on record
		return min(max(lease.Left, time.Millisecond), f.config.PollInterval), nil
	}
	f.setPosition(lease.Position)
	f.record.suspect()
	f.leads.Store(true)
	defer f.leads.Store(false)

	leading, lose := context.WithCancelCause(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { f.renew(leading, lose) })
	defer renewal.Wait()
	defer lose(nil)
	end := func() {}
	defer func() { end() }()
	begun := f.session == nil
	for {
		err := f.ready(leading)
		if err == nil && !begun {
			var started func()
			if started, err = f.session(leading); err == nil {
				end, begun = started, true
			}
		}
		if err == nil {
			err = f.follow(leading, news)
		}
		switch {
		case errors.Is(err, ErrLeaseLost) || errors.Is(context.Cause(leading), ErrLeaseLost):
			f.logger.WarnContext(ctx, "consumer starts again", "error", err)
			lose(nil)
			return 0, nil
		case ctx.Err() != nil:
			lose(nil)
			return 0, nil
		case !errors.Is(err, errStopped):
			f.backOff(leading, err)
		}
	}
}

// acquire asks for the lease. A new consumer is made first where it is to begin.
func (f *follower) acquire(ctx context.Context) (lease Lease, err error) {
	if f.startAt != nil {
		head, err := f.log.Head(ctx)
		if err != nil {
			return Lease{}, fmt.Errorf("read the log: %w", err)
		}
		if err := f.startAt(ctx, f.consumer, head); err != nil {
			return Lease{}, err
		}
		f.startAt = nil
	}
	err = detached(ctx, func(ctx context.Context) (err error) {
		lease, err = f.positions.Acquire(ctx, f.consumer, f.node, f.config.leaseTime())
		return err
	})
	return lease, err
}

func (f *follower) setPosition(to eventsourced.Position) {
	f.position = to
	f.at.Store(int64(to))
}

// backOff waits after an error, longer with each one in a row.
func (f *follower) backOff(ctx context.Context, err error) {
	f.failures++
	f.record.note(ofEvents, nil, err)
	wait := f.config.backOff(f.failures)
	f.logger.WarnContext(ctx, "consumer waits before it goes on", "error", err, "wait", wait)
	sleep(ctx, wait)
}

// renew keeps the lease until ctx ends, and ends ctx when the lease is lost. When
// the position store fails it goes on trying: nothing is lost with the lease. While a
// call hangs it lets the lease end.
func (f *follower) renew(ctx context.Context, lose context.CancelCauseFunc) {
	defer f.record.clear(ofLease)
	for sleep(ctx, f.config.leaseTime()/4) {
		if f.hanging.Load() > 0 {
			continue
		}
		err := detached(ctx, func(ctx context.Context) error {
			return f.positions.Renew(ctx, f.consumer, f.node, f.config.leaseTime())
		})
		switch {
		case errors.Is(err, ErrLeaseLost):
			lose(ErrLeaseLost)
		case err != nil:
			f.record.note(ofLease, nil, err)
		default:
			f.record.clear(ofLease)
		}
	}
}

// follow handles page after page and waits at the end of the log for more.
func (f *follower) follow(ctx context.Context, news <-chan struct{}) error {
	for ctx.Err() == nil {
		if f.between != nil {
			if err := f.between(ctx); err != nil {
				return err
			}
		}
		events, err := f.read(ctx)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			if err := f.handle(ctx, events); err != nil {
				return err
			}
		}
		f.failures = 0
		f.record.clear(ofEvents)
		if len(events) == 0 {
			f.wait(ctx, news)
		}
	}
	return ctx.Err()
}

// read returns the next events. When there are none it moves the position, now and
// then, to the head of the log: a consumer of a rare event is not behind.
func (f *follower) read(ctx context.Context) ([]eventsourced.Recorded, error) {
	events, err := f.page(ctx, 0)
	if err != nil || len(events) > 0 || !f.look.Swap(false) && time.Now().Before(f.headAt) {
		return events, err
	}
	f.headAt = time.Now().Add(f.config.PollInterval)
	if f.table != nil { // somebody may have set the position
		if stopped, err := f.stopped(ctx); err != nil || stopped {
			return nil, cmp.Or(err, errStopped)
		}
	}
	// The head is read before the events are looked for once more: one that comes
	// in between is above it.
	head, err := f.log.Head(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the log: %w", err)
	case head < f.position:
		return nil, errors.Join(errStopped, f.stopAhead(ctx, head))
	case head == f.position:
		return nil, nil
	}
	if events, err = f.page(ctx, head); err != nil || len(events) > 0 {
		return events, err
	}
	return nil, f.skip(ctx, head)
}

func (f *follower) page(ctx context.Context, upTo eventsourced.Position) (events []eventsourced.Recorded, err error) {
	query := eventsourced.LogQuery{After: f.position, UpTo: upTo, Names: f.names, Limit: f.pageEvents}
	bytes := 0
	for event, err := range f.log.ReadLog(ctx, query) {
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		events = append(events, event)
		if bytes += len(event.Payload); bytes >= maxPageBytes {
			break
		}
	}
	return events, nil
}

// save moves the position.
func (f *follower) save(ctx context.Context, to eventsourced.Position) error {
	return f.saveBy(ctx, to, func(ctx context.Context) error {
		return f.positions.Save(ctx, f.consumer, f.node, f.position, to)
	})
}

// saveBy moves the position by a call to the position store. What is done should
// not be done again only because the connection was lost, so it gives up only with
// ctx.
func (f *follower) saveBy(ctx context.Context, to eventsourced.Position, call func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := detached(ctx, call)
		if err == nil {
			f.setPosition(to)
			f.record.clear(ofEvents)
			return nil
		}
		f.logger.WarnContext(ctx, "position not saved", "position", int64(to), "error", err)
		if ctx.Err() != nil || errors.Is(err, ErrLeaseLost) {
			return err
		}
		f.record.note(ofEvents, nil, err)
		sleep(ctx, f.config.backOff(attempt))
	}
}

// nudge has between called soon.
func (f *follower) nudge() {
	select {
	case f.nudges <- struct{}{}:
	default:
	}
}

// wait waits for news or a nudge, for the poll interval at most.
func (f *follower) wait(ctx context.Context, news <-chan struct{}) {
	timer := time.NewTimer(f.config.PollInterval)
	defer timer.Stop()
	select {
	case <-news:
	case <-f.nudges:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// draining returns a context for work that is under way when ctx ends: it goes on
// for the drain timeout, but not after the lease was lost, when somebody else does
// the same work.
func (f *follower) draining(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), ErrLeaseLost) {
			sleep(work, f.config.DrainTimeout)
		}
		cancel()
	})
	return work, func() {
		stop()
		cancel()
	}
}

// detached calls the position store. The call outlives ctx: what is done counts,
// and the lease is given back, also when ctx ends in the midst of it.
func detached(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), positionTimeout)
	defer cancel()
	return call(ctx)
}

// sleep waits for d and tells whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
