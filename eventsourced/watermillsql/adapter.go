package watermillsql

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/pgschema"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// DefaultPageEvents is how many events a Subscriber reads at once by default.
const DefaultPageEvents = 100

// Config is the optional part of an [Adapter]. The zero value works; a negative
// value is an error.
type Config struct {
	// Schema is the schema that holds the log's tables and the table consumers, as in pgstore.Config
	// and consumer.Config. Defaults to the first one of the connection's search path that has them.
	Schema string

	// PageEvents is how many events are read, handled and acked in one transaction
	// at most, and so how many come twice at most after a crash. With 1 an event
	// that can't be made a message holds up none before it. Defaults to
	// [DefaultPageEvents].
	PageEvents int

	// Unregistered allows topics that are no names of the registry, as
	// [messaging.SubscriberConfig.Unregistered] does.
	Unregistered bool
}

func (c Config) validate(registry *eventsourced.Registry) error {
	var problems []error
	if registry == nil {
		problems = append(problems, errors.New("watermillsql.NewAdapter: the registry is nil"))
	}
	if err := pgschema.Schema(c.Schema).Validate(); err != nil {
		problems = append(problems, fmt.Errorf("watermillsql.Config: Schema %w", err))
	}
	if c.PageEvents < 0 {
		problems = append(problems, errors.New("watermillsql.Config: PageEvents is negative"))
	}
	return errors.Join(problems...)
}

// Adapter is both the SchemaAdapter and the OffsetsAdapter of a Subscriber of
// watermill-sql; see the package documentation. Its methods are for that
// Subscriber. It has no state: any number of Subscribers may share one.
type Adapter struct {
	registry     *eventsourced.Registry
	events       string // the table, quoted where need be
	archive      string // likewise
	consumers    string // likewise
	pageEvents   int
	unregistered bool
}

var (
	_ wsql.SchemaAdapter  = (*Adapter)(nil)
	_ wsql.OffsetsAdapter = (*Adapter)(nil)
)

// NewAdapter returns an adapter that makes messages of events in their current
// schema version, as registry has it. It sends nothing.
func NewAdapter(registry *eventsourced.Registry, config Config) (*Adapter, error) {
	if err := config.validate(registry); err != nil {
		return nil, err
	}
	a := &Adapter{
		registry:     registry,
		events:       pgschema.Schema(config.Schema).Table("events"),
		archive:      pgschema.Schema(config.Schema).Table("log_archive"),
		consumers:    pgschema.Schema(config.Schema).Table("consumers"),
		pageEvents:   cmp.Or(config.PageEvents, DefaultPageEvents),
		unregistered: config.Unregistered,
	}
	return a, nil
}

// SchemaInitializingQueries implements both adapters. There are none: the tables
// come from pgstore.Migrations and consumer.Migrations.
func (a *Adapter) SchemaInitializingQueries(string) []wsql.Query { return nil }

// BeforeSubscribingQueries implements [wsql.OffsetsAdapter]. A consumer that was
// never seen starts at position 0. Subscribe fails, with an error of PostgreSQL that
// says what to do, when a table is missing, when the topic or the group is empty, when
// the registry does not have the topic, when the position is above the log's head, and when events behind it are in
// the archive, which SQL can't read.
func (a *Adapter) BeforeSubscribingQueries(topic, group string) []wsql.Query {
	switch {
	case topic == "":
		return []wsql.Query{raise("true", invalidParameter, "the topic is empty")}
	case group == "":
		// There would be one position for all who forgot theirs, and each would
		// miss what another one got.
		return []wsql.Query{raise("true", invalidParameter, "the ConsumerGroup of the Subscriber is empty")}
	case topic != messaging.AllEvents && !a.unregistered && a.registry.SchemaVersion(topic) == 0:
		return []wsql.Query{raise("true", invalidParameter, fmt.Sprintf("no event of the registry has the name %q: nothing would ever come", topic))}
	}
	return []wsql.Query{
		missing(a.events, "the log's tables are made by migrate.Run with pgstore.Migrations"),
		missing(a.archive, "the log's tables are made by migrate.Run with pgstore.Migrations"),
		missing(a.consumers, "it is made by migrate.Run with consumer.Migrations"),
		{Query: `INSERT INTO ` + a.consumers + ` (name, topic) VALUES ($1, $2) ON CONFLICT DO NOTHING`, Args: []any{group, topic}},
		raise(fmt.Sprintf("(SELECT position FROM %s WHERE name = %s AND topic = %s) > (SELECT coalesce(max(tstamp), 0) FROM %s)",
			a.consumers, literal(group), literal(topic), a.events), objectNotInPrerequisiteState, aheadAdvice),
		raise(fmt.Sprintf("(SELECT position FROM %s WHERE name = %s AND topic = %s) < (SELECT coalesce(max(last), 0) FROM %s)",
			a.consumers, literal(group), literal(topic), a.archive), objectNotInPrerequisiteState, archivedAdvice),
	}
}

// SubscribeIsolationLevel implements [wsql.SchemaAdapter]. The lock of the position
// is all the isolation that it takes.
func (a *Adapter) SubscribeIsolationLevel() sql.IsolationLevel { return sql.LevelReadCommitted }

// NextOffsetQuery implements [wsql.OffsetsAdapter]. It returns the position and
// locks it to the end of the transaction, or no row while somebody else is active:
// another Subscriber, which has the lock, or a [messaging.Subscriber], which has the
// lease. To wait for a lock would occupy a connection, and make Close wait, too.
func (a *Adapter) NextOffsetQuery(topic, group string) wsql.Query {
	return wsql.Query{
		Query: `SELECT position FROM ` + a.consumers + `
			WHERE name = $1 AND topic = $2
				AND NOT (clock_timestamp() < lease_until AND lease_until <= clock_timestamp() + lease_length) FOR UPDATE SKIP LOCKED`,
		Args: []any{group, topic},
	}
}

// columns of an event, in the order in which UnmarshalMessage reads them.
const columns = `tstamp, id::text, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload, metadata, to_json(tags)`

// SelectQuery implements [wsql.SchemaAdapter]. It returns the next page. Without a
// position it returns nothing, and reads nothing.
//
// The snapshot may be older than the position, when the lock has just become free.
// That does no harm: events become visible in the order of their positions, so it
// lacks the last ones only.
func (a *Adapter) SelectQuery(topic, group string, offsets wsql.OffsetsAdapter) wsql.Query {
	next := offsets.NextOffsetQuery(topic, group)
	after := fmt.Sprintf(`coalesce((SELECT position FROM consumer), %d)`, math.MaxInt64)
	args := slices.Clone(next.Args)
	where, order := `tstamp > `+after, `tstamp`
	if topic != messaging.AllEvents {
		// Rows are compared as the index does: with name = topic the planner may walk
		// the primary key and throw away what has another name.
		names := a.registry.StoredNames(topic)
		if len(names) == 1 {
			args = append(args, topic)
			where = fmt.Sprintf(`(name, tstamp) > ($%d, %s) AND (name, tstamp) <= ($%d, %d)`, len(args), after, len(args), math.MaxInt64)
			order = `name, tstamp`
		} else { // the type had other names
			args = append(args, names)
			where += fmt.Sprintf(` AND name = ANY ($%d)`, len(args))
		}
	}
	// Events may be archived at any time. Then this fails, by a cast, before it reads any.
	whole := fmt.Sprintf(`(SELECT (%s || last)::boolean FROM %s WHERE last > %s LIMIT 1) IS NULL`, literal("watermillsql: "+archivedAdvice+"; up to "), a.archive, after)
	return wsql.Query{
		Query: fmt.Sprintf(`WITH consumer AS MATERIALIZED (%s) SELECT %s FROM %s WHERE %s AND %s ORDER BY %s LIMIT %d`,
			next.Query, columns, a.events, whole, where, order, a.pageEvents),
		Args: args,
	}
}

// UnmarshalMessage implements [wsql.SchemaAdapter]. The error of an event that can't
// be made a message is an [*eventsourced.DecodeError].
func (a *Adapter) UnmarshalMessage(row wsql.Scanner) (wsql.Row, error) {
	var (
		event    eventsourced.Recorded
		id       string
		payload  []byte
		metadata []byte
		tags     []byte
	)
	err := row.Scan((*int64)(&event.Position), &id, &event.Name, &event.Stream.AggregateName, &event.Stream.AggregateID,
		(*int64)(&event.Version), &event.SchemaVersion, &event.Time, &payload, &metadata, &tags)
	if err != nil {
		return wsql.Row{}, err
	}
	if event.ID, err = eventsourced.ParseEventID(id); err != nil {
		return wsql.Row{}, err
	}
	event.Time, event.Payload = event.Time.UTC(), payload
	for _, column := range []struct {
		json []byte
		to   any
	}{{metadata, &event.Metadata}, {tags, &event.Tags}} {
		if column.json == nil {
			continue
		}
		if err := json.Unmarshal(column.json, column.to); err != nil {
			return wsql.Row{}, &eventsourced.DecodeError{Event: event, Err: err}
		}
	}
	msg, err := a.marshal(event)
	if err != nil {
		return wsql.Row{}, err
	}
	return wsql.Row{Offset: int64(event.Position), UUID: []byte(msg.UUID), Payload: msg.Payload, Msg: msg}, nil
}

// marshal survives upcasters that panic: nobody else would.
func (a *Adapter) marshal(event eventsourced.Recorded) (msg *message.Message, err error) {
	defer func() {
		if panicked := (*wait.PanicError)(nil); errors.As(err, &panicked) {
			err = &eventsourced.DecodeError{Event: event, Err: panicked}
		}
	}()
	defer wait.Recover(&err)
	messages, err := messaging.Marshal(context.Background(), a.registry, event)
	if err == nil && len(messages) != 1 {
		err = &eventsourced.DecodeError{Event: event, Err: fmt.Errorf("it has become %d events, and watermill-sql knows one a row: use messaging.Subscriber", len(messages))}
	}
	if err != nil {
		return nil, err
	}
	return messages[0], nil
}

// ConsumedMessageQuery implements [wsql.OffsetsAdapter]. There is none.
func (a *Adapter) ConsumedMessageQuery(string, wsql.Row, string, []byte) wsql.Query {
	return wsql.Query{}
}

// AckMessageQuery implements [wsql.OffsetsAdapter]. It moves the position, which
// NextOffsetQuery has locked.
func (a *Adapter) AckMessageQuery(topic string, row wsql.Row, group string) wsql.Query {
	return wsql.Query{
		Query: `UPDATE ` + a.consumers + ` SET position = $3 WHERE name = $1 AND topic = $2`,
		Args:  []any{group, topic, row.Offset},
	}
}

// InsertQuery implements [wsql.SchemaAdapter]. It returns [ErrPublish].
func (a *Adapter) InsertQuery(topic string, _ message.Messages) (wsql.Query, error) {
	return wsql.Query{}, fmt.Errorf("publish to %s: %w", topic, ErrPublish)
}
