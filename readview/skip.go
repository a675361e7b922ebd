package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// Skip has a projection go on behind the event at a position without applying it: that event
// and no other, and only if the projection has failed there (or is paused there after it did), or the event is parked. It is on
// record with the reason and with who did it, see [Manager.Skipped] and [Manager.Operations],
// and the projection's tables lack it until a reset, or a rebuild, with a program that can apply it: a
// reset stops there again, and a rebuild leaves it out again. A projection that is paused
// stays so; events of the same stream that are parked behind the event stay there, until
// [Manager.Retry].
//
// When it returns an error, nothing has changed: [ErrNotThere], [ErrUnknownProjection], a
// reason that is empty, or a lock that was not to be had within [Config.LockTimeout].
func (m *Manager) Skip(ctx context.Context, name string, position eventsourced.Position, reason string) error {
	return m.pass(ctx, name, "skip", position, reason, func(ctx context.Context, r *runner, tx *sql.Tx, statements *statements, at *standing) error {
		reason, actor := pgerr.Text(reason), pgerr.Text(m.actor(ctx))
		if at.parked {
			_, err := tx.ExecContext(ctx, statements.skipParked, name, int64(position), reason, actor)
			return err
		}
		if _, err := tx.ExecContext(ctx, statements.skip, append(r.identity(&at.event), pgerr.Text(at.failure.Error), reason, actor)...); err != nil {
			return err
		}
		return m.states.set(ctx, tx, name, position)
	})
}

// Park puts the event aside at which a projection stands, as [ParkFailures] would have done:
// the projection goes on, the later events of the same stream are put aside behind it, and
// [Manager.Retry] has them applied. [Manager.Parked] has the reason, and who did it. Its errors are those of [Manager.Skip].
func (m *Manager) Park(ctx context.Context, name string, position eventsourced.Position, reason string) error {
	return m.pass(ctx, name, "park", position, reason, func(ctx context.Context, r *runner, tx *sql.Tx, statements *statements, at *standing) error {
		if at.parked {
			return fmt.Errorf("%w: it is parked already", ErrNotThere)
		}
		return r.putAside(ctx, tx, statements, &at.event, at.failure, at.kept, reason, m.actor(ctx))
	})
}

// standing is where a projection stands.
type standing struct {
	event   eventsourced.Recorded // that it has failed at
	failure *consumer.Failure
	kept    *string // the event as JSON, if no log has it
	parked  bool    // the event at the position is
}

// pass carries out a command that has a projection go on behind an event that it stands at.
func (m *Manager) pass(ctx context.Context, name, command string, position eventsourced.Position, reason string,
	do func(ctx context.Context, r *runner, tx *sql.Tx, statements *statements, at *standing) error) error {
	r, err := m.runner(name)
	if err != nil {
		return err
	}
	op := m.operation(ctx, name, command, map[string]string{"position": fmt.Sprint(position), "reason": reason})
	if strings.TrimSpace(reason) == "" {
		err = errors.New("a reason is needed: it is what those who come after you know of it")
	} else {
		err = m.passAt(ctx, r, position, op, do)
	}
	if err != nil {
		return m.failed(ctx, op, fmt.Errorf("%s position %d of %s: %w", command, position, name, explain(err)))
	}
	r.wake()
	return nil
}

func (m *Manager) passAt(ctx context.Context, r *runner, position eventsourced.Position, op consumer.Operation,
	do func(ctx context.Context, r *runner, tx *sql.Tx, statements *statements, at *standing) error) error {
	stored, err := m.states.read(ctx, r.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w: it has never run", ErrNotThere)
	} else if err != nil {
		return err
	}
	at, err := r.standing(ctx, stored, position)
	if err != nil {
		return err
	}
	return m.states.within(ctx, func(tx *sql.Tx) error {
		statements, err := m.states.sql(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `SELECT set_config('lock_timeout', $1, true)`, m.config.lockSetting()); err != nil {
			return err
		}
		locked, err := m.states.lock(ctx, tx, r.Name)
		if err != nil {
			return err
		}
		var failed *int64
		var generation int64
		err = tx.QueryRowContext(ctx, statements.standing, r.Name, int64(position)).Scan(&generation, &failed, &at.parked)
		switch {
		case err != nil:
			return err
		case at.parked:
		case at.failure == nil || failed == nil || *failed != int64(position) || locked != stored.Position || generation != stored.Generation:
			return notThereError(stored, locked)
		}
		if err := do(ctx, r, tx, statements, at); err != nil {
			return err
		}
		return m.states.record(ctx, tx, op)
	})
}

// standing returns the event at a position if the projection stands at it, as far as that can
// be told without its lock: it is the one that has failed, and none before it is still to be
// applied. Otherwise there is no failure in what it returns.
func (a *applier) standing(ctx context.Context, stored record, position eventsourced.Position) (*standing, error) {
	failure := stored.failure
	if failure == nil || failure.Position != position || stored.Position >= position {
		return &standing{}, nil
	}
	events, err := a.recordedAt(ctx, position)
	if err != nil {
		return nil, err
	}
	at := &standing{failure: failure}
	at.event.ID, at.event.Name, at.event.Position = failure.EventID, failure.EventName, position
	for _, event := range events {
		if event.ID == failure.EventID {
			at.event, at.kept = event, keptText(a, events)
		}
	}
	if a.log == nil {
		if len(events) == 0 { // it is being tried, or the other context can't send it
			return &standing{}, nil
		}
		return at, nil
	}
	for before, err := range a.log.ReadLog(ctx, eventsourced.LogQuery{After: stored.Position, UpTo: position - 1, Names: a.handled, Limit: 1}) {
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		return nil, fmt.Errorf("%w: it is at position %d, and %s at position %d comes first", ErrNotThere, stored.Position, before.Name, before.Position)
	}
	return at, nil
}

func notThereError(stored record, position eventsourced.Position) error {
	f := stored.failure
	if f != nil && f.Position != 0 && stored.status == "running" {
		return fmt.Errorf("%w: it is at position %d, and %s at position %d is being tried; wait until it has failed, or pause it", ErrNotThere, position, f.EventName, f.Position)
	}
	if f != nil && f.Position != 0 && f.Position <= position {
		return fmt.Errorf("%w: it is at position %d, and has got past %s", ErrNotThere, position, f.EventName)
	}
	if f != nil && f.Position != 0 {
		return fmt.Errorf("%w: it is at position %d, before %s at position %d", ErrNotThere, position, f.EventName, f.Position)
	}
	if stored.parked > 0 {
		return fmt.Errorf("%w: it is at position %d, and no event has failed; %d are parked", ErrNotThere, position, stored.parked)
	}
	return fmt.Errorf("%w: it is at position %d, and no event has failed", ErrNotThere, position)
}

// lockSetting is [Config.LockTimeout] as the server takes it.
func (c Config) lockSetting() string { return strconv.FormatInt(c.LockTimeout.Milliseconds(), 10) }
