package reactor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
)

const pageEvents = 32 // read at once

// Reactor does something about events, once for each, in contrast to a projection,
// which shows them, and again with each reset. It issues commands, sends mails,
// calls others; some call it a process manager or a policy. It has a position of
// its own in the log, which no reset of a read view touches.
//
// An event that can't be handled is tried for [Config.RetryFor], then parked with what comes
// after it in its stream, or the reactor stops at it: see [Config.OnFailure], and [Retry],
// [Park] and [Skip]. Errors of the database that may pass (a lost connection, a deadlock)
// are retried for ever. The status says what is wrong, from the first try on.
//
// Of several nodes that run a reactor of one name, one is active and the others
// stand by. Its methods are safe for concurrent use, also while it does not run here.
type Reactor struct {
	log       eventsourced.Log
	store     *consumer.Store
	parking   Parking
	config    Config
	reactions map[string]Reaction // by event name
	names     []string            // that their events are stored under
	follower  *consumer.Follower
	window    *window // while it has the lease; of the follower's goroutine

	mu      sync.Mutex
	failing map[eventsourced.Position]consumer.Failure // what is being tried again

	failpoint func(point string) // tests kill the process here
}

// New returns a reactor to events of log, whose position is in the table consumers that pool
// reaches. It sends nothing yet. While it runs, it uses up to two connections of the pool
// for moments, none while a reaction runs, but one for each that is made by [OnTx]. The error names every problem.
func New(log eventsourced.Log, pool *pgxpool.Pool, config Config, reactions ...Reaction) (*Reactor, error) {
	problems := append(config.problems(), need.Log("reactor.New", log)...)
	if pool == nil {
		problems = append(problems, errors.New("reactor.New: the pool is nil"))
	}
	byName, reactionProblems := reactionsByName(log, reactions)
	problems = append(problems, reactionProblems...)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("reactor %q: %w", config.Name, err)
	}
	config = config.withDefaults(log)
	r := &Reactor{
		log:       log,
		store:     consumer.NewStore(pool, config.Config),
		config:    config,
		reactions: byName,
		names:     log.Registry().StoredNames(slices.Collect(maps.Keys(byName))...),
		failing:   map[eventsourced.Position]consumer.Failure{},
		failpoint: func(string) {},
	}
	r.parking = NewParking(r.store, config.Name)
	r.follower = consumer.NewFollower(log, r.store, config.Config, consumer.Work{
		ID:          consumer.ID{Kind: consumer.KindReactor, Name: config.Name},
		Names:       r.names,
		PageEvents:  pageEvents,
		StartAtHead: config.StartAtHead,
		Retries:     true,
		Handle:      r.handle,
		Between:     r.between,
		Begin:       r.begin,
		After:       func() eventsourced.Position { return r.window.read },
		Failing:     r.fails,
		Skip:        func(ctx context.Context, to eventsourced.Position) error { return r.window.skip(ctx, to) },
	})
	return r, nil
}

// Run handles events until ctx ends, and returns nil, soon after
// [consumer.Config.DrainTimeout] even when a reaction does not return. It is called once.
func (r *Reactor) Run(ctx context.Context) error {
	r.follower.Run(ctx)
	return nil
}

// Status returns how the reactor stands, whichever node runs it.
func (r *Reactor) Status(ctx context.Context) (consumer.Status, error) { return r.follower.Status(ctx) }

// Hangs returns the reactor when a reaction, on this node, has not returned for [consumer.Config.HangTimeout]. Another
// node may have taken it over; what hangs here ends with the process. It asks nobody.
func (r *Reactor) Hangs() []consumer.ID {
	if r.follower.Hangs() {
		return []consumer.ID{r.follower.ID()}
	}
	return nil
}

// Pause keeps the reactor from handling events, on all nodes, until it is resumed: see
// [consumer.Store.Pause]. A reaction that runs ends first.
func (r *Reactor) Pause(ctx context.Context) error { return r.follower.Pause(ctx) }

// Parked returns the events that were put aside, in the order of the log.
func (r *Reactor) Parked(ctx context.Context) ([]ParkedEvent, error) { return r.parking.Parked(ctx) }

// Skipped returns the events that were passed over, see [Parking.Skipped].
func (r *Reactor) Skipped(ctx context.Context) ([]ParkedEvent, error) { return r.parking.Skipped(ctx) }

// Resume lets the reactor go on: one that is paused, one that stopped tries its event again, one that was
// ahead of the log goes on from its position, unless it still is, and parked events are
// tried again, see [Parking.ResumeAll], by the node that runs it. One that is not in the log any
// more stays parked, and its error says so.
func (r *Reactor) Resume(ctx context.Context) error {
	if _, err := r.parking.ResumeAll(ctx); err != nil {
		return err
	}
	return r.follower.Resume(ctx)
}

// ResumeStream has the parked events of one stream tried again, see [Parking.ResumeStream].
func (r *Reactor) ResumeStream(ctx context.Context, stream eventsourced.Stream) error {
	defer r.follower.Nudge()
	_, err := r.parking.ResumeStream(ctx, stream)
	return err
}

// ResumeEvent has one parked event tried again, see [Parking.ResumeEvent].
func (r *Reactor) ResumeEvent(ctx context.Context, id eventsourced.EventID) error {
	defer r.follower.Nudge()
	_, err := r.parking.ResumeEvent(ctx, id)
	return err
}
