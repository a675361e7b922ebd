package reactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// ErrNotThere is returned by [Parking.ParkFailing] and [Parking.SkipFailing] for an event that is not the one which the reactor's status
// says that it can't handle.
var ErrNotThere = errors.New("the reactor does not fail at that event")

// ErrAlreadyAsked is returned by [Parking.ParkFailing] and [Parking.SkipFailing] when somebody has asked for the same, and it is not done yet.
var ErrAlreadyAsked = errors.New("somebody has asked for that already, and it is not done yet")

const (
	askSQL = `WITH over AS (DELETE FROM {schema}reactor_asked a USING {schema}consumers c
			WHERE a.name = $1 AND c.name = $1 AND c.topic = '$reactor' AND a.position <= c.position)
		INSERT INTO {schema}reactor_asked (name, event_id, position, skip, reason)
			SELECT name, failed_event, failed_position, $3, $4 FROM {schema}consumers
			WHERE name = $1 AND topic = '$reactor' AND failed_event = $2 AND failed_position > position
				AND NOT EXISTS (SELECT FROM {schema}reactor_done d WHERE d.name = $1 AND d.position = failed_position)
		ON CONFLICT (name, event_id) DO UPDATE SET skip = excluded.skip, reason = excluded.reason WHERE reactor_asked.skip <> excluded.skip`
	askedSQL = `SELECT skip, reason FROM {schema}reactor_asked WHERE name = $1 AND event_id = $2`
	metSQL   = `DELETE FROM {schema}reactor_asked WHERE name = $1 AND event_id = $2`
)

// askedEvery is between two looks whether somebody wants something done with the event that the reactor can't handle.
const askedEvery = time.Second

// ParkFailing has the event parked that the reactor can't handle, see Failure of [consumer.Status], instead of trying it for as long as
// [Config] says: it is tried once more, within a second or two, and parked when that fails; until then the status says so. A reactor that
// is paused, or has stopped at it, does so once it is resumed. It returns [ErrNotThere] for any other event, and [ErrAlreadyAsked]; who asks for the
// other of the two changes what was asked. The reason is in the operator log.
func (p Parking) ParkFailing(ctx context.Context, id eventsourced.EventID, reason string) error {
	return p.ask(ctx, "park", id, false, reason)
}

// SkipFailing is ParkFailing for an event that is to be passed over for good: it is on record as skipped, with the reason, and those behind
// it in its stream are handled.
func (p Parking) SkipFailing(ctx context.Context, id eventsourced.EventID, reason string) error {
	return p.ask(ctx, "skip", id, true, reason)
}

func (p Parking) ask(ctx context.Context, command string, id eventsourced.EventID, skip bool, reason string) error {
	of := consumer.ID{Kind: consumer.KindReactor, Name: p.name}
	err := p.store.Operate(ctx, of, command, map[string]string{"event": id.String(), "reason": reason, "when": "it fails again"}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, p.store.Qualify(askSQL), p.name, [16]byte(id), skip, pgerr.Text(reason))
		if err != nil || tag.RowsAffected() > 0 {
			return err
		}
		var before bool
		err = tx.QueryRow(ctx, p.store.Qualify(askedSQL), p.name, [16]byte(id)).Scan(&before, nil)
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && before != skip:
			return fmt.Errorf("%s: %w", id, ErrNotThere)
		case err != nil:
			return err
		}
		return fmt.Errorf("%s: %w", id, ErrAlreadyAsked)
	})
	return p.store.Explain(command+" an event of reactor "+p.name, err)
}

// wanted tells what somebody wants done with a unit that fails.
func (w *window) wanted(u *unit) (skip bool, reason string, wanted bool) {
	err := w.r.store.Pool().QueryRow(w.ctx, w.r.store.Qualify(askedSQL), w.r.config.Name, [16]byte(u.event().ID)).Scan(&skip, &reason)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // it is looked for again
		w.r.logger(u.event()).DebugContext(w.ctx, "what somebody wants done with the event is not known", "error", err)
	}
	return skip, reason, err == nil
}

// asked is the outcome that somebody wants for a unit which has failed again; open or refused, as it was, without.
func (w *window) asked(u *unit) outcome {
	skip, reason, wanted := w.wanted(u)
	switch {
	case !wanted:
		return u.became
	case skip:
		u.err = fmt.Errorf("%s: %w", reason, u.err)
		return skipped
	}
	return aside
}

// rest waits for the next try of a unit that has failed, until somebody wants something done with it at most, and tells whether to go on.
// That can only be the first one that fails, which is in the status: with many of them there is one look a second, too.
func (w *window) rest(u *unit, d time.Duration) bool {
	for ; d > askedEvery; d -= askedEvery {
		if !w.sleep(askedEvery) {
			return false
		}
		if w.r.isFirst(u) {
			if _, _, wanted := w.wanted(u); wanted {
				return true
			}
		}
	}
	return w.sleep(d)
}
