package consumer

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/need"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Follower takes one consumer through the log, whenever this node has the consumer's
// lease: reactors, relays and subscriptions are built on it. [Follower.Run],
// [Follower.Status], [Follower.Pause], [Follower.Resume] and [Follower.Nudge] may be
// called concurrently; all else is for the functions of [Work].
type Follower struct {
	log       eventsourced.Log
	positions LeaseStore
	table     *Store // the positions, if they are those: it has the record, too
	config    Config
	logger    *slog.Logger
	work      Work
	id        ID
	node      string // unique to this follower
	restart   bool   // it may have stopped, and is to try again
	started   bool   // it has begun, at the head

	nudges   chan struct{}
	position eventsourced.Position // everything up to it is done
	at       atomic.Int64          // the position, for other goroutines
	aheadAt  atomic.Int64          // the position at which the consumer was found to be ahead of the log
	resumed  atomic.Bool           // since then; without a table
	leads    atomic.Bool           // it has the lease, as far as it knows
	working  atomic.Bool           // and nothing forbids to handle events
	look     atomic.Bool           // at the log's head, now
	headAt   time.Time             // when to compare it with the log's head again
	failures int                   // in a row

	record  *record
	hanging atomic.Int64  // how many calls hang
	givenUp chan struct{} // closed when Run is not to wait for them any longer
}

// NewFollower returns a follower of log. It sends nothing. It panics with all that is wrong: a log or
// positions that are nil, a config or work that makes no sense.
func NewFollower(log eventsourced.Log, positions LeaseStore, config Config, work Work) *Follower {
	if err := errors.Join(followerProblems(log, positions, config, work)...); err != nil {
		panic(err.Error())
	}
	config = config.WithDefaults()
	f := &Follower{
		log:       log,
		positions: positions,
		config:    config,
		logger:    config.Logger.With("consumer", work.ID.String()),
		work:      work,
		id:        work.ID,
		node:      config.Node + "/" + eventsourced.NewEventID().String()[24:],
		nudges:    make(chan struct{}, 1),
		givenUp:   make(chan struct{}),
	}
	f.record = newRecord(func(failure Failure) { config.Observer.Failed(context.Background(), work.ID, failure) })
	f.table, _ = positions.(*Store)
	f.restart = work.Retries && f.table != nil
	if f.work.Skip == nil {
		f.work.Skip = f.Save
	}
	return f
}

func followerProblems(log eventsourced.Log, positions LeaseStore, config Config, work Work) []error {
	problems := append(need.Log("consumer.NewFollower", log), config.Problems("consumer.Config")...)
	if need.Nil(positions) {
		problems = append(problems, errors.New("consumer.NewFollower: the positions are nil"))
	}
	if work.Handle == nil {
		problems = append(problems, errors.New("consumer.Work: Handle is nil"))
	}
	if work.PageEvents < 1 {
		problems = append(problems, errors.New("consumer.Work: PageEvents is below 1"))
	}
	return problems
}

// ID returns which consumer it is.
func (f *Follower) ID() ID { return f.id }

// Node returns the name of this follower in the position store.
func (f *Follower) Node() string { return f.node }

// Logger returns one that names the consumer.
func (f *Follower) Logger() *slog.Logger { return f.logger }

// Config returns the configuration, with defaults.
func (f *Follower) Config() Config { return f.config }

// Hangs tells that a call hangs: another node may take over, so begin nothing new. It may be
// called concurrently.
func (f *Follower) Hangs() bool { return f.hanging.Load() > 0 }

// Position returns up to where everything is done.
func (f *Follower) Position() eventsourced.Position { return f.position }

// Run handles events until ctx ends, whenever it is this node's turn. It returns
// soon after the drain timeout, and is called once.
func (f *Follower) Run(ctx context.Context) {
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
		wait.Sleep(ctx, pause)
	}
	stopKeeping()
	keeper.Wait()
	err := wait.Detached(ctx, func(ctx context.Context) error {
		return f.positions.Release(ctx, f.id, f.node)
	})
	if err != nil {
		f.logger.InfoContext(ctx, "lease not released, it ends by itself", "error", err)
	}
}

// giveUpAfter has calls that hang given up when ctx has ended and the drain timeout
// has passed, and a tenth of it: for those that obey their context.
func (f *Follower) giveUpAfter(ctx context.Context) (stop func()) {
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

// Pause keeps the consumer from handling events, on all nodes, until it is resumed: see
// [Store.Pause], which it needs.
func (f *Follower) Pause(ctx context.Context) error {
	if f.table == nil {
		return errors.New("pause " + f.id.String() + ": its positions are not in the table consumers")
	}
	if err := f.table.start(ctx, f.id, 0); err != nil {
		return err
	}
	defer f.Nudge()
	return f.table.Pause(ctx, f.id)
}

// Resume lets the consumer go on that is paused, that stopped at a failure, or that was
// ahead of the log, unless it still is.
func (f *Follower) Resume(ctx context.Context) error {
	var err error
	if f.table != nil {
		if err = f.table.Resume(ctx, f.id); errors.Is(err, ErrUnknown) {
			err = nil
		}
	}
	f.resumed.Store(true)
	f.Nudge()
	return err
}

// Status returns how the follower's consumer stands. One that has never run is a
// standby at 0. What this process knows of a failure counts, unless another one runs
// the consumer: it may be that the table can't be written.
func (f *Follower) Status(ctx context.Context) (Status, error) {
	at := f.at.Load()
	s := standing{id: f.id, position: eventsourced.Position(at), node: f.node, leased: f.leads.Load(), ahead: at > 0 && at == f.aheadAt.Load()}
	if f.table != nil {
		var err error
		s, err = f.table.standing(ctx, f.id)
		if err != nil {
			return f.unread(err)
		}
	}
	failure := f.record.current()
	if failure != nil && f.aheadAt.Load() != int64(s.position) && strings.HasPrefix(failure.Error, ErrAhead.Error()) {
		failure = nil // somebody has set the position
	}
	switch {
	case s.leased && s.node != f.node:
	case failure == nil && s.leased && f.record.certain() && !s.stopped && !s.ahead:
		s.failure = nil // it is about to be forgotten
	case failure != nil:
		if s.failure != nil && s.failure.Position == failure.Position && s.failure.Since.Before(failure.Since) {
			failure.Since = s.failure.Since
		}
		s.failure, s.trying = failure, true
	}
	status, err := s.status(ctx, f.log, f.work.Names)
	if err == nil && status.Head < status.Position && !s.ahead {
		f.look.Store(true) // and stop
		f.Nudge()
	}
	return status, err
}

// unread is the status when it can't be read, with what this process knows.
func (f *Follower) unread(err error) (Status, error) {
	status := f.id.status()
	status.Position, status.State, status.Behind, status.Failure = eventsourced.Position(f.at.Load()), Standby, -1, f.record.current()
	switch {
	case status.Failure != nil && status.Failure.Stalled:
		status.State = Stalled
	case status.Failure != nil:
		status.State = Retrying
	}
	return status, err
}
