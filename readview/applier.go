package readview

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// applier applies one projection's pages on this node, wherever they come from: see
// [source]. What it does with one is on record in the database and in the progress.
//
// A source goes on from what load returns, has a page applied by apply, and then calls
// succeed, or settle with its error.
type applier struct {
	*definition
	m        *Manager
	registry *eventsourced.Registry
	log      eventsourced.LogReader // where its events can be looked up, nil when they come by messages
	logger   *slog.Logger
	target   target // what it writes
	tracer   consumer.Tracer

	alone    sync.Map // names of events that are applied alone
	progress progress
	failed   atomic.Bool // there may be a failure on record
	meter    meter
	pageCap  atomic.Int64   // events, at most PageEvents, less when a page took too long
	db       *pipeline.DB   // open while a source runs
	openings sync.WaitGroup // of the goroutines in edge.go

	mu      sync.Mutex
	running int               // times that a source was subscribed to
	refused error             // why this node can't run the projection, nil when it can
	trouble *consumer.Failure // why it does not get on, as this node knows it

	// Of the goroutine that has pages applied.
	failures   int // in a row
	attempted  eventsourced.EventID
	attempts   int       // at that event
	since      time.Time // of the first one
	started    bool      // a failure of an earlier process is retried
	again      bool      // likewise, and what has failed then may come once more as it was
	read       *int64    // the publication that it has read, nil when it is not known; see record
	registered bool      // this program has run the projection
	remakeAt   time.Time // not earlier
	stands     bool      // it stands by, and the observer was told
	free       time.Time // since when nobody has the lease of the other program that does now

	before    func(ctx context.Context, tx *pipeline.Tx, it *item) error // called before each event's handler; nil for nothing
	failpoint func(point string)                                         // tests kill the process here
}

func newApplier(m *Manager, d *definition, registry *eventsourced.Registry, log eventsourced.LogReader) *applier {
	a := &applier{
		definition: d,
		m:          m,
		registry:   registry,
		log:        log,
		logger:     m.config.Logger.With("projection", d.Name),
		tracer:     m.config.Tracer,
		failpoint:  func(string) {},
	}
	a.target = live{a}
	a.pageCap.Store(int64(m.config.PageEvents))
	return a
}

// start is called by a source when the router subscribes, with what ends with the router.
func (a *applier) start(life context.Context) {
	a.m.life.Store(&life)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running++
	a.db = pipeline.Open(a.m.pool)
}

// end is called by a source when nothing is applied any more.
func (a *applier) end() {
	a.openings.Wait()
	if err := a.db.Close(); err != nil {
		a.logger.Warn("projection not closed well", "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
}

// starts tells whether the router has subscribed.
func (a *applier) starts() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running > 0
}

// announce tells those who wait that the projection is at a position now, since when see [watcher.hear], or, with 0, that
// its state has changed.
func (a *applier) announce(at eventsourced.Position, since time.Time) {
	a.m.announce(a.Name, at, since)
}

// load returns how the projection stands, after making its rows if it is new. A
// failure of an earlier process is retried. It returns [ErrNewEvents] or [ErrChanged] when this
// node can't run it.
func (a *applier) load(ctx context.Context) (record, error) {
	stored, err := a.m.states.read(ctx, a.Name)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && a.differs(stored) {
		lacking := stored.programs.lacking(a.definition)
		if err == nil && a.registered && stored.programs.version == a.Version && (len(lacking) > 0 || !a.abandoned(stored)) { // another program has taken over since
			err = olderProgramError(a.Name, lacking)
		} else {
			err = a.m.states.register(ctx, a.log, a.definition)
		}
		if err == nil {
			stored, err = a.m.states.read(ctx, a.Name)
		}
	}
	if err == nil && a.registered { // another program may have taken over, with another topic
		err = stored.programs.otherTopic(a.definition)
	}
	if err == nil && !a.registered {
		err = a.m.states.reshaped(ctx, a.definition, stored)
	}
	if err != nil {
		done, failed := a.remake(ctx, stored, err)
		if failed != nil {
			return record{}, failed
		}
		if done { // and things are as this program has them
			return a.load(ctx)
		}
	}
	a.refuse(ctx, err)
	if err != nil {
		return record{}, explain(err)
	}
	if !a.registered {
		if err := a.m.missingTables(ctx, a.definition); err != nil {
			return record{}, err
		}
	}
	if err := a.m.states.shaped(ctx, a.definition, stored); err != nil {
		return record{}, err
	}
	if err := a.m.states.fed(ctx, a.definition, stored, !a.registered); err != nil {
		return record{}, err
	}
	a.registered, a.free = true, time.Time{}
	if !a.started && stored.status == "failed" {
		if err := a.m.states.retry(ctx, a.Name); err != nil {
			return record{}, err
		}
		stored.Running, a.again = true, true
	}
	a.started, a.read = true, stored.publication
	if stored.failure != nil { // never false here: one may have been put on record since it was read
		a.failed.Store(true)
	}
	return stored, nil
}

// differs tells that what is stored is of another program.
func (a *applier) differs(stored record) bool {
	return stored.programs.version != a.Version || !slices.Equal(stored.programs.handled, a.handled)
}

// standBy notes that this node does not apply the projection: because of cause, or because
// another node does.
func (a *applier) standBy(ctx context.Context, cause error) {
	if !a.stands {
		a.stands = true
		a.m.config.Observer.Standby(ctx, a.id(), cause)
	}
}

// abandoned tells that nobody has had the lease for a while: a program that has just started
// asks for it within a poll interval.
func (a *applier) abandoned(stored record) bool {
	if stored.leaseValid {
		a.free = time.Time{}
		return false
	}
	if a.free.IsZero() {
		a.free = time.Now()
	}
	return time.Since(a.free) >= 2*a.m.config.PollInterval
}

// refuse notes why this node can't run the projection, nil when it can.
func (a *applier) refuse(ctx context.Context, err error) {
	if !refusal(err) {
		err = nil
	}
	a.mu.Lock()
	known := a.refused != nil
	a.refused = err
	a.mu.Unlock()
	switch {
	case err == nil || known:
		return
	case errors.Is(err, ErrOlderProgram):
		a.logger.WarnContext(ctx, "projection stands by", "error", err)
	default:
		a.logger.ErrorContext(ctx, "projection refused", "error", err)
	}
	a.announce(0, time.Time{})
}

// refusal tells that an error says why this program can't run the projection.
func refusal(err error) bool { return refused(err) || errors.Is(err, ErrOlderProgram) }

// release ends this node's lease, so that another one takes over at once.
func (a *applier) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.m.config.PollInterval)
	defer cancel()
	if err := a.m.states.release(ctx, a.Name, a.m.node); err != nil {
		a.logger.InfoContext(ctx, "lease not released, it ends by itself", "error", err)
	}
}

// decode survives upcasters and UnmarshalJSON methods that panic.
func (a *applier) decode(ctx context.Context, to []eventsourced.Decoded, recorded *eventsourced.Recorded) (decoded []eventsourced.Decoded, err error) {
	defer wait.Recover(&err)
	return a.registry.AppendDecoded(ctx, to, recorded)
}
