package readview

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// replayDebt is what a replay does about events that the live tables lack: those that were skipped, or are parked.
// A rebuild tries them, and what fails again stays as it was. A verification passes over them, as the live tables have. What
// a rollback goes back to lacks what it lacked then, which is kept along with it.
type replayDebt struct {
	try     bool
	known   map[eventsourced.Position]bool // true is parked
	passed  []eventsourced.Position
	blocked map[eventsourced.Stream]bool // an event of it is parked still
	behind  []behindEvent                // of those streams, later ones
}

// behindEvent is one that waits for an earlier one of its stream.
type behindEvent struct {
	recorded eventsourced.Recorded
	kept     *string // as JSON, if no log has it
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

// loadBack reads what a rollback's tables lack, or have passed over before this process went on with it.
func (p *replay) loadBack(ctx context.Context) error {
	rows, err := p.lock.Query(ctx, p.sql.backDebt, p.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at int64
		var skipped bool
		var stream eventsourced.Stream
		if err := rows.Scan(&at, &skipped, &stream.AggregateName, &stream.AggregateID); err != nil {
			return err
		}
		p.debt.passed = append(p.debt.passed, eventsourced.Position(at))
		if !skipped {
			p.debt.blocked[stream] = true
		}
	}
	return rows.Err()
}

// leaveOut makes nothing of the events of a page that are not to be applied.
func (p *replay) leaveOut(ctx context.Context, next *page) error {
	for i := range next.items {
		it := &next.items[i]
		lacks, anew := p.debt.lacks(&it.recorded)
		if !lacks {
			continue
		}
		it.parts, it.err = nil, nil
		if !anew {
			continue
		}
		e := behindEvent{it.recorded, p.kept(next, it.recorded.Position)}
		if _, known := p.debt.known[it.recorded.Position]; !known {
			p.debt.behind = append(p.debt.behind, e)
		}
		if err := p.noteBack(ctx, it.recorded.Position, &e); err != nil {
			return err
		}
	}
	return nil
}

// noteBack puts on record that a rollback passes over an event, before it does: whoever goes on with it has to know.
func (p *replay) noteBack(ctx context.Context, at eventsourced.Position, behind *behindEvent) error {
	if p.command != "rollback" {
		return nil
	}
	_, err := p.m.pool.Exec(ctx, p.sql.passDebt, p.Name, int64(at))
	if err == nil && behind != nil {
		_, err = p.m.pool.Exec(ctx, p.sql.behindDebt, append(p.identity(&behind.recorded), behind.kept)...)
	}
	return err
}

// lacks tells whether an event is not to be applied, and whether that was not known yet.
func (d *replayDebt) lacks(e *eventsourced.Recorded) (lacks, anew bool) {
	if slices.Contains(d.passed, e.Position) {
		return true, false
	}
	_, known := d.known[e.Position]
	if !d.blocked[e.Stream] && (!known || d.try) {
		return false, false
	}
	d.passed = append(d.passed, e.Position)
	return true, true
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
	if err := p.noteBack(ctx, at, nil); err != nil {
		return false, err
	}
	p.debt.passed = append(p.debt.passed, at)
	if parked {
		p.debt.blocked[failed.Event.Stream] = true
	}
	p.logger.WarnContext(ctx, p.command+" passes over an event that fails again", "event_name", failed.Event.Name, "position", int64(at), "error", failed.Err)
	return true, nil
}

// replayed is how many events were applied: what was left out went along with its pages. What a rollback goes back to may
// have been made without them before.
func (p *replay) replayed() int64 {
	if p.command == "rollback" {
		return p.events.Load()
	}
	return p.events.Load() - int64(len(p.debt.passed))
}

// owed says what was skipped or is parked, and has not failed again.
func (p *replay) owed(ctx context.Context) (string, error) {
	if err := p.debt.load(ctx, p.m, p.Name); err != nil {
		return "", err
	}
	var skipped, parked int64
	for at, isParked := range p.debt.known {
		switch {
		case slices.Contains(p.debt.passed, at):
		case isParked:
			parked++
		default:
			skipped++
		}
	}
	return strings.Join(lacking(skipped, parked), ", "), nil
}

// settleDebt leaves on record what has failed again, and nothing else.
func (p *replay) settleDebt(ctx context.Context, tx *sql.Tx) error {
	if len(p.debt.passed) == 0 || p.command == "rollback" {
		err := p.m.states.clearDebt(ctx, tx, p.Name)
		if err == nil && p.command == "rollback" {
			_, err = tx.ExecContext(ctx, p.sql.restoreDebt, p.Name)
		}
		return err
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
		_, err = tx.ExecContext(ctx, statements.parkBehind, append(p.identity(&p.debt.behind[i].recorded), p.debt.behind[i].kept)...)
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
