package consumer

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

const (
	startSQL = `INSERT INTO {schema}consumers (name, topic, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	failSQL  = `UPDATE {schema}consumers SET stopped = stopped OR $4, ahead_at = CASE WHEN $5 OR ahead_at = position THEN position END,
			error = $6, tried_at = clock_timestamp(), attempts = $7, next_at = clock_timestamp() + $12 * interval '1 microsecond',
			since = coalesce(CASE WHEN failed_position IS NOT DISTINCT FROM $11 THEN since END, clock_timestamp() - $8 * interval '1 microsecond'),
			failed_event = $9, failed_name = $10, failed_position = $11, stalled = $13
		WHERE name = $1 AND topic = $2 AND node = $3`
	forgetSQL = `UPDATE {schema}consumers SET error = NULL, since = NULL, tried_at = NULL, next_at = NULL, attempts = NULL, ahead_at = NULL,
			failed_event = NULL, failed_name = NULL, failed_position = NULL, stalled = false
		WHERE name = $1 AND topic = $2 AND node = $3 AND NOT stopped AND (error IS NOT NULL OR ahead_at IS NOT NULL)`
	restartSQL = `UPDATE {schema}consumers SET stopped = false WHERE name = $1 AND topic = $2 AND stopped`
	pauseSQL   = `UPDATE {schema}consumers SET paused = true WHERE name = $1 AND topic = $2`
	leaseSQL   = `SELECT lease_until FROM {schema}consumers WHERE name = $1 AND topic = $2 AND clock_timestamp() < lease_until`
	resumeSQL  = `UPDATE {schema}consumers SET stopped = false, ahead_at = NULL, paused = false WHERE name = $1 AND topic = $2`
	liftSQL    = `UPDATE {schema}consumers SET ahead_at = NULL WHERE name = $1 AND topic = $2 AND node = $3 AND position = $4`
	stoppedSQL = `SELECT position, stopped OR paused, coalesce(ahead_at = position, false) FROM {schema}consumers WHERE name = $1 AND topic = $2`
)

// start makes the consumer, at a position, if it was never there.
func (s *Store) start(ctx context.Context, id ID, at eventsourced.Position) error {
	_, err := s.pool.Exec(ctx, s.Qualify(startSQL), id.Name, id.column(), int64(at))
	return s.Explain("start "+id.String(), err)
}

// stopping says whether a consumer stops at a failure.
type stopping int

const (
	goingOn      stopping = iota // it tries again
	stoppedThere                 // until it is resumed, or its process restarts
	stoppedAhead                 // of the log, until it is resumed or has another position
)

// fail puts on record why node does not get on.
func (s *Store) fail(ctx context.Context, id ID, node string, failure *Failure, how stopping) error {
	var (
		event    *[16]byte
		name     *string
		position *int64
		next     *int64 // how long until then
	)
	if !failure.Next.IsZero() {
		left := time.Until(failure.Next).Microseconds()
		next = &left
	}
	if failure.EventName != "" {
		event, name, position = (*[16]byte)(&failure.EventID), &failure.EventName, (*int64)(&failure.Position)
	}
	_, err := s.pool.Exec(ctx, s.Qualify(failSQL), id.Name, id.column(), node, how == stoppedThere, how == stoppedAhead,
		pgerr.Text(failure.Error), failure.Attempts, time.Since(failure.Since).Microseconds(), event, name, position, next, failure.Stalled)
	return s.Explain("record the failure of "+id.String(), err)
}

// forget removes the failure of a consumer that node runs and that is not stopped.
func (s *Store) forget(ctx context.Context, id ID, node string) error {
	_, err := s.pool.Exec(ctx, s.Qualify(forgetSQL), id.Name, id.column(), node)
	return s.Explain("forget the failure of "+id.String(), err)
}

// restart lets a consumer that stopped at a failure try again. The failure stays on
// record until it has got past it.
func (s *Store) restart(ctx context.Context, id ID) error {
	_, err := s.pool.Exec(ctx, s.Qualify(restartSQL), id.Name, id.column())
	return s.Explain("restart "+id.String(), err)
}

// Pause keeps a consumer from handling events, on all nodes, until [Store.Resume]. It returns when the node that has
// the consumer has noticed, mostly within half a second, or after two without a word from it; what is being
// handled then may still be. It returns [ErrUnknown].
func (s *Store) Pause(ctx context.Context, id ID) error {
	err := s.change(ctx, "pause", id, pauseSQL)
	if err == nil {
		s.noticed(ctx, id)
	}
	return err
}

// noticedWithin is how long [Store.Pause] waits for a node that does not renew its lease.
const noticedWithin = 2 * time.Second

// noticed waits for the next renewal of the lease: who renews it is told that it is paused.
func (s *Store) noticed(ctx context.Context, id ID) {
	ctx, cancel := context.WithTimeout(ctx, noticedWithin)
	defer cancel()
	var until, now time.Time            // when the lease ends
	look := func(at *time.Time) error { // an error also when nobody has it
		return s.pool.QueryRow(ctx, s.Qualify(leaseSQL), id.Name, id.column()).Scan(at)
	}
	for err := look(&until); err == nil; err = look(&now) {
		if !now.IsZero() && !now.Equal(until) {
			return
		}
		wait.Sleep(ctx, noticePause/10)
	}
}

// Resume lets a consumer go on that is paused, that stopped at a failure, or that was ahead
// of the log, unless it still is; with a reactor of package inbox, what receives its events. It returns [ErrUnknown].
func (s *Store) Resume(ctx context.Context, id ID) error {
	statements := []string{resumeSQL}
	if id.Kind == KindReactor {
		there, err := s.haveInboxes(ctx)
		if err != nil {
			return err
		}
		if there {
			statements = append(statements, resumeReceptionSQL)
		}
	}
	return s.change(ctx, "resume", id, statements...)
}

// change carries out statements about a consumer, the first of which is about its row.
func (s *Store) change(ctx context.Context, what string, id ID, statements ...string) error {
	err := s.Operate(ctx, id, what, nil, func(tx pgx.Tx) error {
		for i, sql := range statements {
			tag, err := tx.Exec(ctx, s.Qualify(sql), id.Name, id.column())
			if err == nil && i == 0 && tag.RowsAffected() == 0 {
				err = ErrUnknown
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return s.Explain(what+" "+id.String(), err)
}

// lift forgets that a consumer that node runs was ahead of the log at a position.
func (s *Store) lift(ctx context.Context, id ID, node string, at eventsourced.Position) error {
	_, err := s.pool.Exec(ctx, s.Qualify(liftSQL), id.Name, id.column(), node, int64(at))
	return s.Explain("resume "+id.String(), err)
}

// stopped tells whether a consumer is paused, stopped at a failure, or ahead of the log.
func (s *Store) stopped(ctx context.Context, id ID) (position eventsourced.Position, there, ahead bool, err error) {
	err = s.pool.QueryRow(ctx, s.Qualify(stoppedSQL), id.Name, id.column()).Scan((*int64)(&position), &there, &ahead)
	return position, there, ahead, s.Explain("read the state of "+id.String(), err)
}
