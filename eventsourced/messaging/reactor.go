package messaging

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

const reactorTopic = "$reactor" // in the table consumers

// Reaction handles the events of one type; [On] makes it.
type Reaction struct {
	goType reflect.Type
	call   func(ctx context.Context, event eventsourced.Event) error // nil if On got nil
}

// On makes a reaction of f, for events of the type that f takes.
//
// f is called for one event at a time, in the order of the log, at least once: it
// is called again after an error, and for an event that it had finished when the
// process died before that was saved. So what it does has to be harmless when it
// is done twice; [eventsourced.WithCommand] makes a command so.
//
// Its context has the event, see [eventsourced.FromContext]: what is appended under
// it names the event as its cause. The context ends
// [ReactorConfig.DrainTimeout] after Run's, when another node took over, and when f
// takes longer than [ReactorConfig.HangTimeout]: then the reactor waits for f to
// return, and another node takes over. A panic is an error, and so is
// [runtime.Goexit], which FailNow of a test calls.
func On[E any, P interface {
	*E
	eventsourced.Event
}](f func(ctx context.Context, event P) error) Reaction {
	if f == nil {
		return Reaction{goType: reflect.TypeFor[P]()}
	}
	return Reaction{
		goType: reflect.TypeFor[P](),
		call:   func(ctx context.Context, event eventsourced.Event) error { return f(ctx, event.(P)) },
	}
}

// Reactor does something about events, once for each, in contrast to a projection,
// which shows them, and again with each reset. It issues commands, sends mails,
// calls others; some call it a process manager or a policy. It has a position of
// its own in the log, which no reset of a read view touches.
//
// An event that can't be handled is tried [ReactorConfig.Attempts] times, and for
// [ReactorConfig.RetryFor] when its error may pass, then parked, or the reactor stops
// at it: see [ReactorConfig.OnFailure]. Errors of the
// database that may pass (a lost connection, a deadlock) are retried for ever. The
// status says what is wrong, from the first try on.
//
// Of several nodes that run a reactor of one name, one is active and the others
// stand by.
type Reactor struct {
	log       eventsourced.Log
	positions *Positions
	config    ReactorConfig
	reactions map[string]Reaction // by event name
	follower  *follower

	failpoint func(point string) // tests kill the process here
}

// NewReactor returns a reactor to events of log. It sends nothing yet. While it
// runs, it uses up to two connections of the positions' pool for moments.
func NewReactor(log eventsourced.Log, positions *Positions, config ReactorConfig, reactions ...Reaction) (*Reactor, error) {
	problems := append(config.problems(), logProblems("NewReactor", log)...)
	if positions == nil {
		problems = append(problems, errors.New("messaging.NewReactor: the positions are nil"))
	}
	byName, reactionProblems := reactionsByName(log, reactions)
	problems = append(problems, reactionProblems...)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("reactor %q: %w", config.Name, err)
	}
	config = config.withDefaults()
	r := &Reactor{
		log:       log,
		positions: positions,
		config:    config,
		reactions: byName,
		follower:  newFollower(log, positions, config.following(), Consumer{Group: config.Name, Topic: reactorTopic}),
		failpoint: func(string) {},
	}
	r.follower.names = log.Registry().StoredNames(slices.Collect(maps.Keys(byName))...)
	r.follower.pageEvents = subscriptionPage
	if config.StartAtHead {
		r.follower.startAt = positions.start
	}
	r.follower.restart = func(ctx context.Context) error { return positions.restart(ctx, r.follower.consumer) }
	r.follower.between = r.between
	r.follower.handle = r.handle
	return r, nil
}

// reactionsByName returns the reactions by the names of their events, and what is
// wrong with them.
func reactionsByName(log eventsourced.Log, reactions []Reaction) (byName map[string]Reaction, problems []error) {
	byName = map[string]Reaction{}
	for _, reaction := range reactions {
		switch {
		case reaction.goType == nil:
			problems = append(problems, errors.New("a reaction is not made by On"))
			continue
		case reaction.call == nil:
			problems = append(problems, fmt.Errorf("the reaction to %v is nil", reaction.goType))
		}
		if len(logProblems("", log)) > 0 {
			continue
		}
		name, known := log.Registry().NameOf(reaction.goType)
		switch _, twice := byName[name]; {
		case !known:
			problems = append(problems, fmt.Errorf("the event type %v is not in the registry", reaction.goType))
		case twice:
			problems = append(problems, fmt.Errorf("two reactions to %s", name))
		default:
			byName[name] = reaction
		}
	}
	if len(reactions) == 0 {
		problems = append(problems, errors.New("it needs at least one reaction"))
	}
	return byName, problems
}

// Run handles events until ctx ends, and returns nil, soon after
// [ReactorConfig.DrainTimeout] even when a reaction does not return. It is called once.
func (r *Reactor) Run(ctx context.Context) error {
	r.follower.run(ctx)
	return nil
}

// Status returns how the reactor stands, whichever node runs it.
func (r *Reactor) Status(ctx context.Context) (Status, error) {
	return r.follower.status(ctx)
}

// Parked returns the events that were put aside, in the order of the log.
func (r *Reactor) Parked(ctx context.Context) ([]ParkedEvent, error) {
	return r.positions.parked(ctx, r.follower.consumer, false)
}

// Resume lets the reactor go on: one that stopped tries its event again, one that was
// ahead of the log goes on from its position, unless it still is, and parked events are
// tried again, once each, by the node that runs it. One that is not in the log any
// more stays parked, and its error says so.
func (r *Reactor) Resume(ctx context.Context) error {
	if err := r.positions.retryParked(ctx, r.follower.consumer); err != nil {
		return err
	}
	return r.follower.resume(ctx)
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
		if err := r.follower.save(ctx, event.Position); err != nil {
			return err
		}
		r.failpoint("saved")
	}
	return nil
}

// react handles an event until it is done or parked. It returns an error when it
// is neither.
func (r *Reactor) react(ctx context.Context, event eventsourced.Recorded) error {
	began := time.Now()
	for tries, attempts := 1, 1; ; tries++ {
		err := r.call(ctx, event)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		r.follower.record.note(ofEvents, &event, err)
		switch {
		case r.passes(ctx, err):
		case attempts >= r.config.Attempts && (!mayPass(err) || time.Since(began) >= r.config.RetryFor):
			return r.giveUp(ctx, event, err)
		default:
			attempts++
		}
		wait := r.follower.config.backOff(tries)
		r.follower.logger.WarnContext(ctx, "event not handled", "event_id", event.ID.String(), "event_name", event.Name,
			"position", int64(event.Position), "error", err, "wait", wait)
		sleep(ctx, wait)
	}
}

// passes tells that err comes from a database that is down, or busy. A lost
// connection may also be that of a call to somebody else: then the database answers.
func (r *Reactor) passes(ctx context.Context, err error) bool {
	if pgerr.ReadOnly(err) {
		r.positions.pool.Reset() // most likely it is the pool of the reaction as well
	}
	if !pgerr.Retryable(err) || pgerr.Code(err) != "" {
		return pgerr.Retryable(err)
	}
	return detached(ctx, r.positions.pool.Ping) != nil
}

// call runs the reaction once, or those to all parts of an event that was split.
func (r *Reactor) call(ctx context.Context, recorded eventsourced.Recorded) error {
	return r.follower.guard(ctx, ofEvents, &recorded, "a reaction", func(ctx context.Context) error {
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
	logger := r.follower.logger.With("event_id", event.ID.String(), "event_name", event.Name, "position", int64(event.Position), "error", cause)
	if r.config.OnFailure == ParkFailures {
		logger.ErrorContext(ctx, "event parked; fix the cause, then resume")
		return detached(ctx, func(ctx context.Context) error { return r.positions.park(ctx, r.follower.consumer, event, cause) })
	}
	logger.ErrorContext(ctx, "reactor stopped at an event; fix the cause, then resume or restart")
	if err := r.follower.stop(ctx, &event, cause, stoppedThere); err != nil {
		return &eventError{event, errors.Join(cause, err)} // it is tried again
	}
	return errStopped
}

// retryParked tries the parked events that Resume has marked, once each.
func (r *Reactor) retryParked(ctx context.Context) error {
	due, err := r.positions.parked(ctx, r.follower.consumer, true)
	if err != nil {
		return err
	}
	for _, parked := range due {
		event, found, err := eventAt(ctx, r.log, parked.Position)
		switch {
		case err != nil:
		case !found || event.ID != parked.EventID: // the log was restored, or is another one
			err = r.parkMissing(ctx, parked)
		default:
			err = r.retry(ctx, event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parkMissing has it on record that a parked event can't be tried.
func (r *Reactor) parkMissing(ctx context.Context, parked ParkedEvent) error {
	r.follower.logger.ErrorContext(ctx, "parked event not tried again", "event_id", parked.EventID.String(), "event_name", parked.EventName,
		"position", int64(parked.Position), "error", errMissing)
	event := eventsourced.Recorded{Position: parked.Position, EventData: eventsourced.EventData{ID: parked.EventID, Name: parked.EventName}}
	return detached(ctx, func(ctx context.Context) error { return r.positions.park(ctx, r.follower.consumer, event, errMissing) })
}

func (r *Reactor) retry(ctx context.Context, event eventsourced.Recorded) error {
	cause := r.call(ctx, event)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return detached(ctx, func(ctx context.Context) error {
		if cause != nil {
			return r.positions.park(ctx, r.follower.consumer, event, cause)
		}
		return r.positions.unpark(ctx, r.follower.consumer, event.Position)
	})
}
