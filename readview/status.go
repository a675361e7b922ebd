package readview

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// State says in one word how a projection is.
type State string

const (
	// Live projections apply events as they come.
	Live State = "live"
	// CatchingUp is a projection for which events wait longer than the poll
	// interval, or may wait: its request for history has no answer.
	CatchingUp State = "catching up"
	// Failed is a projection that stopped at an event that it can't apply, or was
	// refused.
	Failed State = "failed"
	// Paused is a projection that somebody stopped.
	Paused State = "paused"
	// Standby is a projection that is ready, but not applied here. As seen by a running manager,
	// another node applies it; as seen by any other, no node does.
	Standby State = "standby"
)

// Status is how one projection stands.
type Status struct {
	Name     string
	State    State
	Position eventsourced.Position // everything up to it is applied
	Head     eventsourced.Position // of the log; the highest that was heard of, where events come by messages
	Behind   int64                 // events of the log above Position, those it passes over included; -1 when that is not known: history is missing, or asked for in vain, or this manager does not run
	Lag      time.Duration         // how long the first of them has been waiting; 0 when there is none
	Node     string                // who applies it, "" for nobody
	Failure  *Failure              // the last one, until the projection is past it
}

// Failure is why a projection stopped.
type Failure struct {
	EventID   eventsourced.EventID // zero, like the two that follow, for a refused projection
	EventName string
	Position  eventsourced.Position
	Error     string
	Time      time.Time
}

// Status returns the status of every projection, in the order of Add.
func (m *Manager) Status(ctx context.Context) ([]Status, error) {
	var all []Status
	for _, name := range m.Names() {
		r, err := m.runner(name)
		if err != nil {
			return nil, err
		}
		status, err := r.status(ctx)
		if err != nil {
			return nil, fmt.Errorf("status of %s: %w", name, explain(err))
		}
		all = append(all, status)
	}
	return all, nil
}

func (r *runner) status(ctx context.Context) (Status, error) {
	stored, err := r.m.states.read(ctx, r.Name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Status{}, err
	}
	known := err == nil
	status := Status{Name: r.Name, Position: stored.Position, Failure: stored.failure}
	if stored.leaseValid {
		status.Node = stored.node
	}
	if r.remote != nil {
		r.remote.measure(&status)
	} else {
		backlog, err := eventsourced.BacklogAfter(ctx, r.m.log, stored.Position)
		if err != nil {
			return Status{}, err
		}
		status.Head, status.Behind, status.Lag = backlog.Head, backlog.Behind, backlog.Lag
	}
	status.State = r.state(stored, status)
	if refused := r.refusal(stored); known && refused != nil {
		status.State = Failed
		status.Failure = &Failure{Error: refused.Error(), Time: time.Now().UTC()}
	}
	return status, nil
}

func (r *runner) state(stored record, status Status) State {
	r.mu.Lock()
	running := r.running > 0
	r.mu.Unlock()
	switch {
	case stored.status == "failed":
		return Failed
	case stored.status == "paused":
		return Paused
	case status.Node == "" || running && status.Node != r.m.node:
		return Standby
	case status.Lag > r.m.config.PollInterval, r.remote != nil && r.remote.unanswered():
		return CatchingUp
	default:
		return Live
	}
}

// refusal tells why the projection as it is here can't go on from what is stored.
func (r *runner) refusal(stored record) error {
	return r.accepts(stored.handled, stored.Position)
}

// waitPoll is how often [Manager.WaitFor] looks for what other nodes have done.
const waitPoll = 20 * time.Millisecond

// WaitFor returns when the named projections, all when none is named, have
// applied everything up to position: what [eventsourced.Repository.Update]
// returns, to read what one has just written. It fails at once with
// [ErrNotRunning] when one of them is paused or failed, and with
// [ErrUnknownProjection]; it does not fail when no node runs them: give ctx a
// deadline.
func (m *Manager) WaitFor(ctx context.Context, position eventsourced.Position, names ...string) error {
	if len(names) == 0 {
		names = m.Names()
	}
	for _, name := range names {
		r, err := m.runner(name)
		if err != nil {
			return err
		}
		if err := r.waitFor(ctx, position); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) waitFor(ctx context.Context, position eventsourced.Position) error {
	poll := time.NewTicker(waitPoll)
	defer poll.Stop()
	for {
		changed := r.m.changes()
		stored, err := r.m.states.read(ctx, r.Name)
		switch {
		case errors.Is(err, pgx.ErrNoRows): // it has not started yet
		case err != nil:
			return fmt.Errorf("wait for %s: %w", r.Name, explain(err))
		case stored.Position >= position:
			return nil
		case !stored.Running:
			return r.notRunning(stored)
		default:
			if err := r.refusal(stored); err != nil {
				return fmt.Errorf("wait for %s: %w: %w", r.Name, ErrNotRunning, err)
			}
		}
		for look := false; !look; {
			select {
			case <-changed:
				// While it advances on this node there is nothing to ask the database for.
				changed = r.m.changes()
				at := eventsourced.Position(r.advanced.Load())
				look = at == 0 || at >= position
			case <-poll.C:
				look = true
			case <-ctx.Done():
				return fmt.Errorf("wait for %s to reach position %d, it is at %d: %w", r.Name, position, stored.Position, ctx.Err())
			}
		}
	}
}

func (r *runner) notRunning(stored record) error {
	if stored.status == "failed" && stored.failure != nil {
		return fmt.Errorf("wait for %s: %w, it failed: %s", r.Name, ErrNotRunning, stored.failure.Error)
	}
	return fmt.Errorf("wait for %s: %w, it is %s", r.Name, ErrNotRunning, stored.status)
}
