package relay

import (
	"context"
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

// Skip is an event that a relay leaves out, live and in history.
type Skip struct {
	Position  eventsourced.Position
	EventID   eventsourced.EventID
	EventName string // under which it is stored
	Error     string // why it could not leave
	Reason    string // for leaving it out
	By        string
	Time      time.Time
}

// Skip has the relay leave out the event at a position, from its next try on, on all nodes and for
// ever: consumers get what comes before and after it, and never the event. That goes only for one
// that is really in the way: it can't be translated, or it is at it that the relay stands. Of any
// other, and of none, it returns [ErrNotInTheWay]. Reason and by, who says so, are kept; both are
// required. Skipping it again changes nothing. The relay need not run here.
func (r *Relay) Skip(ctx context.Context, position eventsourced.Position, reason, by string) (Skip, error) {
	if strings.TrimSpace(reason) == "" || strings.TrimSpace(by) == "" {
		return Skip{}, fmt.Errorf("skip position %d: it takes a reason, and who says so", position)
	}
	skip, err := r.InTheWay(ctx, position)
	if err != nil || skip.By != "" {
		return skip, err
	}
	id := consumer.ID{Kind: consumer.KindRelay, Name: r.config.Name}
	asked := map[string]string{"position": fmt.Sprint(position), "reason": reason}
	err = r.store.Operate(eventsourced.WithActor(ctx, by), id, "skip", asked, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, r.store.Qualify(skipSQL), r.config.Name, int64(position), skip.EventID.String(), skip.EventName,
			pgerr.Text(skip.Error), pgerr.Text(reason), pgerr.Text(by))
		return err
	})
	if err != nil {
		return Skip{}, r.store.Explain("skip an event", err)
	}
	return r.skip(ctx, position)
}

// InTheWay returns what [Relay.Skip] would leave out, without a reason, or has left out. It changes
// nothing. It returns [ErrNotInTheWay].
func (r *Relay) InTheWay(ctx context.Context, position eventsourced.Position) (Skip, error) {
	if skip, err := r.skip(ctx, position); err != nil || skip.Position != 0 {
		return skip, err
	}
	event, found, err := consumer.EventAt(ctx, r.log, position)
	switch {
	case err != nil:
		return Skip{}, fmt.Errorf("skip position %d: %w", position, err)
	case !found || event.Position != position:
		return Skip{}, fmt.Errorf("skip position %d: %w: the log has no event there", position, ErrNotInTheWay)
	}
	obstacle, err := r.obstacle(ctx, event)
	if err != nil {
		return Skip{}, fmt.Errorf("skip position %d: %w", position, err)
	}
	return Skip{Position: position, EventID: event.ID, EventName: event.Name, Error: obstacle}, nil
}

// skip returns one of [Relay.Skipped], without a position if there is none.
func (r *Relay) skip(ctx context.Context, position eventsourced.Position) (Skip, error) {
	all, err := r.Skipped(ctx)
	for _, skip := range all {
		if skip.Position == position {
			return skip, err
		}
	}
	return Skip{}, err
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
	if err != nil {
		return err.Error(), nil
	}
	status, err := r.Status(ctx)
	if err != nil {
		return "", err
	}
	if failure := status.Failure; failure != nil && failure.Position == event.Position {
		return failure.Error, nil
	}
	return "", fmt.Errorf("%w: %s %s of %s can be published", ErrNotInTheWay, event.Name, event.ID, event.Stream)
}

// Skipped returns the events that the relay leaves out, in the order of the log.
func (r *Relay) Skipped(ctx context.Context) ([]Skip, error) {
	rows, err := r.store.Pool().Query(ctx, r.store.Qualify(skippedSQL), r.config.Name)
	if err != nil {
		return nil, r.store.Explain("read the skipped events", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Skip, err error) {
		err = row.Scan((*int64)(&s.Position), (*[16]byte)(&s.EventID), &s.EventName, &s.Error, &s.Reason, &s.By, &s.Time)
		s.Time = s.Time.UTC()
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
