package readview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Status returns the status of every projection, in the order of Add.
func (m *Manager) Status(ctx context.Context) ([]consumer.Status, error) {
	names := m.Names()
	replays, err := m.states.rebuildsOf(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("status: %w", explain(err))
	}
	stored, err := m.states.readMany(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("status: %w", explain(err))
	}
	log, queries := newLookAhead(m.log), map[string]eventsourced.LogQuery{}
	var own []eventsourced.LogQuery
	for _, name := range names {
		if r, err := m.runner(name); err == nil && r.log != nil {
			queries[name] = eventsourced.LogQuery{After: stored[name].Position, Names: r.handled}
			own = append(own, queries[name])
		}
	}
	log.survey(ctx, own)
	ahead := slices.Clone(names) // the first of all is the one that what is behind it may be known by
	slices.SortStableFunc(ahead, func(a, b string) int { return cmp.Compare(stored[b].Position, stored[a].Position) })
	all := make([]consumer.Status, len(names))
	took := map[string]time.Duration{} // the last verification
	for _, replay := range replays {
		if replay.kind == kindVerify {
			took[replay.name] = replay.took()
		}
	}
	for _, name := range ahead {
		r, err := m.runner(name)
		if err != nil {
			return nil, err
		}
		of, known := stored[name]
		status, err := r.status(ctx, of, known, log)
		if err != nil {
			return nil, fmt.Errorf("status of %s: %w", name, explain(err))
		}
		for _, replay := range replays {
			switch {
			case replay.name == name && replay.kind == kindRebuild:
				status.Rebuild = replay.status()
			case replay.name == name && replay.kind == kindVerify:
				status.Verify = replay.status()
			}
		}
		if r.onSchedule() {
			status.VerifyEvery = m.verifyAfter(took[name])
		}
		all[slices.Index(names, name)] = status
	}
	log.foretell(ctx, queries, all)
	return all, nil
}

func (r *runner) status(ctx context.Context, stored record, known bool, log *lookAhead) (consumer.Status, error) {
	status := consumer.Status{Kind: consumer.KindProjection, Name: r.Name, Position: stored.Position, Failure: stored.failure,
		Parked: stored.parked, Skipped: stored.skipped}
	if stored.leaseValid || stored.node == r.m.node && r.starts() { // a lease that is renewed a little late is its own still
		status.Node = consumer.NodeName(stored.node)
	}
	status.Version = stored.programs.version
	if status.Node != "" {
		status.Rate = stored.rate
	}
	unread := r.source.measure(ctx, &status, stored, log) // why the log can't be read
	status.State = r.state(stored, &status)
	if unread != nil && status.Failure == nil {
		status.Failure = failureOf(unread)
		if status.State == consumer.Live || status.State == consumer.CatchingUp {
			status.State = consumer.Retrying
		}
	}
	if !known {
		return status, nil
	}
	err := stored.programs.refusal(ctx, r.log, r.definition, stored.Position)
	if err == nil && !stored.leaseValid { // who has it has looked
		err = r.m.states.reshaped(ctx, r.definition, stored)
	}
	switch {
	case errors.Is(err, ErrOlderProgram): // how it goes is as the newer one says, if that runs or has failed
		if status.State == consumer.Standby {
			status.Failure = failureOf(err)
		} else {
			status.Refused = err.Error()
		}
	case r.remade(err): // it is as it is until this program starts
		if status.State == consumer.Paused && status.Failure == nil {
			status.Failure = failureOf(err)
		}
	case refused(err) && stored.leaseValid && !r.runs(): // likewise, for who only looks
		status.Refused = err.Error()
	case refused(err):
		status.State, status.Failure = consumer.Failed, failureOf(err)
	case err != nil:
		return consumer.Status{}, err
	}
	return status, nil
}

func failureOf(err error) *consumer.Failure {
	now := time.Now().UTC()
	failure := &consumer.Failure{Error: err.Error(), Time: now, Since: now}
	if problem := (*consumer.ProblemError)(nil); errors.As(err, &problem) {
		failure.Since, failure.Attempts = problem.Since.UTC(), problem.Attempts
	}
	return failure
}

// runs tells whether a router of this process has the projection, or wants it.
func (r *runner) runs() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running > 0
}

// state tells how the projection is, and completes the status with what only this
// process knows.
func (r *runner) state(stored record, status *consumer.Status) consumer.State {
	r.mu.Lock()
	running, trouble, refused := r.running > 0, r.trouble, r.refused
	r.mu.Unlock()
	if running && refused != nil && stored.status == "running" && status.Failure == nil {
		status.Failure = failureOf(refused)
	}
	here := running && (!stored.leaseValid || stored.node == r.m.node)
	switch {
	case stored.status == "failed":
		return consumer.Failed
	case stored.status == "paused":
		return consumer.Paused
	case stored.status == "ahead":
		return consumer.Ahead
	case status.Head < status.Position:
		status.Failure = failureOf(aheadError(r.Name, status.Position, status.Head))
		return consumer.Ahead
	case here && trouble != nil:
		status.Failure = trouble
		return trying(trouble)
	case stored.failure != nil && (stored.leaseValid || stored.fresh):
		return trying(stored.failure)
	case running && stored.node == r.m.node: // a lease that is renewed a little late is its own still
	case !stored.leaseValid || running:
		return consumer.Standby
	}
	if r.source.late(status, stored) {
		return consumer.CatchingUp
	}
	return consumer.Live
}

// trying is the state of a projection that runs and does not get on.
func trying(failure *consumer.Failure) consumer.State {
	if failure.Stalled {
		return consumer.Stalled
	}
	return consumer.Retrying
}
