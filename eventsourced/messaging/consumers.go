package messaging

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// State says in one word how a relay or a reactor is.
type State string

const (
	// Live consumers handle events as they come.
	Live State = "live"
	// CatchingUp is a consumer for which events wait longer than a few moments.
	CatchingUp State = "catching up"
	// Retrying is a consumer that can't get past an event, and goes on trying.
	Retrying State = "retrying"
	// Failed is a reactor that stopped at an event, see [StopAtFailure].
	Failed State = "failed"
	// Standby is a consumer that no node runs.
	Standby State = "standby"
)

// catchingUpAfter is how long events wait before a consumer counts as behind.
const catchingUpAfter = 2 * time.Second

// Status is how a relay or a reactor stands.
type Status struct {
	Name     string
	State    State
	Position eventsourced.Position // everything up to it is done
	Head     eventsourced.Position // of the log
	Behind   int64                 // events of the log above Position, those it passes over included
	Lag      time.Duration         // how long the first of them has been waiting; 0 when there is none
	Node     string                // who runs it, "" for nobody
	Parked   int64                 // events that were put aside, see [ParkFailures]
	Failure  *Failure              // why it does not get on, nil when it does
}

// Failure is the error that keeps a relay or a reactor from getting on.
type Failure struct {
	EventID   eventsourced.EventID // zero, like the two that follow, when it is not about an event
	EventName string
	Position  eventsourced.Position
	Error     string
	Time      time.Time
}

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
	failSQL  = `UPDATE consumers SET stopped = $4, error = $5, failed_at = now(), failed_event = $6, failed_name = $7, failed_position = $8
		WHERE name = $1 AND topic = $2 AND node = $3`
	recoverSQL = `UPDATE consumers SET stopped = false, error = NULL, failed_at = NULL, failed_event = NULL, failed_name = NULL, failed_position = NULL
		WHERE name = $1 AND topic = $2 AND (stopped OR error IS NOT NULL)`
	stoppedSQL = `SELECT stopped FROM consumers WHERE name = $1 AND topic = $2`
	statusSQL  = `SELECT position, CASE WHEN lease_until > clock_timestamp() THEN node ELSE '' END, stopped,
			error, failed_at, failed_event, failed_name, failed_position,
			(SELECT count(*) FROM parked_events p WHERE p.name = c.name AND c.topic = $3)
		FROM consumers c WHERE name = $1 AND topic = $2`
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
	return explain("start", consumer, err)
}

// fail puts on record why node does not get past an event, nil when it is not
// about one.
func (p *Positions) fail(ctx context.Context, consumer Consumer, node string, event *eventsourced.Recorded, cause error, stop bool) error {
	var (
		id       *[16]byte
		name     *string
		position *int64
	)
	if event != nil {
		id, name, position = (*[16]byte)(&event.ID), &event.Name, (*int64)(&event.Position)
	}
	_, err := p.pool.Exec(ctx, failSQL, consumer.Group, consumer.Topic, node, stop, pgerr.Text(cause.Error()), id, name, position)
	return explain("record the failure of", consumer, err)
}

// recover forgets a failure, and lets a stopped consumer go on.
func (p *Positions) recover(ctx context.Context, consumer Consumer) error {
	_, err := p.pool.Exec(ctx, recoverSQL, consumer.Group, consumer.Topic)
	return explain("resume", consumer, err)
}

func (p *Positions) stopped(ctx context.Context, consumer Consumer) (stopped bool, err error) {
	err = p.pool.QueryRow(ctx, stoppedSQL, consumer.Group, consumer.Topic).Scan(&stopped)
	return stopped, explain("read the state of", consumer, err)
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
	return topics, explain("read the topics of", relay, err)
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
	return explain("save the position of", relay, err)
}

func (p *Positions) park(ctx context.Context, reactor Consumer, event eventsourced.Recorded, cause error) error {
	_, err := p.pool.Exec(ctx, parkSQL, reactor.Group, int64(event.Position), [16]byte(event.ID), event.Name, pgerr.Text(cause.Error()))
	return explain("park an event of", reactor, err)
}

func (p *Positions) unpark(ctx context.Context, reactor Consumer, position eventsourced.Position) error {
	_, err := p.pool.Exec(ctx, unparkSQL, reactor.Group, int64(position))
	return explain("unpark an event of", reactor, err)
}

// parked returns the events that were put aside, or those to be tried again.
func (p *Positions) parked(ctx context.Context, reactor Consumer, dueOnly bool) ([]ParkedEvent, error) {
	rows, err := p.pool.Query(ctx, parkedSQL, reactor.Group, dueOnly)
	if err != nil {
		return nil, explain("read the parked events of", reactor, err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (event ParkedEvent, err error) {
		err = row.Scan((*int64)(&event.Position), (*[16]byte)(&event.EventID), &event.EventName, &event.Error, &event.ParkedAt)
		return event, err
	})
	return events, explain("read the parked events of", reactor, err)
}

func (p *Positions) retryParked(ctx context.Context, reactor Consumer) error {
	_, err := p.pool.Exec(ctx, dueSQL, reactor.Group)
	return explain("retry the parked events of", reactor, err)
}

// status returns how a consumer stands. One that has never run is a standby at 0.
func (p *Positions) status(ctx context.Context, log eventsourced.LogReader, consumer Consumer) (Status, error) {
	status := Status{Name: consumer.Group}
	var (
		stopped          bool
		text, failedName *string
		failedAt         *time.Time
		failedEvent      *[16]byte
		failedPosition   *int64
	)
	err := p.pool.QueryRow(ctx, statusSQL, consumer.Group, consumer.Topic, reactorTopic).Scan((*int64)(&status.Position), &status.Node, &stopped,
		&text, &failedAt, &failedEvent, &failedName, &failedPosition, &status.Parked)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Status{}, explain("status of", consumer, err)
	}
	if text != nil && failedAt != nil {
		status.Failure = &Failure{Error: *text, Time: failedAt.UTC()}
		if failedEvent != nil && failedName != nil && failedPosition != nil {
			status.Failure.EventID, status.Failure.EventName = *failedEvent, *failedName
			status.Failure.Position = eventsourced.Position(*failedPosition)
		}
	}
	backlog, err := eventsourced.BacklogAfter(ctx, log, status.Position)
	if err != nil {
		return Status{}, fmt.Errorf("status of %s: %w", consumer, err)
	}
	status.Head, status.Behind, status.Lag = backlog.Head, backlog.Behind, backlog.Lag
	switch {
	case stopped:
		status.State = Failed
	case status.Node == "":
		status.State = Standby
	case status.Failure != nil:
		status.State = Retrying
	case status.Lag > catchingUpAfter:
		status.State = CatchingUp
	default:
		status.State = Live
	}
	return status, nil
}
