package messaging

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
	config     SubscriberConfig
	logger     *slog.Logger
	consumer   Consumer
	names      []string // nil is all
	node       string   // unique to this follower
	pageEvents int      // read at once, and held in memory

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
	headAt   time.Time             // when to compare it with the log's head again
	failures int                   // in a row
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
	}
	f.skip = f.save
	return f
}

// run handles events until ctx ends, whenever it is this node's turn.
func (f *follower) run(ctx context.Context) {
	news := f.log.Listen(ctx)
	for ctx.Err() == nil {
		pause, err := f.lead(ctx, news)
		if err != nil && ctx.Err() == nil {
			f.backOff(ctx, err)
		}
		sleep(ctx, pause)
	}
	err := detached(ctx, func(ctx context.Context) error {
		return f.positions.Release(ctx, f.consumer, f.node)
	})
	if err != nil {
		f.logger.InfoContext(ctx, "lease not released, it ends by itself", "error", err)
	}
}

// lead handles events as long as it holds the lease. Without one it returns how
// long to wait before asking again.
func (f *follower) lead(ctx context.Context, news <-chan struct{}) (time.Duration, error) {
	if f.startAt != nil {
		head, err := f.log.Head(ctx)
		if err == nil {
			err = f.startAt(ctx, f.consumer, head)
		}
		if err != nil {
			return 0, err
		}
		f.startAt = nil
	}
	var lease Lease
	err := detached(ctx, func(ctx context.Context) (err error) {
		lease, err = f.positions.Acquire(ctx, f.consumer, f.node, f.config.leaseTime())
		return err
	})
	if err != nil {
		return 0, err
	}
	if !lease.Held {
		return min(max(lease.Left, time.Millisecond), f.config.PollInterval), nil
	}
	f.position = lease.Position

	leading, lose := context.WithCancelCause(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { f.renew(leading, lose) })
	defer renewal.Wait()
	defer lose(nil)
	if f.session != nil {
		end, err := f.session(leading)
		if err != nil {
			return 0, err
		}
		defer end()
	}
	for {
		err := f.follow(leading, news)
		if errors.Is(err, ErrLeaseLost) || errors.Is(context.Cause(leading), ErrLeaseLost) {
			f.logger.WarnContext(ctx, "consumer starts again", "error", err)
			lose(nil)
			return 0, nil
		}
		if ctx.Err() != nil {
			lose(nil)
			return 0, nil
		}
		f.backOff(leading, err)
	}
}

// backOff waits after an error, longer with each one in a row.
func (f *follower) backOff(ctx context.Context, err error) {
	f.failures++
	wait := f.config.backOff(f.failures)
	f.logger.WarnContext(ctx, "consumer waits before it goes on", "error", err, "wait", wait)
	sleep(ctx, wait)
}

// renew keeps the lease until ctx ends, and ends ctx when the lease is lost. When
// the position store fails it goes on trying: nothing is lost with the lease.
func (f *follower) renew(ctx context.Context, lose context.CancelCauseFunc) {
	for sleep(ctx, f.config.leaseTime()/4) {
		err := detached(ctx, func(ctx context.Context) error {
			return f.positions.Renew(ctx, f.consumer, f.node, f.config.leaseTime())
		})
		if errors.Is(err, ErrLeaseLost) {
			lose(ErrLeaseLost)
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
	if err != nil || len(events) > 0 || time.Now().Before(f.headAt) {
		return events, err
	}
	f.headAt = time.Now().Add(f.config.PollInterval)
	// The head is read before the events are looked for once more: one that comes
	// in between is above it.
	head, err := f.log.Head(ctx)
	if err != nil || head <= f.position {
		return nil, err
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
			return nil, err
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
			f.position = to
			return nil
		}
		f.logger.WarnContext(ctx, "position not saved", "position", int64(to), "error", err)
		if ctx.Err() != nil || errors.Is(err, ErrLeaseLost) {
			return err
		}
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
