package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const (
	// catchingUpAfter is how long events wait before a consumer counts as behind.
	catchingUpAfter = 2 * time.Second
	// deadAfter is when a consumer that nobody runs is not trying any longer.
	deadAfter = 15 * time.Second
)

// Status returns how all consumers stand that the table has, in the order of their
// names: reactors, relays and consumer groups, whichever process runs them. log is
// the one that they follow; a reactor of package inbox follows what it has received. A Subscriber with an adapter of package watermillsql has no
// lease, and reads as a standby.
func (s *Store) Status(ctx context.Context, log eventsourced.LogReader) (all []Status, err error) {
	columns, err := s.columns(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, s.Qualify(`SELECT `+columns+` FROM {schema}consumers c ORDER BY name, topic`))
	if err != nil {
		return nil, s.Explain("status of the consumers", err)
	}
	standings, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (standing, error) { return scanStanding(row) })
	if err != nil {
		return nil, s.Explain("status of the consumers", err)
	}
	inboxes, err := s.inboxes(ctx)
	if err != nil {
		return nil, err
	}
	for _, standing := range standings {
		log := log
		received, foreign := inboxes[standing.id.Name]
		if foreign = foreign && standing.id.Kind == KindReactor; foreign {
			received.received = max(received.received, standing.position)
			log = received
		}
		status, err := standing.status(ctx, log, standing.id.names())
		if err != nil {
			return nil, err
		}
		if foreign {
			status = received.status(status)
		}
		all = append(all, status)
	}
	return all, nil
}

// columns are those of a standing. Events are parked in a table that only those have who
// have reactors; what is asked of these is in one that came later.
func (s *Store) columns(ctx context.Context) (string, error) {
	if !s.parks.Load() {
		var there bool
		err := s.pool.QueryRow(ctx, s.Qualify(`SELECT to_regclass($1) IS NOT NULL OR EXISTS (SELECT FROM {schema}consumers WHERE topic = '$reactor')`),
			s.schema+"reactor_asked").Scan(&there)
		if err != nil {
			return "", s.Explain("status of the consumers", err)
		}
		if !there {
			return standingColumns + `, 0::bigint, ''`, nil
		}
		s.parks.Store(true)
	}
	return standingColumns + `, (SELECT count(*) FROM {schema}parked_events p WHERE p.name = c.name AND c.topic = '$reactor'),
		coalesce((SELECT CASE WHEN skip THEN 'skip' ELSE 'park' END FROM {schema}reactor_asked a
			WHERE a.name = c.name AND c.topic = '$reactor' AND a.event_id = c.failed_event), '')`, nil
}

// standing is a consumer's row in the table.
type standing struct {
	id       ID
	position eventsourced.Position
	node     string // who has the lease, or had it last
	leased   bool
	paused   bool
	stopped  bool
	ahead    bool
	failure  *Failure
	trying   bool // the failure is of one that runs, or ran a moment ago
	parked   int64
	asked    string
}

const standingColumns = `name, topic, position, node,
	clock_timestamp() < lease_until AND lease_until <= clock_timestamp() + lease_length, paused, stopped,
	coalesce(ahead_at = position, false), coalesce(ahead_at <> position, false),
	error, tried_at, coalesce(since, tried_at), coalesce(attempts, 0), next_at,
	coalesce((extract(epoch FROM tried_at - clock_timestamp()) * 1000000)::bigint, 0), failed_event, failed_name, failed_position, stalled`

// standing returns that of one consumer; one that has never run is at 0.
func (s *Store) standing(ctx context.Context, id ID) (standing, error) {
	columns, err := s.columns(ctx)
	if err != nil {
		return standing{}, err
	}
	found, err := scanStanding(s.pool.QueryRow(ctx, s.Qualify(`SELECT `+columns+` FROM {schema}consumers c WHERE name = $1 AND topic = $2`), id.Name, id.column()))
	if errors.Is(err, pgx.ErrNoRows) {
		return standing{id: id}, nil
	}
	return found, s.Explain("status of "+id.String(), err)
}

func scanStanding(row pgx.Row) (standing, error) {
	var (
		s           standing
		moved       bool // since it was ahead of the log
		text, name  *string
		tried       *time.Time
		since, next *time.Time
		attempts    int
		triedBefore int64
		event       *[16]byte
		position    *int64
		stalled     bool
	)
	var group, topic string
	err := row.Scan(&group, &topic, (*int64)(&s.position), &s.node, &s.leased, &s.paused, &s.stopped, &s.ahead, &moved,
		&text, &tried, &since, &attempts, &next, &triedBefore, &event, &name, &position, &stalled, &s.parked, &s.asked)
	s.id = idOf(group, topic)
	if err != nil || text == nil || tried == nil || moved {
		return s, err
	}
	s.failure = &Failure{Error: *text, Time: tried.UTC(), Since: since.UTC(), Attempts: attempts, Stalled: stalled}
	if next != nil {
		s.failure.Next = next.UTC()
	}
	if event != nil && name != nil && position != nil {
		s.failure.EventID, s.failure.EventName, s.failure.Position = *event, *name, eventsourced.Position(*position)
	}
	// A clock that went back makes it a try of the future.
	s.trying = s.leased || (time.Duration(triedBefore)*time.Microsecond).Abs() < deadAfter
	return s, nil
}

// names are those of the events that a consumer of another process handles, as far as its
// row tells; none stands for all.
func (id ID) names() []string {
	if id.Kind == KindSubscriber && !strings.HasPrefix(id.Topic, "$") {
		return []string{id.Topic}
	}
	return nil
}

// status measures the backlog of names, all when there is none.
func (s standing) status(ctx context.Context, log eventsourced.LogReader, names []string) (Status, error) {
	status := s.id.status()
	status.Position, status.Parked, status.Failure = s.position, s.parked, s.failure
	if s.leased {
		status.Node = NodeName(s.node)
	}
	if s.failure != nil {
		status.Asked = s.asked
	}
	backlog, err := eventsourced.BacklogAfter(ctx, log, eventsourced.LogQuery{After: s.position, Names: names})
	switch {
	case err != nil && s.failure == nil:
		return Status{}, fmt.Errorf("status of %s: %w", s.id, err)
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
	case s.paused:
		return Paused
	case s.ahead:
		return Ahead
	case s.stopped:
		return Failed
	case failing && status.Failure.Stalled:
		return Stalled
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

func (id ID) status() Status { return Status{Kind: id.Kind, Name: id.Name, Topic: id.Topic} }

// NodeName returns the [Config] Node of the process that holds a lease, of the name under which it holds
// that: such a name also tells apart the consumers of one process.
func NodeName(node string) string {
	if i := strings.LastIndexByte(node, '/'); i >= 0 {
		return node[:i]
	}
	return node
}
