package messaging

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// ParkedEvent is an event that a reactor put aside.
type ParkedEvent struct {
	Position  eventsourced.Position
	EventID   eventsourced.EventID
	EventName string
	Error     string // of the last attempt
	ParkedAt  time.Time
}

const (
	startSQL = `INSERT INTO consumers (name, topic, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	failSQL  = `UPDATE consumers SET stopped = stopped OR $4, ahead_at = CASE WHEN $5 OR ahead_at = position THEN position END,
			error = $6, tried_at = clock_timestamp(), attempts = $7,
			since = coalesce(CASE WHEN failed_position IS NOT DISTINCT FROM $11 THEN since END, clock_timestamp() - $8 * interval '1 microsecond'),
			failed_event = $9, failed_name = $10, failed_position = $11
		WHERE name = $1 AND topic = $2 AND node = $3`
	forgetSQL = `UPDATE consumers SET error = NULL, since = NULL, tried_at = NULL, attempts = NULL, ahead_at = NULL,
			failed_event = NULL, failed_name = NULL, failed_position = NULL
		WHERE name = $1 AND topic = $2 AND node = $3 AND NOT stopped AND (error IS NOT NULL OR ahead_at IS NOT NULL)`
	restartSQL   = `UPDATE consumers SET stopped = false WHERE name = $1 AND topic = $2 AND stopped`
	resumeSQL    = `UPDATE consumers SET stopped = false, ahead_at = NULL WHERE name = $1 AND topic = $2 AND (stopped OR ahead_at IS NOT NULL)`
	liftSQL      = `UPDATE consumers SET ahead_at = NULL WHERE name = $1 AND topic = $2 AND node = $3 AND position = $4`
	stoppedSQL   = `SELECT position, stopped, coalesce(ahead_at = position, false) FROM consumers WHERE name = $1 AND topic = $2`
	topicsSQL    = `SELECT topic, position FROM relay_topics WHERE name = $1`
	saveTopicSQL = `INSERT INTO relay_topics (name, topic, position) VALUES ($1, $2, $3)
		ON CONFLICT (name, topic) DO UPDATE SET position = EXCLUDED.position`
	parkSQL = `INSERT INTO parked_events (name, position, event_id, event_name, error) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name, position) DO UPDATE SET error = EXCLUDED.error, parked_at = now(), due = false`
	unparkSQL = `DELETE FROM parked_events WHERE name = $1 AND position = $2`
	parkedSQL = `SELECT position, event_id, event_name, error, parked_at FROM parked_events WHERE name = $1 AND (due OR NOT $2) ORDER BY position`
	dueSQL    = `UPDATE parked_events SET due = true WHERE name = $1`
)

// start makes the consumer, at a position, if it was never there.
func (p *Positions) start(ctx context.Context, consumer Consumer, at eventsourced.Position) error {
	_, err := p.pool.Exec(ctx, startSQL, consumer.Group, consumer.Topic, int64(at))
	return p.explain("start", consumer, err)
}

// stopping says whether a consumer stops at a failure.
type stopping int

const (
	goingOn      stopping = iota // it tries again
	stoppedThere                 // until it is resumed, or its process restarts
	stoppedAhead                 // of the log, until it is resumed or has another position
)

// fail puts on record why node does not get on.
func (p *Positions) fail(ctx context.Context, consumer Consumer, node string, failure *Failure, how stopping) error {
	var (
		id       *[16]byte
		name     *string
		position *int64
	)
	if failure.EventName != "" {
		id, name, position = (*[16]byte)(&failure.EventID), &failure.EventName, (*int64)(&failure.Position)
	}
	_, err := p.pool.Exec(ctx, failSQL, consumer.Group, consumer.Topic, node, how == stoppedThere, how == stoppedAhead,
		pgerr.Text(failure.Error), failure.Attempts, time.Since(failure.Since).Microseconds(), id, name, position)
	return p.explain("record the failure of", consumer, err)
}

// forget removes the failure of a consumer that node runs and that is not stopped.
func (p *Positions) forget(ctx context.Context, consumer Consumer, node string) error {
	_, err := p.pool.Exec(ctx, forgetSQL, consumer.Group, consumer.Topic, node)
	return p.explain("forget the failure of", consumer, err)
}

// restart lets a consumer that stopped at a failure try again. The failure stays on
// record until it has got past it.
func (p *Positions) restart(ctx context.Context, consumer Consumer) error {
	_, err := p.pool.Exec(ctx, restartSQL, consumer.Group, consumer.Topic)
	return p.explain("restart", consumer, err)
}

// resume is restart, also for a consumer that was ahead of the log.
func (p *Positions) resume(ctx context.Context, consumer Consumer) error {
	_, err := p.pool.Exec(ctx, resumeSQL, consumer.Group, consumer.Topic)
	return p.explain("resume", consumer, err)
}

// lift forgets that a consumer that node runs was ahead of the log at a position.
func (p *Positions) lift(ctx context.Context, consumer Consumer, node string, at eventsourced.Position) error {
	_, err := p.pool.Exec(ctx, liftSQL, consumer.Group, consumer.Topic, node, int64(at))
	return p.explain("resume", consumer, err)
}

// stopped tells whether a consumer is stopped at a failure, or ahead of the log.
func (p *Positions) stopped(ctx context.Context, consumer Consumer) (position eventsourced.Position, there, ahead bool, err error) {
	err = p.pool.QueryRow(ctx, stoppedSQL, consumer.Group, consumer.Topic).Scan((*int64)(&position), &there, &ahead)
	return position, there, ahead, p.explain("read the state of", consumer, err)
}

// topics returns the position of the last message that a relay sent to each topic.
func (p *Positions) topics(ctx context.Context, relay Consumer) (map[string]eventsourced.Position, error) {
	topics := map[string]eventsourced.Position{}
	rows, err := p.pool.Query(ctx, topicsSQL, relay.Group)
	if err == nil {
		var topic string
		var position int64
		_, err = pgx.ForEachRow(rows, []any{&topic, &position}, func() error {
			topics[topic] = eventsourced.Position(position)
			return nil
		})
	}
	return topics, p.explain("read the topics of", relay, err)
}

// saveTopics is Save, together with what was sent.
func (p *Positions) saveTopics(ctx context.Context, relay Consumer, node string, from, to eventsourced.Position, sent map[string]eventsourced.Position) error {
	changed := false
	batch := &pgx.Batch{}
	batch.Queue(asyncSQL)
	batch.Queue(saveSQL, relay.Group, relay.Topic, node, int64(from), int64(to)).Exec(func(tag pgconn.CommandTag) error {
		if changed = tag.RowsAffected() == 1; !changed {
			return ErrLeaseLost // and what follows is rolled back
		}
		return nil
	})
	for topic, position := range sent {
		batch.Queue(saveTopicSQL, relay.Group, topic, int64(position))
	}
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	return p.explain("save the position of", relay, err)
}

func (p *Positions) park(ctx context.Context, reactor Consumer, event eventsourced.Recorded, cause error) error {
	_, err := p.pool.Exec(ctx, parkSQL, reactor.Group, int64(event.Position), [16]byte(event.ID), event.Name, pgerr.Text(cause.Error()))
	return p.explain("park an event of", reactor, err)
}

func (p *Positions) unpark(ctx context.Context, reactor Consumer, position eventsourced.Position) error {
	_, err := p.pool.Exec(ctx, unparkSQL, reactor.Group, int64(position))
	return p.explain("unpark an event of", reactor, err)
}

// parked returns the events that were put aside, or those to be tried again.
func (p *Positions) parked(ctx context.Context, reactor Consumer, dueOnly bool) ([]ParkedEvent, error) {
	rows, err := p.pool.Query(ctx, parkedSQL, reactor.Group, dueOnly)
	if err != nil {
		return nil, p.explain("read the parked events of", reactor, err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (event ParkedEvent, err error) {
		err = row.Scan((*int64)(&event.Position), (*[16]byte)(&event.EventID), &event.EventName, &event.Error, &event.ParkedAt)
		return event, err
	})
	return events, p.explain("read the parked events of", reactor, err)
}

func (p *Positions) retryParked(ctx context.Context, reactor Consumer) error {
	_, err := p.pool.Exec(ctx, dueSQL, reactor.Group)
	return p.explain("retry the parked events of", reactor, err)
}
