package messaging_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// The bounded context of these tests.
type (
	Account   struct{ eventsourced.Root }
	Deposited struct {
		eventsourced.BaseEvent
		Amount int64
	}
	Renamed struct {
		eventsourced.BaseEvent
		First, Last string // of schema version 2; version 1 had {"Name": "First Last"}
	}
)

func (a *Account) Apply(eventsourced.Event) {}

func registry() *eventsourced.Registry {
	registry, err := eventsourced.NewRegistry(
		eventsourced.Type[Deposited]("Deposited"),
		eventsourced.Type[Renamed]("Renamed", eventsourced.Upcast(1, splitName)),
	)
	if err != nil {
		panic(err)
	}
	return registry
}

func splitName(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) {
	var old struct{ Name string }
	if err := json.Unmarshal(event.Payload, &old); err != nil {
		return nil, err
	}
	if old.Name == "panic" {
		panic("an upcaster's panic")
	}
	return json.Marshal(map[string]string{"First": old.Name[:1], "Last": old.Name[1:]})
}

// bank is a database with a log and positions.
type bank struct {
	t           testing.TB
	db          *testdb.DB
	application string // the name of its sessions
	pool        *pgxpool.Pool
	store       *pgstore.Store
	positions   *messaging.Positions
}

func newBank(t testing.TB) *bank {
	t.Helper()
	application := "messaging-" + eventsourced.NewEventID().String()
	db := testdb.New(t, testdb.MaxConns(20), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["application_name"] = application
	})
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), messaging.Migrations()))
	store := pgstore.New(db.Pool, registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	return &bank{t: t, db: db, application: application, pool: db.Pool, store: store, positions: messaging.NewPositions(db.Pool)}
}

// record appends an event and returns it as it stands in the log.
func (b *bank) record(event eventsourced.Event) eventsourced.Recorded {
	b.t.Helper()
	accounts := eventsourced.NewRepository[Account](b.store, "bank.Account", eventsourced.RepositoryConfig{})
	position, err := accounts.Update(b.t.Context(), "account-1", func(a *Account) error { return eventsourced.Record(a, event) })
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
	position, err := b.store.Append(b.t.Context(), eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "old"}, eventsourced.NoStream,
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

// grouped is the configuration of a subscriber of the group, with short waits where
// a test waits for them.
func grouped(group string) messaging.SubscriberConfig {
	return messaging.SubscriberConfig{
		ConsumerGroup: group,
		PollInterval:  500 * time.Millisecond,
		MaxBackOff:    50 * time.Millisecond,
		DrainTimeout:  50 * time.Millisecond,
		Logger:        slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// subscriber returns a subscriber that is closed when the test ends.
func (b *bank) subscriber(config messaging.SubscriberConfig) *messaging.Subscriber {
	b.t.Helper()
	return b.subscriberOver(b.positions, config)
}

func (b *bank) subscriberOver(positions messaging.PositionStore, config messaging.SubscriberConfig) *messaging.Subscriber {
	b.t.Helper()
	subscriber, err := messaging.NewSubscriber(b.store, positions, config)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { require.NoError(b.t, subscriber.Close()) })
	return subscriber
}

func (b *bank) subscribe(subscriber *messaging.Subscriber, topic string) <-chan *message.Message {
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

func (b *bank) next(messages <-chan *message.Message) *message.Message {
	b.t.Helper()
	select {
	case msg, open := <-messages:
		require.True(b.t, open, "the channel is closed")
		return msg
	case <-time.After(time.Minute):
		require.Fail(b.t, "no message")
		return nil
	}
}

// closed tells whether the channel is closed, and fails if there is a message.
func (b *bank) closed(messages <-chan *message.Message) bool {
	select {
	case msg, open := <-messages:
		if open {
			b.t.Errorf("got message %s", msg.UUID)
		}
		return !open
	default:
		return false
	}
}

func (b *bank) wait(done <-chan struct{}, what string) {
	b.t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		require.Fail(b.t, what)
	}
}

func (b *bank) eventually(what string, condition func() bool) {
	b.t.Helper()
	require.Eventually(b.t, condition, time.Minute, 5*time.Millisecond, what)
}

// position returns where the group g stands, -1 when it has never been seen.
func (b *bank) position(topic string) (position eventsourced.Position) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(),
		`SELECT coalesce(max(position), -1) FROM consumers WHERE name = 'g' AND topic = $1`, topic).Scan((*int64)(&position)))
	return position
}

func (b *bank) exec(query string) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), query)
	require.NoError(b.t, err)
}

var errCutOff = errors.New("no connection")

// cutOff is the position store as a node sees it that may lose its connection.
type cutOff struct {
	messaging.PositionStore
	cut atomic.Bool
}

func (c *cutOff) Renew(ctx context.Context, consumer messaging.Consumer, node string, ttl time.Duration) error {
	if c.cut.Load() {
		return errCutOff
	}
	return c.PositionStore.Renew(ctx, consumer, node, ttl)
}

func (c *cutOff) Save(ctx context.Context, consumer messaging.Consumer, node string, from, to eventsourced.Position) error {
	if c.cut.Load() {
		return errCutOff
	}
	return c.PositionStore.Save(ctx, consumer, node, from, to)
}

// logSignal is a logger that closes the channel when it is given the message.
func logSignal(message string) (*slog.Logger, <-chan struct{}) {
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
