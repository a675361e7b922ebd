package readview

import (
	"context"
	"errors"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// arrival is a wait of [Manager.WaitFor].
type arrival struct {
	waiter
	m   *Manager
	at  map[string]eventsourced.Position // as seen last
	err error                            // what ends the wait, or why nobody has answered
}

// WaitFor returns when the named projections, all when none is named, have
// applied everything up to position: what [eventsourced.Repository.Update]
// returns, to read what one has just written. It fails at once with
// [ErrNotRunning] when one of them is paused or failed, and with
// [ErrUnknownProjection]; it does not fail when no node runs them: give ctx a
// deadline.
//
// All who wait at a time, the readers of a [Consistency] on the manager's pool as well, share one query for each look, and while
// nobody waits there is none. A connection that is lost is made up for by another one; when there is none to be had, that is the error.
func (m *Manager) WaitFor(ctx context.Context, position eventsourced.Position, names ...string) error {
	if len(names) == 0 {
		names = m.Names()
	}
	for _, name := range names {
		if _, err := m.runner(name); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for %s: %w", names[0], err)
	}
	me := &arrival{m: m, at: map[string]eventsourced.Position{}}
	me.waiter = waiter{names: names, target: position, trusts: true, see: me.look}
	switch {
	case m.watch.wait(ctx, &me.waiter, nil):
		return me.err
	case me.err != nil:
		return fmt.Errorf("wait for %s to reach position %d: %w: %w", me.missing[0], position, ctx.Err(), me.err)
	}
	return fmt.Errorf("wait for %s to reach position %d, it is at %d: %w", me.missing[0], position, me.at[me.missing[0]], ctx.Err())
}

// look is the see of a waiter. What was reached once counts.
func (me *arrival) look(seen map[string]sighting, err error) (missing []string) {
	if me.err = err; err != nil {
		if errors.Is(err, context.DeadlineExceeded) && !pgerr.Lost(err) { // nobody has answered, so far
			return me.missing
		}
		me.err = fmt.Errorf("wait for %s: %w", me.missing[0], explain(err))
		return nil
	}
	for _, name := range me.missing {
		s := seen[name]
		me.at[name] = s.Position
		r, err := me.m.runner(name)
		done := false
		if err == nil && s.known { // else it has not started yet
			done, err = r.waited(s, me.target)
		}
		if err != nil {
			me.err = err
			return nil
		}
		if !done {
			missing = append(missing, name)
		}
	}
	return missing
}

// waited tells whether the wait for a position is over: it is reached, or it can't be.
func (r *runner) waited(s sighting, position eventsourced.Position) (done bool, err error) {
	switch {
	case r.remade(s.refusal): // it is made anew
		return false, nil
	case refused(s.refusal): // what is in the tables is not what this program would have there
		return false, fmt.Errorf("wait for %s: %w: %w", r.Name, ErrNotRunning, s.refusal)
	case s.refusal != nil && !errors.Is(s.refusal, ErrOlderProgram):
		return false, fmt.Errorf("wait for %s: %w", r.Name, s.refusal)
	case s.status == "ahead":
		return false, r.notRunning(s.record)
	case s.Position >= position:
		return true, nil
	case !s.Running:
		return false, r.notRunning(s.record)
	}
	return false, nil
}

func (r *runner) notRunning(stored record) error {
	if (stored.status == "failed" || stored.status == "ahead") && stored.failure != nil {
		return fmt.Errorf("wait for %s: %w, it is %s: %s", r.Name, ErrNotRunning,
			map[string]consumer.State{"failed": consumer.Failed, "ahead": consumer.Ahead}[stored.status], stored.failure.Error)
	}
	return fmt.Errorf("wait for %s: %w, it is %s", r.Name, ErrNotRunning, stored.status)
}
