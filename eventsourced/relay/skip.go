package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

const (
	skipSQL = `INSERT INTO {schema}relay_skips (name, position, event, event_name, error, reason, skipped_by) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT DO NOTHING`
	skippedSQL   = `SELECT position, event, event_name, error, reason, skipped_by, skipped_at FROM {schema}relay_skips WHERE name = $1 ORDER BY position`
	positionsSQL = `SELECT position FROM {schema}relay_skips WHERE name = $1`
)

// SkippedEvent is an event that a relay leaves out, live and in history.
type SkippedEvent struct {
	Position  eventsourced.Position
	EventID   eventsourced.EventID
	EventName string    // under which it is stored
	Error     string    // why it could not leave
	Reason    string    // why it is left out
	Actor     string    // who has decided that; "" for one that is not left out
	SkippedAt time.Time // zero for one that is not left out
}

// Skip has the relay leave out the event at a position, from its next try on, on all nodes and for
// ever: consumers get what comes before and after it, and never the event. It does so only for an event
// that is really in the way: one that can't be translated, or at which the relay stands. One that can't be read as this program is older than it is
// may well be sent by the program that runs the relay: it counts when that stands there. For any other, and where there is none, it returns [ErrNotThere]. The reason is required; it is kept with
// the actor, who is that of [eventsourced.WithActor], or else [consumer.Config] Node. Skipping the event
// again changes nothing. The relay need not run here.
func (r *Relay) Skip(ctx context.Context, position eventsourced.Position, reason string) (SkippedEvent, error) {
	if strings.TrimSpace(reason) == "" {
		return SkippedEvent{}, fmt.Errorf("skip position %d: it takes a reason", position)
	}
	skip, err := r.InTheWay(ctx, position)
	if err != nil || skip.Actor != "" {
		return skip, err
	}
	actor := cmp.Or(eventsourced.ContextActor(ctx), r.config.Node)
	id := consumer.ID{Kind: consumer.KindRelay, Name: r.config.Name}
	asked := map[string]string{"position": fmt.Sprint(position), "reason": reason}
	err = r.store.Operate(eventsourced.WithActor(ctx, actor), id, "skip", asked, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, r.store.Qualify(skipSQL), r.config.Name, int64(position), skip.EventID.String(), skip.EventName,
			pgerr.Text(skip.Error), pgerr.Text(reason), pgerr.Text(actor))
		return err
	})
	if err != nil {
		return SkippedEvent{}, r.store.Explain("skip an event", err)
	}
	return r.skip(ctx, position)
}

// InTheWay returns the event that [Relay.Skip] would leave out, without a reason and an actor, or has left out.
// It changes nothing. It returns [ErrNotThere].
func (r *Relay) InTheWay(ctx context.Context, position eventsourced.Position) (SkippedEvent, error) {
	if skip, err := r.skip(ctx, position); err != nil || skip.Position != 0 {
		return skip, err
	}
	event, found, err := consumer.EventAt(ctx, r.log, position)
	switch {
	case err != nil:
		return SkippedEvent{}, fmt.Errorf("skip position %d: %w", position, err)
	case !found || event.Position != position:
		return SkippedEvent{}, fmt.Errorf("skip position %d: %w: the log has no event there", position, ErrNotThere)
	}
	obstacle, err := r.obstacle(ctx, event)
	if err != nil {
		return SkippedEvent{}, fmt.Errorf("skip position %d: %w", position, err)
	}
	return SkippedEvent{Position: position, EventID: event.ID, EventName: event.Name, Error: obstacle}, nil
}

// skip returns one of [Relay.Skipped], without a position if there is none.
func (r *Relay) skip(ctx context.Context, position eventsourced.Position) (SkippedEvent, error) {
	all, err := r.Skipped(ctx)
	for _, skip := range all {
		if skip.Position == position {
			return skip, err
		}
	}
	return SkippedEvent{}, err
}

// obstacle says why an event can't leave.
func (r *Relay) obstacle(ctx context.Context, event eventsourced.Recorded) (string, error) {
	translated := make(chan error, 1)
	go func() {
		translated <- func() (err error) {
			defer wait.Recover(&err)
			_, err = r.translateAll(ctx, event)
			return err
		}()
	}()
	hangs := time.NewTimer(r.config.HangTimeout)
	defer hangs.Stop()
	var err error
	select {
	case err = <-translated:
	case <-hangs.C:
		err = fmt.Errorf("translating it has not ended after %v", r.config.HangTimeout)
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	newer := errors.Is(err, eventsourced.ErrNewerEvent) // what this program thinks of it is of no matter
	if err != nil && !newer {
		return err.Error(), nil
	}
	status, statusErr := r.Status(ctx)
	if statusErr != nil {
		return "", statusErr
	}
	if failure := status.Failure; failure != nil && failure.Position == event.Position {
		return failure.Error, nil
	}
	if newer {
		return "", fmt.Errorf("%w: the relay does not stand there, and this program is older than the event, so that it can't tell: ask the one that runs the relay: %w", ErrNotThere, err)
	}
	return "", fmt.Errorf("%w: %s %s of %s can be published", ErrNotThere, event.Name, event.ID, event.Stream)
}

// Skipped returns the events that the relay leaves out, in the order of the log.
func (r *Relay) Skipped(ctx context.Context) ([]SkippedEvent, error) {
	rows, err := r.store.Pool().Query(ctx, r.store.Qualify(skippedSQL), r.config.Name)
	if err != nil {
		return nil, r.store.Explain("read the skipped events", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s SkippedEvent, err error) {
		err = row.Scan((*int64)(&s.Position), (*[16]byte)(&s.EventID), &s.EventName, &s.Error, &s.Reason, &s.Actor, &s.SkippedAt)
		s.SkippedAt = s.SkippedAt.UTC()
		return s, err
	})
	return all, r.store.Explain("read the skipped events", err)
}

// loadSkips looks for what is to be left out: that is said while the relay stands there, or
// an answer to a request.
func (r *Relay) loadSkips(ctx context.Context) error {
	rows, err := r.store.Pool().Query(ctx, r.store.Qualify(positionsSQL), r.config.Name)
	if err != nil {
		return r.store.Explain("read the skipped events", err)
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return r.store.Explain("read the skipped events", err)
	}
	skips := make(map[eventsourced.Position]bool, len(positions))
	for _, position := range positions {
		skips[eventsourced.Position(position)] = true
	}
	r.skips.Store(&skips)
	return nil
}

// skipped tells that an event is left out.
func (r *Relay) skipped(position eventsourced.Position) bool {
	skips := r.skips.Load()
	return skips != nil && (*skips)[position]
}
