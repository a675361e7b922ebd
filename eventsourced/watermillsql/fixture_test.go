package watermillsql_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/watermillsql"
	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

type (
	Account   = shared.Account
	Deposited = shared.Deposited
	Renamed   = shared.Renamed
)

var registry = shared.Registry

// bank is a database with a log and positions.
type bank struct {
	t           *testing.T
	db          *testdb.DB
	application string // the name of its sessions
	pool        *pgxpool.Pool
	store       *pgstore.Store
	adapter     *watermillsql.Adapter
}

func newBank(t *testing.T) *bank {
	t.Helper()
	application := "watermillsql-" + eventsourced.NewEventID().String()
	db := testdb.New(t, testdb.MaxConns(20), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["application_name"] = application
	})
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), consumer.Migrations()))
	store := pgstore.New(db.Pool, registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	b := &bank{t: t, db: db, application: application, pool: db.Pool, store: store}
	b.adapter = newAdapter(t, watermillsql.Config{})
	return b
}

func newAdapter(t *testing.T, config watermillsql.Config) *watermillsql.Adapter {
	t.Helper()
	adapter, err := watermillsql.NewAdapter(registry(), config)
	require.NoError(t, err)
	return adapter
}

// record appends an event and returns it as it stands in the log.
func (b *bank) record(event eventsourced.Event) eventsourced.Recorded {
	b.t.Helper()
	ctx := eventsourced.WithCorrelation(b.t.Context(), "request-1")
	position, err := shared.Accounts(b.store).Update(ctx, "account-1", func(a *Account) error { return eventsourced.Record(a, event) })
	require.NoError(b.t, err)
	return b.at(position)
}

func (b *bank) deposit(n int) (deposits []eventsourced.Recorded) {
	b.t.Helper()
	for range n {
		deposits = append(deposits, b.record(&Deposited{Amount: 1}))
	}
	return deposits
}

// recordOld appends a Renamed of schema version 1.
func (b *bank) recordOld(payload string) eventsourced.Recorded {
	b.t.Helper()
	position, err := b.store.Append(b.t.Context(), eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "old"}, eventsourced.Any,
		[]eventsourced.EventData{{ID: eventsourced.NewEventID(), Name: "Renamed", SchemaVersion: 1, Time: time.Now(), Payload: []byte(payload)}})
	require.NoError(b.t, err)
	return b.at(position)
}

func (b *bank) at(position eventsourced.Position) (found eventsourced.Recorded) {
	b.t.Helper()
	for recorded, err := range b.store.ReadLog(b.t.Context(), eventsourced.LogQuery{After: position - 1, UpTo: position}) {
		require.NoError(b.t, err)
		found = recorded
	}
	return found
}

// grouped is the configuration of a Subscriber of the group g, with short waits.
func (b *bank) grouped() wsql.SubscriberConfig {
	deadline := time.Minute
	return wsql.SubscriberConfig{
		ConsumerGroup:  "g",
		AckDeadline:    &deadline,
		PollInterval:   10 * time.Millisecond,
		ResendInterval: time.Millisecond,
		RetryInterval:  10 * time.Millisecond,
		SchemaAdapter:  b.adapter,
		OffsetsAdapter: b.adapter,
	}
}

// subscriber returns a Subscriber of watermill-sql that is closed when the test ends.
func (b *bank) subscriber(config wsql.SubscriberConfig) *wsql.Subscriber {
	b.t.Helper()
	subscriber, err := wsql.NewSubscriber(b.db.SQL(), config, nil)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { require.NoError(b.t, subscriber.Close()) })
	return subscriber
}

func (b *bank) subscribe(subscriber message.Subscriber, topic string) <-chan *message.Message {
	b.t.Helper()
	messages, err := subscriber.Subscribe(b.t.Context(), topic)
	require.NoError(b.t, err)
	return messages
}

// receive returns the next message, which must be the event's.
func (b *bank) receive(messages <-chan *message.Message, want eventsourced.Recorded) *message.Message {
	b.t.Helper()
	msg := b.next(messages)
	require.Equal(b.t, want.ID.String(), msg.UUID)
	return msg
}

// ack receives messages, which must be those of the events, and acks them.
func (b *bank) ack(messages <-chan *message.Message, want ...eventsourced.Recorded) {
	b.t.Helper()
	for _, event := range want {
		b.receive(messages, event).Ack()
	}
}

func (b *bank) next(messages <-chan *message.Message) *message.Message {
	b.t.Helper()
	msg := await(b, messages, "a message")
	require.NotNil(b.t, msg, "the channel is closed")
	return msg
}

func await[T any](b *bank, channel <-chan T, what string) (value T) {
	b.t.Helper()
	select {
	case value = <-channel:
	case <-time.After(time.Minute):
		require.Fail(b.t, "there is not "+what)
	}
	return value
}

func (b *bank) eventually(what string, condition func() bool) {
	b.t.Helper()
	require.Eventually(b.t, condition, time.Minute, 25*time.Millisecond, what)
}

// waiting waits until a session waits for a lock of another one.
func (b *bank) waiting() {
	b.t.Helper()
	b.eventually("a session waits", func() bool { return b.locked() == 1 })
}

// locked counts the sessions that wait for a lock of another one.
func (b *bank) locked() int64 {
	b.t.Helper()
	return b.int(`SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, b.application)
}

// moved waits until the group g has acked everything up to the event.
func (b *bank) moved(topic string, to eventsourced.Recorded) {
	b.t.Helper()
	b.eventually("the position", func() bool {
		return b.int(`SELECT position FROM consumers WHERE name = 'g' AND topic = $1`, topic) == int64(to.Position)
	})
}

func (b *bank) int(query string, args ...any) (n int64) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), query, args...).Scan(&n))
	return n
}

func (b *bank) exec(query string, args ...any) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), query, args...)
	require.NoError(b.t, err)
}

// looks is a BackoffManager that tells what came of each look into the log.
type looks struct {
	inner   wsql.BackoffManager
	nothing chan struct{} // a look found no event, or no position to go on from
	failed  chan error
}

func newLooks() looks {
	const wait = 10 * time.Millisecond
	return looks{wsql.NewDefaultBackoffManager(wait, wait), make(chan struct{}, 1), make(chan error, 1)}
}

// inVain waits until the Subscriber has looked and found nothing, as it does again
// and again while somebody else is active.
func (l looks) inVain(b *bank) {
	b.t.Helper()
	for range 3 {
		await(b, l.nothing, "a look")
	}
}

func (l looks) HandleError(logger watermill.LoggerAdapter, nothing bool, err error) time.Duration {
	if nothing {
		offer(l.nothing, struct{}{})
	}
	if err != nil {
		offer(l.failed, err)
	}
	return l.inner.HandleError(logger, nothing, err)
}

func offer[T any](channel chan<- T, value T) {
	select {
	case channel <- value:
	default:
	}
}
