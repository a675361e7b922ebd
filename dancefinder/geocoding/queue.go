package geocoding

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// queue is the table geocoding_job. Each method is one statement, and so one
// short transaction; the clock is the database's.
type queue struct {
	pool *pgxpool.Pool
}

// The states of a job.
const (
	statePending  = "pending"
	stateDone     = "done"
	stateFailed   = "failed"
	stateNotFound = "not_found"
)

// job is a job that this process has claimed.
type job struct {
	hall     string // its id
	query    Query
	event    uuid.UUID // by which the hall got its name and place
	position eventsourced.Position

	correlation string    // of the event; empty when it had none
	attempts    int       // including the one that the claim is for
	claim       uuid.UUID // unique to the claim
}

// cause returns the event as far as those that follow from it need to know it.
func (j job) cause() *eventsourced.Recorded {
	event := &eventsourced.Recorded{
		EventData: eventsourced.EventData{ID: eventsourced.EventID(j.event)},
		Stream:    eventsourced.Stream{AggregateName: domain.AggregateDanceHall, AggregateID: j.hall},
		Position:  j.position,
	}
	if j.correlation != "" {
		event.Metadata = eventsourced.Metadata{eventsourced.MetaCorrelation: j.correlation}
	}
	return event
}

// command returns the id of the command that follows from a result of source. It
// is the same for each attempt, so what two of them find out is one event.
func (j job) command(source domain.GeocodeSource) eventsourced.EventID {
	return eventsourced.EventID(uuid.NewSHA1(j.event, []byte("geocode "+source)))
}

// add adds the job of a hall, or begins it anew when the hall has another place since.
func (q queue) add(ctx context.Context, hall, name string, at domain.Place, recorded *eventsourced.Recorded) error {
	_, err := q.pool.Exec(ctx, `
		INSERT INTO geocoding_job AS job (dance_hall_id, hall_name, hall_city, hall_municipality, hall_state,
			event_id, event_position, correlation_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (dance_hall_id) DO UPDATE
		SET hall_name = EXCLUDED.hall_name, hall_city = EXCLUDED.hall_city, hall_municipality = EXCLUDED.hall_municipality,
			hall_state = EXCLUDED.hall_state, event_id = EXCLUDED.event_id, event_position = EXCLUDED.event_position,
			correlation_id = EXCLUDED.correlation_id, state = 'pending', attempts = 0, next_attempt_at = clock_timestamp(),
			claim = NULL, last_error = '', updated = clock_timestamp()
		WHERE job.event_position < EXCLUDED.event_position`,
		hall, name, at.City, at.Municipality, at.State,
		uuid.UUID(recorded.ID), recorded.Position, recorded.Metadata[eventsourced.MetaCorrelation])
	return err
}

// claim takes up to limit jobs that are due, those that wait longest first. Until
// lease has passed nobody else takes them. Rows that are just being claimed
// elsewhere are passed over, so no two claims get one job. What is to wait for more
// than longest is due as well: the clock went back since that was written.
func (q queue) claim(ctx context.Context, limit int, lease, longest time.Duration) ([]job, error) {
	rows, err := q.pool.Query(ctx, `
		WITH due AS MATERIALIZED (
			SELECT dance_hall_id
			FROM geocoding_job
			WHERE state = 'pending' AND (next_attempt_at <= now() OR next_attempt_at > now() + $3::interval)
			ORDER BY next_attempt_at
			LIMIT $1
			FOR UPDATE SKIP LOCKED
		)
		UPDATE geocoding_job AS j
		SET claim = gen_random_uuid(), attempts = j.attempts + 1,
			next_attempt_at = clock_timestamp() + $2::interval, updated = clock_timestamp()
		FROM due
		WHERE j.dance_hall_id = due.dance_hall_id
		RETURNING j.dance_hall_id::text, j.hall_name, j.hall_city, j.hall_municipality, j.hall_state,
			j.event_id, j.event_position, j.correlation_id, j.attempts, j.claim`, limit, lease, longest)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (job, error) {
		var j job
		var name string
		var at domain.Place
		err := row.Scan(&j.hall, &name, &at.City, &at.Municipality, &at.State,
			&j.event, &j.position, &j.correlation, &j.attempts, &j.claim)
		j.query = NewQuery(name, at)
		return j, err
	})
}

// outcome is how an attempt ended.
type outcome struct {
	state   string
	delay   time.Duration // of a pending job, until the next attempt
	forgive bool          // whether the attempt does not count
	err     error         // why it is neither done nor not found
}

// finish records how an attempt ended, and reports whether the claim was still
// good. If not, the job is another worker's, and stays as it is.
func (q queue) finish(ctx context.Context, j job, o outcome) (bool, error) {
	text, forgiven := "", 0
	if o.err != nil {
		text = line(o.err.Error())
	}
	if o.forgive {
		forgiven = 1
	}
	tag, err := q.pool.Exec(ctx, `
		UPDATE geocoding_job
		SET state = $3, next_attempt_at = clock_timestamp() + $4::interval, attempts = attempts - $5::int,
			last_error = $6, claim = NULL, updated = clock_timestamp()
		WHERE dance_hall_id = $1 AND claim = $2`,
		j.hall, j.claim, o.state, o.delay, forgiven, text)
	return tag.RowsAffected() == 1, err
}

// retry makes jobs pending that have ended without success.
func (q queue) retry(ctx context.Context) (int64, error) {
	tag, err := q.pool.Exec(ctx, `
		WITH forgotten AS (
			DELETE FROM geocoding_cache WHERE latitude IS NULL
		)
		UPDATE geocoding_job
		SET state = 'pending', attempts = 0, next_attempt_at = clock_timestamp(), last_error = '', updated = clock_timestamp()
		WHERE state IN ('failed', 'not_found')`)
	return tag.RowsAffected(), err
}

// status counts the jobs.
func (q queue) status(ctx context.Context) (s Status, err error) {
	err = q.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'done'),
			count(*) FILTER (WHERE state = 'failed'), count(*) FILTER (WHERE state = 'not_found')
		FROM geocoding_job`).Scan(&s.Pending, &s.Done, &s.Failed, &s.NotFound)
	if err != nil {
		return Status{}, fmt.Errorf("status of geocoding: %w", err)
	}
	return s, nil
}
