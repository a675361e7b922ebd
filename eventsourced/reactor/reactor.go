package reactor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

const pageEvents = 32 // read at once

// Reactor does something about events, once for each, in contrast to a projection,
// which shows them, and again with each reset. It issues commands, sends mails,
// calls others; some call it a process manager or a policy. It has a position of
// its own in the log, which no reset of a read view touches.
//
// An event that can't be handled is tried [Config.Attempts] times, and for
// [Config.RetryFor] when its error may pass, then parked, or the reactor stops
// at it: see [Config.OnFailure]. Errors of the
// database that may pass (a lost connection, a deadlock) are retried for ever. The
// status says what is wrong, from the first try on.
//
// Of several nodes that run a reactor of one name, one is active and the others
// stand by.
type Reactor struct {
	log       eventsourced.Log
	store     *consumer.Store
	parks     parks
	config    Config
	reactions map[string]Reaction // by event name
	follower  *consumer.Follower

	failpoint func(point string) // tests kill the process here
}

// New returns a reactor to events of log, whose position is in the table consumers that pool
// reaches. It sends nothing yet. While it runs, it uses up to two connections of the pool
// for moments. The error names every problem.
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
	config = config.withDefaults()
	r := &Reactor{
		log:       log,
		store:     consumer.NewStore(pool, config.Config),
		config:    config,
		reactions: byName,
		failpoint: func(string) {},
	}
	r.parks = parks{r.store, config.Name}
	r.follower = consumer.NewFollower(log, r.store, config.Config, consumer.Work{
		ID:          consumer.ID{Kind: consumer.KindReactor, Name: config.Name},
		Names:       log.Registry().StoredNames(slices.Collect(maps.Keys(byName))...),
		PageEvents:  pageEvents,
		StartAtHead: config.StartAtHead,
		Retries:     true,
		Handle:      r.handle,
		Between:     r.between,
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

// Pause keeps the reactor from handling events, on all nodes, from within a second on, until
// it is resumed. A reaction that runs ends first.
func (r *Reactor) Pause(ctx context.Context) error { return r.follower.Pause(ctx) }

// Parked returns the events that were put aside, in the order of the log.
func (r *Reactor) Parked(ctx context.Context) ([]ParkedEvent, error) {
	return r.parks.list(ctx, false)
}

// Resume lets the reactor go on: one that is paused, one that stopped tries its event again, one that was
// ahead of the log goes on from its position, unless it still is, and parked events are
// tried again, once each, by the node that runs it. One that is not in the log any
// more stays parked, and its error says so.
func (r *Reactor) Resume(ctx context.Context) error {
	if err := r.parks.retry(ctx); err != nil {
		return err
	}
	return r.follower.Resume(ctx)
}

// between tries parked events again.
func (r *Reactor) between(ctx context.Context) error {
	if r.config.OnFailure != ParkFailures {
		return nil
	}
	return r.retryParked(ctx)
}

func (r *Reactor) handle(ctx context.Context, events []eventsourced.Recorded) error {
	for _, event := range events {
		if err := r.react(ctx, event); err != nil {
			return err
		}
		r.failpoint("handled")
		if err := r.follower.Save(ctx, event.Position); err != nil {
			return err
		}
		r.failpoint("saved")
	}
	return nil
}

// react handles an event until it is done or parked. It returns an error when it
// is neither.
func (r *Reactor) react(ctx context.Context, event eventsourced.Recorded) error {
	var failing time.Time // since when, as the status has it
	for tries, attempts := 1, 1; ; tries++ {
		err := r.call(ctx, event)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		r.follower.Note(consumer.PartEvents, &event, err)
		if failing.IsZero() {
			failing = time.Now()
		}
		switch {
		case r.passes(ctx, err):
		case attempts >= r.config.Attempts && (!mayPass(err) || time.Since(failing) >= r.config.RetryFor):
			return r.giveUp(ctx, event, err)
		default:
			attempts++
		}
		pause := r.config.BackOffAfter(tries)
		r.follower.Logger().WarnContext(ctx, "event not handled", "event_id", event.ID.String(), "event_name", event.Name,
			"position", int64(event.Position), "error", err, "wait", pause)
		wait.Sleep(ctx, pause)
	}
}

// passes tells that err comes from a database that is down, or busy. A lost
// connection may also be that of a call to somebody else: then the database answers.
func (r *Reactor) passes(ctx context.Context, err error) bool {
	if pgerr.ReadOnly(err) {
		r.store.Pool().Reset() // most likely it is the pool of the reaction as well
	}
	if !pgerr.Retryable(err) || pgerr.Code(err) != "" {
		return pgerr.Retryable(err)
	}
	return consumer.Detached(ctx, r.store.Pool().Ping) != nil
}

// call runs the reaction once, or those to all parts of an event that was split.
func (r *Reactor) call(ctx context.Context, recorded eventsourced.Recorded) error {
	return r.follower.Guard(ctx, consumer.PartEvents, &recorded, "a reaction", func(ctx context.Context) error {
		parts, err := r.log.Registry().AppendDecoded(ctx, nil, &recorded)
		if err != nil {
			return err
		}
		ctx = eventsourced.WithExecution(ctx)
		for _, part := range parts {
			reaction, has := r.reactions[part.Recorded.Name]
			if !has {
				continue
			}
			if err := reaction.call(eventsourced.WithRecorded(ctx, part.Recorded), part.Event); err != nil {
				return err
			}
		}
		return nil
	})
}

// giveUp parks an event, or stops at it.
func (r *Reactor) giveUp(ctx context.Context, event eventsourced.Recorded, cause error) error {
	logger := r.follower.Logger().With("event_id", event.ID.String(), "event_name", event.Name, "position", int64(event.Position), "error", cause)
	if r.config.OnFailure == ParkFailures {
		logger.ErrorContext(ctx, "event parked; fix the cause, then resume")
		return consumer.Detached(ctx, func(ctx context.Context) error { return r.parks.park(ctx, event, cause) })
	}
	logger.ErrorContext(ctx, "reactor stopped at an event; fix the cause, then resume or restart")
	if err := r.follower.Stop(ctx, event, cause); err != nil {
		return &consumer.EventError{Event: event, Err: errors.Join(cause, err)} // it is tried again
	}
	return consumer.ErrStopped
}
