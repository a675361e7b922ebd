package readview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// State says in one word how a projection is.
type State string

const (
	// Live projections would apply an event now.
	Live State = "live"
	// CatchingUp is a projection for which events wait longer than the poll
	// interval, or may wait: its request for history has no answer.
	CatchingUp State = "catching up"
	// Retrying is a projection that does not get on and goes on trying, or waits: its
	// failure says why, how often it was tried and since when.
	Retrying State = "retrying"
	// Ahead is a projection that stopped because the log is older than its read view,
	// see [ErrAhead].
	Ahead State = "ahead of the log"
	// Failed is a projection that stopped at an event that it can't apply, or was
	// refused.
	Failed State = "failed"
	// Paused is a projection that somebody stopped.
	Paused State = "paused"
	// Standby is a projection that is ready, but not applied here. As seen by a running manager,
	// another node applies it, perhaps a newer program (then the failure says so); as seen
	// by any other, no node does.
	Standby State = "standby"
)

// Status is how one projection stands.
type Status struct {
	Name     string
	State    State
	Position eventsourced.Position // everything up to it is applied
	Head     eventsourced.Position // of the log; the highest that was heard of, where events come by messages
	Behind   int64                 // events above Position that it handles, up to [eventsourced.MaxBacklog]; -1 when that is not known: history is missing, or asked for in vain, or this manager does not run; or the log can't be read
	More     bool                  // there are more than Behind says
	Lag      time.Duration         // how long the first of them has been waiting; 0 when there is none
	Node     string                // who applies it, see [Config.Node]; "" for nobody
	Failure  *Failure              // why it does not get on, or stopped, until the projection is past that
}

// Failure is why a projection stopped, or does not get on.
type Failure struct {
	EventID   eventsourced.EventID // zero, like the two that follow, when it is not about an event
	EventName string
	Position  eventsourced.Position
	Error     string
	Time      time.Time // of the last try
	Since     time.Time // when it began
	Attempts  int       // tries since then; 0 for something that has not ended yet
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
		status.Node = nodeName(stored.node)
	}
	unread := r.source.measure(ctx, &status) // why the log can't be read
	status.State = r.state(stored, &status)
	if unread != nil && status.Failure == nil {
		status.Failure = failureOf(unread)
		if status.State == Live || status.State == CatchingUp {
			status.State = Retrying
		}
	}
	if !known {
		return status, nil
	}
	refused := stored.programs.refusal(ctx, r.log, r.definition, stored.Position)
	switch {
	case errors.Is(refused, ErrOlderProgram) && status.State != Paused:
		status.State, status.Failure = Standby, failureOf(refused)
	case errors.Is(refused, ErrNewEvents):
		status.State, status.Failure = Failed, failureOf(refused)
	case refused != nil:
		return Status{}, refused
	}
	return status, nil
}

func failureOf(err error) *Failure {
	now := time.Now().UTC()
	return &Failure{Error: err.Error(), Time: now, Since: now}
}

// nodeName is what a node is called, without what makes each manager's lease its own.
func nodeName(node string) string {
	if end := strings.LastIndexByte(node, '/'); end >= 0 {
		return node[:end]
	}
	return node
}

// state tells how the projection is, and completes the status with what only this
// process knows.
func (r *runner) state(stored record, status *Status) State {
	r.mu.Lock()
	running, trouble, refused := r.running > 0, r.trouble, r.refused
	r.mu.Unlock()
	if running && refused != nil && stored.status == "running" && status.Failure == nil {
		status.Failure = failureOf(refused)
	}
	here := running && (!stored.leaseValid || stored.node == r.m.node)
	switch {
	case stored.status == "failed":
		return Failed
	case stored.status == "paused":
		return Paused
	case stored.status == "ahead":
		return Ahead
	case status.Head < status.Position:
		status.Failure = failureOf(aheadError(r.Name, status.Position, status.Head))
		return Ahead
	case here && trouble != nil:
		status.Failure = trouble
		return Retrying
	case stored.failure != nil && (stored.leaseValid || stored.fresh):
		return Retrying
	case running && stored.node == r.m.node: // a lease that is renewed a little late is its own still
	case !stored.leaseValid || running:
		return Standby
	}
	if r.source.late(status) {
		return CatchingUp
	}
	return Live
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
		default:
			if done, err := r.waited(ctx, stored, position); done || err != nil {
				return err
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

// waited tells whether the wait for a position is over: it is reached, or it can't be.
func (r *runner) waited(ctx context.Context, stored record, position eventsourced.Position) (done bool, err error) {
	refused := stored.programs.refusal(ctx, r.log, r.definition, stored.Position)
	switch {
	case errors.Is(refused, ErrNewEvents): // what is in the tables is not what this program would have there
		return false, fmt.Errorf("wait for %s: %w: %w", r.Name, ErrNotRunning, refused)
	case refused != nil && !errors.Is(refused, ErrOlderProgram):
		return false, fmt.Errorf("wait for %s: %w", r.Name, refused)
	case stored.status == "ahead":
		return false, r.notRunning(stored)
	case stored.Position >= position:
		return true, nil
	case !stored.Running:
		return false, r.notRunning(stored)
	}
	return false, nil
}

func (r *runner) notRunning(stored record) error {
	if (stored.status == "failed" || stored.status == "ahead") && stored.failure != nil {
		return fmt.Errorf("wait for %s: %w, it is %s: %s", r.Name, ErrNotRunning,
			map[string]State{"failed": Failed, "ahead": Ahead}[stored.status], stored.failure.Error)
	}
	return fmt.Errorf("wait for %s: %w, it is %s", r.Name, ErrNotRunning, stored.status)
}
