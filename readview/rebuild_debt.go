package readview

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// replayDebt is what a replay does about events that the live tables lack: those that were skipped, or are parked.
// A rebuild tries them, and what fails again stays as it was. A verification passes over them, as the live tables have.
type replayDebt struct {
	try     bool
	known   map[eventsourced.Position]bool // true is parked
	passed  []eventsourced.Position
	blocked map[eventsourced.Stream]bool // an event of it is parked still
	behind  []eventsourced.Recorded      // of those streams, later ones
}

// load reads it anew.
func (d *replayDebt) load(ctx context.Context, m *Manager, name string) error {
	if d.blocked == nil {
		d.blocked = map[eventsourced.Stream]bool{}
	}
	d.known = map[eventsourced.Position]bool{}
	skipped, err := m.Skipped(ctx, name)
	if err != nil {
		return err
	}
	for _, e := range skipped {
		d.known[e.Position] = false
	}
	parked, err := m.Parked(ctx, name)
	for _, e := range parked {
		d.known[e.Position] = true
	}
	return err
}

// leaveOut makes nothing of the events of a page that are not to be applied.
func (d *replayDebt) leaveOut(p *page) {
	for i := range p.items {
		if it := &p.items[i]; d.lacks(&it.recorded) {
			it.parts, it.err = nil, nil
		}
	}
}

// lacks tells whether an event is not to be applied.
func (d *replayDebt) lacks(e *eventsourced.Recorded) bool {
	if slices.Contains(d.passed, e.Position) {
		return true
	}
	_, known := d.known[e.Position]
	if !d.blocked[e.Stream] && (!known || d.try) {
		return false
	}
	d.passed = append(d.passed, e.Position)
	if !known {
		d.behind = append(d.behind, *e)
	}
	return true
}

// pass tells that the replay may go on behind an event that has failed: the live tables lack it, too.
func (p *replay) pass(ctx context.Context, failed *EventError) (bool, error) {
	if err := p.debt.load(ctx, p.m, p.Name); err != nil {
		return false, err
	}
	at := failed.Event.Position
	parked, lacking := p.debt.known[at]
	if !lacking || slices.Contains(p.debt.passed, at) {
		return false, nil
	}
	p.debt.passed = append(p.debt.passed, at)
	if parked {
		p.debt.blocked[failed.Event.Stream] = true
	}
	p.logger.WarnContext(ctx, p.command+" passes over an event that fails again", "event_name", failed.Event.Name, "position", int64(at), "error", failed.Err)
	return true, nil
}

// settleDebt leaves on record what has failed again, and nothing else.
func (p *replay) settleDebt(ctx context.Context, tx *sql.Tx) error {
	if len(p.debt.passed) == 0 {
		return p.m.states.clearDebt(ctx, tx, p.Name)
	}
	positions := make([]int64, len(p.debt.passed))
	for i, at := range p.debt.passed {
		positions[i] = int64(at)
	}
	if _, err := tx.ExecContext(ctx, p.sql.settleDebt, p.Name, positions); err != nil {
		return err
	}
	statements, err := p.m.states.sql(ctx)
	for i := 0; i < len(p.debt.behind) && err == nil; i++ {
		_, err = tx.ExecContext(ctx, statements.parkBehind, append(p.identity(&p.debt.behind[i]), nil)...)
	}
	return err
}

// failedEvent returns the event that an error is about, nil if it is about none or may pass.
func failedEvent(err error) *EventError {
	var failed *EventError
	if errors.As(err, &failed) && !passes(err) && !errors.Is(err, ErrEscaped) {
		return failed
	}
	return nil
}
