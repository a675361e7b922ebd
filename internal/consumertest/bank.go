// Package consumertest is a bank whose log has consumers of every kind, for the tests of
// those who go through a log.
package consumertest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// The bounded context of these tests.
type (
	Account   = bank.Account
	Deposited = bank.Deposited
	Renamed   = bank.Renamed
)

var Registry = bank.Registry

// Bank is a database with a log and positions.
type Bank struct {
	T           testing.TB
	DB          *testdb.DB
	Application string // the name of its sessions
	Pool        *pgxpool.Pool
	Store       *pgstore.Store
	Consumers   *consumer.Store
}

func New(t testing.TB) *Bank {
	t.Helper()
	application := "messaging-" + eventsourced.NewEventID().String()
	db := testdb.New(t, testdb.MaxConns(20), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["application_name"] = application
	})
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), relay.Migrations(), reactor.Migrations()))
	store := pgstore.New(db.Pool, Registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	return &Bank{T: t, DB: db, Application: application, Pool: db.Pool, Store: store, Consumers: consumer.NewStore(db.Pool, consumer.Config{})}
}

// With returns the bank for a subtest.
func (b *Bank) With(t testing.TB) *Bank {
	other := *b
	other.T = t
	return &other
}

// Record appends an event and returns it as it stands in the log.
func (b *Bank) Record(event eventsourced.Event) eventsourced.Recorded {
	b.T.Helper()
	return b.RecordFor("account-1", event)
}

// RecordFor is Record for one account.
func (b *Bank) RecordFor(id string, event eventsourced.Event) eventsourced.Recorded {
	b.T.Helper()
	position, err := bank.Accounts(b.Store).Update(b.T.Context(), id, func(a *Account) error { return eventsourced.Record(a, event) })
	require.NoError(b.T, err)
	return b.At(position)
}

func (b *Bank) Deposit(n int) (deposits []eventsourced.Recorded) {
	b.T.Helper()
	for range n {
		deposits = append(deposits, b.Record(&Deposited{Amount: 1}))
	}
	return deposits
}

// RecordOld appends a Renamed of schema version 1.
func (b *Bank) RecordOld(payload string) eventsourced.Recorded {
	b.T.Helper()
	position, err := b.Store.Append(b.T.Context(), eventsourced.Stream{AggregateName: bank.AggregateName, AggregateID: "old"}, eventsourced.NoStream,
		[]eventsourced.EventData{{ID: eventsourced.NewEventID(), Name: "Renamed", SchemaVersion: 1, Time: time.Now(), Payload: []byte(payload)}})
	require.NoError(b.T, err)
	return b.At(position)
}

// Evolve appends what an older program stored, and returns it as it stands in the log, whose
// registry is that of [bank.Evolved] from now on.
func (b *Bank) Evolve(events ...eventsourced.EventData) (stored []eventsourced.Recorded) {
	b.T.Helper()
	b.Store = pgstore.New(b.Pool, bank.Evolved(), pgstore.Config{})
	b.T.Cleanup(b.Store.Close)
	stream := eventsourced.Stream{AggregateName: "people.Person", AggregateID: "p"}
	_, err := b.Store.Append(b.T.Context(), stream, eventsourced.Any, events)
	require.NoError(b.T, err)
	for event, err := range b.Store.ReadStream(b.T.Context(), stream, 0) {
		require.NoError(b.T, err)
		stored = append(stored, event)
	}
	return stored
}

func (b *Bank) At(position eventsourced.Position) (found eventsourced.Recorded) {
	b.T.Helper()
	for recorded, err := range b.Store.ReadLog(b.T.Context(), eventsourced.LogQuery{After: position - 1, UpTo: position}) {
		require.NoError(b.T, err)
		found = recorded
	}
	return found
}

// Grouped is the configuration of a subscriber of the group, with short waits where
// a test waits for them.
func Grouped(group string) messaging.SubscriberConfig {
	return messaging.SubscriberConfig{
		ConsumerGroup: group,
		Config: consumer.Config{
			PollInterval: 500 * time.Millisecond,
			MaxBackOff:   50 * time.Millisecond,
			DrainTimeout: 50 * time.Millisecond,
			Logger:       slog.New(slog.DiscardHandler),
		},
	}
}

// Subscriber returns a subscriber that is closed when the test ends.
func (b *Bank) Subscriber(config messaging.SubscriberConfig) *messaging.Subscriber {
	b.T.Helper()
	return b.SubscriberOver(b.Consumers, config)
}

func (b *Bank) SubscriberOver(positions consumer.LeaseStore, config messaging.SubscriberConfig) *messaging.Subscriber {
	b.T.Helper()
	subscriber, err := messaging.NewSubscriber(b.Store, positions, config)
	require.NoError(b.T, err)
	b.T.Cleanup(func() { require.NoError(b.T, subscriber.Close()) })
	return subscriber
}

func (b *Bank) Subscribe(subscriber *messaging.Subscriber, topic string) <-chan *message.Message {
	b.T.Helper()
	messages, err := subscriber.Subscribe(b.T.Context(), topic)
	require.NoError(b.T, err)
	return messages
}

// Receive returns the next message, which must be the event's.
func (b *Bank) Receive(messages <-chan *message.Message, want eventsourced.Recorded) *message.Message {
	b.T.Helper()
	msg := b.Next(messages)
	require.Equal(b.T, want.ID.String(), msg.UUID)
	return msg
}

func (b *Bank) Next(messages <-chan *message.Message) *message.Message {
	b.T.Helper()
	select {
	case msg, open := <-messages:
		require.True(b.T, open, "the channel is closed")
		return msg
	case <-time.After(time.Minute):
		require.Fail(b.T, "no message")
		return nil
	}
}

// Closed tells whether the channel is closed, and fails if there is a message.
func (b *Bank) Closed(messages <-chan *message.Message) bool {
	select {
	case msg, open := <-messages:
		if open {
			b.T.Errorf("got message %s", msg.UUID)
		}
		return !open
	default:
		return false
	}
}

func (b *Bank) Wait(done <-chan struct{}, what string) {
	b.T.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		require.Fail(b.T, what)
	}
}

func (b *Bank) Eventually(what string, condition func() bool) {
	b.T.Helper()
	require.Eventually(b.T, condition, time.Minute, 25*time.Millisecond, what)
}

// Position returns where the group g stands, -1 when it has never been seen.
func (b *Bank) Position(topic string) (position eventsourced.Position) {
	b.T.Helper()
	require.NoError(b.T, b.Pool.QueryRow(b.T.Context(),
		`SELECT coalesce(max(position), -1) FROM consumers WHERE name = 'g' AND topic = $1`, topic).Scan((*int64)(&position)))
	return position
}

func (b *Bank) Exec(query string) {
	b.T.Helper()
	_, err := b.Pool.Exec(b.T.Context(), query)
	require.NoError(b.T, err)
}

var errCutOff = errors.New("no connection")

// CutOff is the position store as a node sees it that may lose its connection.
type CutOff struct {
	consumer.LeaseStore
	Cut atomic.Bool
}

func (c *CutOff) Renew(ctx context.Context, consumer consumer.ID, node string, ttl time.Duration) error {
	if c.Cut.Load() {
		return errCutOff
	}
	return c.LeaseStore.Renew(ctx, consumer, node, ttl)
}

func (c *CutOff) Save(ctx context.Context, consumer consumer.ID, node string, from, to eventsourced.Position) error {
	if c.Cut.Load() {
		return errCutOff
	}
	return c.LeaseStore.Save(ctx, consumer, node, from, to)
}

// LogSignal is a logger that closes the channel when it is given the message.
func LogSignal(message string) (*slog.Logger, <-chan struct{}) {
	s := &signal{message: message, given: make(chan struct{})}
	return slog.New(s), s.given
}

type signal struct {
	slog.Handler
	message string
	given   chan struct{}
	once    sync.Once
}

func (s *signal) Enabled(context.Context, slog.Level) bool { return true }
func (s *signal) WithAttrs([]slog.Attr) slog.Handler       { return s }

func (s *signal) Handle(_ context.Context, record slog.Record) error {
	if record.Message == s.message {
		s.once.Do(func() { close(s.given) })
	}
	return nil
}

// Restore makes the log one that was restored from a backup: the events from one on
// are gone.
func (b *Bank) Restore(from eventsourced.Recorded) {
	b.T.Helper()
	_, err := b.Pool.Exec(b.T.Context(), `DELETE FROM events WHERE tstamp >= $1`, int64(from.Position))
	require.NoError(b.T, err)
}

func IsAhead(s consumer.Status) bool {
	return s.State == consumer.Ahead && s.Failure != nil && s.Failure.Error != ""
}

func IsLive(s consumer.Status) bool { return s.State == consumer.Live && s.Failure == nil }

// Small is a bank whose pool has one connection.
func Small(t testing.TB) *Bank {
	t.Helper()
	db := testdb.New(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), relay.Migrations(), reactor.Migrations()))
	store := pgstore.New(db.Pool, Registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	return &Bank{T: t, DB: db, Pool: db.Pool, Store: store, Consumers: consumer.NewStore(db.Pool, consumer.Config{})}
}

// Refuse makes updates of the table consumers fail, or those of one column.
func (b *Bank) Refuse(of string) (allow func()) {
	b.T.Helper()
	b.Exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$`)
	b.Exec(`CREATE TRIGGER refuse BEFORE UPDATE ` + of + ` ON consumers FOR EACH ROW EXECUTE FUNCTION refuse()`)
	return func() { b.Exec(`DROP TRIGGER refuse ON consumers`) }
}

// Hang blocks until the test ends.
func (b *Bank) Hang() func() {
	release := make(chan struct{})
	b.T.Cleanup(func() { close(release) })
	return func() { <-release }
}

// Hide makes the log one that was restored from a backup, until it is shown again.
func (b *Bank) Hide(from consumer.Status) (show func()) {
	b.T.Helper()
	b.Exec(`CREATE TABLE hidden AS SELECT * FROM events`)
	_, err := b.Pool.Exec(b.T.Context(), `DELETE FROM events WHERE tstamp >= $1`, int64(from.Position))
	require.NoError(b.T, err)
	return func() {
		b.T.Helper()
		b.Exec(`INSERT INTO events SELECT * FROM hidden h WHERE NOT EXISTS (SELECT FROM events e WHERE e.tstamp = h.tstamp)`)
	}
}
