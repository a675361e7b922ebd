package readview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// doubtAfter is how long somebody waits before it is looked whether that is in vain: most are there by then.
const doubtAfter = 20 * time.Millisecond

// local returns the projections that are meant, once each and sorted.
func (c *Consistency) local(names []string) ([]string, error) {
	all := len(names) == 0
	if all {
		names = c.m.Names()
	}
	var local []string
	for _, name := range names {
		r, err := c.m.runner(name)
		switch {
		case err != nil:
			return nil, err
		case r.log != nil:
			local = append(local, name)
		case !all:
			return nil, fmt.Errorf("wait for %s: %w", name, ErrOtherLog)
		}
	}
	slices.Sort(local)
	return slices.Compact(local), nil
}

func (r ConsistencyResult) late() error {
	var late []string
	for _, p := range r.Projections {
		if p.Position < p.Target || p.State == consumer.Failed || p.State == consumer.Ahead {
			late = append(late, fmt.Sprintf("%s is %s at position %d of %d", p.Name, p.State, p.Position, p.Target))
		}
	}
	return fmt.Errorf("%w: %s", ErrConsistencyTimeout, strings.Join(late, ", "))
}

// reader is a wait of somebody who reads what the database shows.
type reader struct {
	waiter
	patience time.Duration // how old what keeps a projection from getting on may be: as long as it was there, it may stay

	reached bool
	last    []ProjectionProgress // what was seen last
	err     error                // why nothing was seen
}

// wait waits until the projections have reached target, can't, or the limit is over.
func (c *Consistency) wait(ctx context.Context, target eventsourced.Position, names []string) (ConsistencyResult, error) {
	if err := ctx.Err(); err != nil {
		return ConsistencyResult{}, err
	}
	if len(names) == 0 {
		return ConsistencyResult{Satisfied: true, Projections: []ProjectionProgress{}}, nil
	}
	me := &reader{patience: max(c.config.Limit, 2*c.m.config.PollInterval)} // another node that takes over has its time
	me.waiter = waiter{names: names, target: target, interval: c.config.PollInterval, doubts: doubtAfter, see: me.look}
	limit := time.NewTimer(c.config.Limit)
	defer limit.Stop()
	if !c.watch.wait(ctx, &me.waiter, limit.C) && ctx.Err() != nil {
		return ConsistencyResult{}, ctx.Err()
	}
	if me.last == nil {
		if me.err == nil {
			me.err = errors.New("the database was not asked in time: no connection was free")
		}
		return ConsistencyResult{}, fmt.Errorf("wait for %s: %w", strings.Join(names, ", "), explain(me.err))
	}
	return ConsistencyResult{Satisfied: me.reached, Projections: me.last}, nil
}

// look is the see of a waiter.
func (me *reader) look(seen map[string]sighting, err error) (missing []string) {
	for _, name := range me.names {
		if s := seen[name]; err == nil && !refused(s.refusal) && !errors.Is(s.refusal, ErrOlderProgram) { // an older one's reads are as good
			err = s.refusal
		}
	}
	if me.err = err; err != nil {
		return me.missing
	}
	inVain := false
	me.last = make([]ProjectionProgress, 0, len(me.names))
	for _, name := range me.names {
		s := seen[name]
		state, prospect := s.judge(me.target, me.patience)
		me.last = append(me.last, ProjectionProgress{Name: name, Position: s.Position, Target: me.target, State: state})
		inVain = inVain || prospect == unlikely
		if prospect == coming {
			missing = append(missing, name)
		}
	}
	me.reached = len(missing) == 0 && !inVain
	if inVain {
		return nil
	}
	return missing
}
