package consumer

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// The tables that this file reads are those of packages inbox and readview. They can't read them for us: a status is asked for also by programs
// that import neither, such as a node of relays or an operator's command line, and has to say the same everywhere; and both packages import
// this one. What is read is the names, the positions and the failures, in the three statements below, which a test of package inbox
// keeps to the tables.

// inbox is the log of a reactor of package inbox, as far as a status needs it: what has come from
// another context and is not handled yet, and how its reception stands, which is a projection of package readview.
type inbox struct {
	store *Store
	name  string // of the reactor

	received eventsourced.Position // everything up to it has come
	heard    *int64                // how far the other context's relay is, nil when nobody knows now
	state    State                 // of the reception if it says more than the reactor's, "" otherwise
	idle     bool                  // no process runs the reception
	failure  *Failure              // why nothing comes
}

const (
	inboxesThereSQL = `SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL`
	inboxesSQL      = `SELECT substr(s.name, 7), r.position, s.status, (s.lease_until > clock_timestamp() AND s.lease_until <= clock_timestamp() + s.lease_length)
			OR coalesce(abs(extract(epoch FROM clock_timestamp() - s.tried_at)) < 15, false),
			s.error, coalesce(s.failed_at, s.tried_at), coalesce(s.failing_since, s.failed_at, s.tried_at), coalesce(s.attempts, 0),
			s.failed_event, s.failed_name, s.failed_position, s.lease_until < clock_timestamp() - interval '5 seconds',
			CASE WHEN s.lease_until > clock_timestamp() AND s.lease_until <= clock_timestamp() + s.lease_length THEN s.heard END
		FROM {schema}readview_states s JOIN {schema}readviews r USING (name) WHERE s.name LIKE 'inbox.%'`
	resumeReceptionSQL = `UPDATE {schema}readview_states SET status = 'running' WHERE name = 'inbox.' || $1 AND status <> 'running' AND $2::text <> ''`
	inboxCountSQL      = `SELECT count(*) FROM (SELECT FROM {schema}inbox_events WHERE name = $1 AND position > $2 LIMIT $3) page`
	inboxFirstSQL      = `SELECT position, occurred_at FROM {schema}inbox_events WHERE name = $1 AND position > $2 ORDER BY position LIMIT 1`
)

// haveInboxes tells whether the schema has the tables of package inbox.
func (s *Store) haveInboxes(ctx context.Context) (there bool, err error) {
	if s.receives.Load() {
		return true, nil
	}
	err = s.pool.QueryRow(ctx, inboxesThereSQL, s.schema+"inbox_events", s.schema+"readview_states").Scan(&there)
	s.receives.Store(there)
	return there, s.Explain("look for inboxes", err)
}

// inboxes returns those that the schema has, by the names of their reactors.
func (s *Store) inboxes(ctx context.Context) (map[string]inbox, error) {
	if there, err := s.haveInboxes(ctx); err != nil || !there {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, s.Qualify(inboxesSQL))
	if err != nil {
		return nil, s.Explain("status of the inboxes", err)
	}
	all := map[string]inbox{}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (inbox, error) { return s.scanInbox(row) })
	for _, i := range found {
		all[i.name] = i
	}
	return all, s.Explain("status of the inboxes", err)
}

func (s *Store) scanInbox(row pgx.Row) (inbox, error) {
	var (
		status       string
		trying       bool
		text, event  *string
		tried, since *time.Time
		attempts     int
		id           *[16]byte
		position     *int64
	)
	i := inbox{store: s}
	err := row.Scan(&i.name, (*int64)(&i.received), &status, &trying, &text, &tried, &since, &attempts, &id, &event, &position, &i.idle, &i.heard)
	if err == nil && text != nil && tried != nil && since != nil {
		i.failure = &Failure{Error: *text, Time: tried.UTC(), Since: since.UTC(), Attempts: attempts}
		if id != nil && event != nil && position != nil {
			i.failure.EventID, i.failure.EventName, i.failure.Position = *id, *event, eventsourced.Position(*position)
		}
	}
	switch {
	case status == "paused":
		i.state = Paused
	case status == "failed":
		i.state = Failed
	case status == "ahead":
		i.state = Ahead
	case trying && i.failure != nil:
		i.state = Retrying
	}
	return i, err
}

// status adds to a reactor's what is to be known of its reception: what a projection of its own says of such.
func (i inbox) status(status Status) Status {
	unknown := i.heard == nil || eventsourced.Position(*i.heard) > i.received
	if i.failure != nil || i.state != "" || unknown {
		status.Behind = -1
	}
	if i.heard != nil {
		status.Head = max(status.Head, eventsourced.Position(*i.heard))
	}
	if unknown && i.received > 0 {
		status.Lag = max(status.Lag, time.Since(i.received.Time()))
	}
	switch gets := status.State == Live || status.State == CatchingUp; {
	case gets && i.state != "":
		status.State = i.state
	case gets && i.idle:
		status.State, status.Behind = Standby, -1
		if status.Failure == nil {
			now := time.Now().UTC()
			status.Failure = &Failure{Time: now, Since: now, Error: "nothing is received: no process runs the projection inbox." + i.name +
				"; the log of the one that runs the reactor says why, if it may not"}
		}
	case status.State == Live && (i.heard == nil || unknown && status.Lag > catchingUpAfter):
		status.State = CatchingUp // more may wait than has come; why nothing comes is on record within two seconds
	}
	if status.Failure == nil {
		status.Failure = i.failure
	}
	return status
}

// Head implements [eventsourced.LogReader]. What the reactor has done is below it, also while
// the reception begins anew.
func (i inbox) Head(context.Context) (eventsourced.Position, error) { return i.received, nil }

// CountLog implements [eventsourced.LogReader]. All that has come is for the reactor.
func (i inbox) CountLog(ctx context.Context, q eventsourced.LogQuery) (n int64, err error) {
	err = i.store.pool.QueryRow(ctx, i.store.Qualify(inboxCountSQL), i.name, int64(q.After), q.Limit).Scan(&n)
	return n, i.store.Explain("count the inbox of "+i.name, err)
}

// ReadLog implements [eventsourced.LogReader]: when the first one happened.
func (i inbox) ReadLog(ctx context.Context, q eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		var e eventsourced.Recorded
		err := i.store.pool.QueryRow(ctx, i.store.Qualify(inboxFirstSQL), i.name, int64(q.After)).Scan((*int64)(&e.Position), &e.Time)
		if err == pgx.ErrNoRows { //nolint:errorlint // it was handled meanwhile
			return
		}
		if err != nil {
			err = fmt.Errorf("read the inbox of %s: %w", i.name, err)
		}
		yield(e, err)
	}
}
