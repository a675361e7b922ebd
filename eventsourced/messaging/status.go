package messaging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// State says in one word how a consumer is.
type State string

const (
	// Live consumers handle events as they come.
	Live State = "live"
	// CatchingUp is a consumer for which events wait longer than a few moments.
	CatchingUp State = "catching up"
	// Retrying is a consumer that can't get on, or not in all it does, and goes on
	// trying.
	Retrying State = "retrying"
	// Failed is a reactor that stopped at an event, see [StopAtFailure].
	Failed State = "failed"
	// Ahead is a consumer whose position is above the log's head, or was when its
	// node looked: it has stopped, see [ErrAhead].
	Ahead State = "ahead of the log"
	// Standby is a consumer that no node runs.
	Standby State = "standby"
)

// The kinds of consumers.
const (
	KindRelay      = "relay"
	KindReactor    = "reactor"
	KindSubscriber = "subscriber"
)

const (
	// catchingUpAfter is how long events wait before a consumer counts as behind.
	catchingUpAfter = 2 * time.Second
	// deadAfter is when a consumer that nobody runs is not trying any longer.
	deadAfter = 15 * time.Second
)

// Status is how a consumer stands.
type Status struct {
	Name     string // a subscriber's is its consumer group
	Kind     string // KindRelay, KindReactor or KindSubscriber
	Topic    string // a subscriber's
	State    State
	Position eventsourced.Position // everything up to it is done
	Head     eventsourced.Position // of the log
	Behind   int64                 // events above Position that it handles, up to [eventsourced.MaxBacklog] (of a reactor of another process, all of the log's); -1 when the log can't be read
	More     bool                  // there are more than Behind says
	Lag      time.Duration         // how long the first of them has been waiting; 0 when there is none
	Node     string                // who runs it, "" for nobody
	Parked   int64                 // events that were put aside, see [ParkFailures]
	Failure  *Failure              // why it does not get on, nil when it does
}

// Failure is what keeps a consumer from getting on: an error, or something that
// takes long. It is on record within two seconds.
type Failure struct {
	EventID   eventsourced.EventID // zero, like the two that follow, when it is not about an event
	EventName string
	Position  eventsourced.Position
	Error     string
	Time      time.Time // of the last try
	Since     time.Time // of the first one
	Attempts  int       // that have failed or hang; 0 when the first is under way and takes long
}

// Status returns how all consumers stand that the table has, in the order of their
// names: relays, reactors and consumer groups, whichever process runs them. log is
// the one that they follow. A Subscriber with an adapter of package watermillsql has no
// lease, and reads as a standby.
func (p *Positions) Status(ctx context.Context, log eventsourced.LogReader) (all []Status, err error) {
	rows, err := p.pool.Query(ctx, `SELECT `+standingColumns+` FROM consumers c ORDER BY name, topic`, reactorTopic)
	if err != nil {
		return nil, p.explain("status of", Consumer{}, err)
	}
	standings, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (standing, error) { return scanStanding(row) })
	if err != nil {
		return nil, p.explain("status of", Consumer{}, err)
	}
	for _, s := range standings {
		var names []string
		if topic := s.consumer.Topic; topic != AllEvents && topic != relayTopic && topic != reactorTopic {
			names = []string{topic}
		}
		status, err := s.status(ctx, log, names)
		if err != nil {
			return nil, err
		}
		all = append(all, status)
	}
	return all, nil
}

// standing is a consumer's row in the table.
type standing struct {
	consumer Consumer
	position eventsourced.Position
	node     string // who has the lease, or had it last
	leased   bool
	stopped  bool
	ahead    bool
	failure  *Failure
	trying   bool // the failure is of one that runs, or ran a moment ago
	parked   int64
}

const standingColumns = `name, topic, position, node,
	clock_timestamp() < lease_until AND lease_until <= clock_timestamp() + lease_length, stopped,
	coalesce(ahead_at = position, false), coalesce(ahead_at <> position, false),
	error, tried_at, coalesce(since, tried_at), coalesce(attempts, 0),
	coalesce((extract(epoch FROM tried_at - clock_timestamp()) * 1000000)::bigint, 0), failed_event, failed_name, failed_position,
	(SELECT count(*) FROM parked_events p WHERE p.name = c.name AND c.topic = $1)`

func scanStanding(row pgx.Row) (standing, error) {
	var (
		s           standing
		moved       bool // since it was ahead of the log
		text, name  *string
		tried       *time.Time
		since       *time.Time
		attempts    int
		triedBefore int64
		event       *[16]byte
		position    *int64
	)
	err := row.Scan(&s.consumer.Group, &s.consumer.Topic, (*int64)(&s.position), &s.node, &s.leased, &s.stopped, &s.ahead, &moved,
		&text, &tried, &since, &attempts, &triedBefore, &event, &name, &position, &s.parked)
	if err != nil || text == nil || tried == nil || moved {
		return s, err
	}
	s.failure = &Failure{Error: *text, Time: tried.UTC(), Since: since.UTC(), Attempts: attempts}
	if event != nil && name != nil && position != nil {
		s.failure.EventID, s.failure.EventName, s.failure.Position = *event, *name, eventsourced.Position(*position)
	}
	// A clock that went back makes it a try of the future.
	s.trying = s.leased || (time.Duration(triedBefore)*time.Microsecond).Abs() < deadAfter
	return s, nil
}

// status returns how the follower's consumer stands. One that has never run is a
// standby at 0. What this process knows of a failure counts, unless another one runs
// the consumer: it may be that the table can't be written.
func (f *follower) status(ctx context.Context) (Status, error) {
	at := f.at.Load()
	s := standing{consumer: f.consumer, position: eventsourced.Position(at), node: f.node, leased: f.leads.Load(), ahead: at > 0 && at == f.aheadAt.Load()}
	if f.table != nil {
		var err error
		s, err = scanStanding(f.table.pool.QueryRow(ctx, `SELECT `+standingColumns+` FROM consumers c WHERE name = $2 AND topic = $3`,
			reactorTopic, f.consumer.Group, f.consumer.Topic))
		if errors.Is(err, pgx.ErrNoRows) {
			s, err = standing{consumer: f.consumer}, nil
		}
		if err != nil {
			return f.unread(f.table.explain("status of", f.consumer, err))
		}
	}
	failure := f.record.current()
	if failure != nil && f.aheadAt.Load() != int64(s.position) && strings.HasPrefix(failure.Error, ErrAhead.Error()) {
		failure = nil // somebody has set the position
	}
	switch {
	case s.leased && s.node != f.node:
	case failure == nil && s.leased && f.record.certain() && !s.stopped && !s.ahead:
		s.failure = nil // it is about to be forgotten
	case failure != nil:
		if s.failure != nil && s.failure.Position == failure.Position && s.failure.Since.Before(failure.Since) {
			failure.Since = s.failure.Since
		}
		s.failure, s.trying = failure, true
	}
	status, err := s.status(ctx, f.log, f.names)
	if err == nil && status.Head < status.Position && !s.ahead {
		f.look.Store(true) // and stop
		f.nudge()
	}
	return status, err
}

// unread is the status when it can't be read, with what this process knows.
func (f *follower) unread(err error) (Status, error) {
	status := Status{Position: eventsourced.Position(f.at.Load()), State: Standby, Behind: -1, Failure: f.record.current()}
	status.name(f.consumer)
	if status.Failure != nil {
		status.State = Retrying
	}
	return status, err
}

func (s *Status) name(consumer Consumer) {
	s.Name = consumer.Group
	switch consumer.Topic {
	case relayTopic:
		s.Kind = KindRelay
	case reactorTopic:
		s.Kind = KindReactor
	default:
		s.Kind, s.Topic = KindSubscriber, consumer.Topic
	}
}

// status measures the backlog of names, all when there is none.
func (s standing) status(ctx context.Context, log eventsourced.LogReader, names []string) (Status, error) {
	status := Status{Position: s.position, Parked: s.parked, Failure: s.failure}
	status.name(s.consumer)
	if s.leased {
		status.Node = s.node
		if i := strings.LastIndexByte(s.node, '/'); i >= 0 {
			status.Node = s.node[:i] // what follows tells apart the consumers of one process
		}
	}
	backlog, err := eventsourced.BacklogAfter(ctx, log, eventsourced.LogQuery{After: s.position, Names: names})
	switch {
	case err != nil && s.failure == nil:
		return Status{}, fmt.Errorf("status of %s: %w", s.consumer, err)
	case err != nil: // the failure says it, or more
		status.Behind = -1
	default:
		status.Head, status.Behind, status.More, status.Lag = backlog.Head, backlog.Behind, backlog.More, backlog.Lag
		if backlog.Head < s.position {
			s.ahead = s.ahead || !s.leased // who has the lease looks soon, and stops
			if status.Failure == nil {
				status.Failure = newFailure(nil, time.Now(), aheadError(s.position, backlog.Head))
				status.Failure.Attempts = 0
			}
		}
	}
	status.State = s.state(status, backlog)
	return status, nil
}

func (s standing) state(status Status, backlog eventsourced.Backlog) State {
	failing := status.Failure != nil && (s.trying || s.failure == nil) // the latter is ahead of the log
	switch {
	case s.ahead:
		return Ahead
	case s.stopped:
		return Failed
	case failing && status.Failure.Attempts > 0:
		return Retrying
	case !s.leased && !failing:
		return Standby
	case failing || status.Lag > catchingUpAfter || backlog.FromFuture:
		return CatchingUp
	default:
		return Live
	}
}
