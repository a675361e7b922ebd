package watermillsql_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/readview"
)

// What the package documentation says of the transaction of the Subscriber, and why
// projections don't use it. These tests pin down what watermill-sql does, not what
// anybody wants. Their read view has a row for each event and must have no other.

const insertRow = `INSERT INTO journal (event) VALUES ($1)`

// A handler writes and then fails three times, before it succeeds.
func TestFourRows(t *testing.T) {
	t.Parallel()
	t.Run("with watermill-sql there are four rows", func(t *testing.T) {
		t.Parallel()
		b := newJournal(t)
		event := b.record(&Deposited{Amount: 1})
		messages := b.subscribe(b.subscriber(b.grouped()), "Deposited")
		for range 3 {
			msg := b.receive(messages, event)
			require.NoError(t, write(msg))
			msg.Nack()
		}
		msg := b.receive(messages, event)
		require.NoError(t, write(msg))
		msg.Ack()
		b.moved("Deposited", event)
		require.EqualValues(t, 4, b.rows())
	})
	t.Run("with readview there is one", func(t *testing.T) {
		t.Parallel()
		b := newJournal(t)
		event := b.record(&Deposited{Amount: 1})
		failures := 3
		b.project(event, func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
			if _, err := tx.ExecContext(ctx, insertRow, eventsourced.FromContext(ctx).ID.String()); err != nil {
				return err
			}
			if failures--; failures >= 0 {
				return errors.New("it fails")
			}
			return nil
		})
		require.Negative(t, failures, "it was called four times")
		require.EqualValues(t, 1, b.rows())
	})
}

func TestAckDeadlineCommitsWhatWasWritten(t *testing.T) {
	t.Parallel()
	b := newJournal(t)
	event := b.record(&Deposited{Amount: 1})
	config, deadline := b.grouped(), time.Second
	config.AckDeadline = &deadline
	messages := b.subscribe(b.subscriber(config), "Deposited")
	require.NoError(t, write(b.receive(messages, event))) // and not a word after it
	b.receive(messages, event)
	require.EqualValues(t, 1, b.rows(), "of an attempt that was given up, and the next one has begun")
}

func TestCloseCommitsWhatWasWritten(t *testing.T) {
	t.Parallel()
	b := newJournal(t)
	event := b.record(&Deposited{Amount: 1})
	subscriber := b.subscriber(b.grouped())
	require.NoError(t, write(b.receive(b.subscribe(subscriber, "Deposited"), event)))
	require.NoError(t, subscriber.Close())
	require.EqualValues(t, 1, b.rows())
	b.receive(b.subscribe(b.subscriber(b.grouped()), "Deposited"), event)
}

func TestFailedStatementEndsTheTransactionOfAllAttempts(t *testing.T) {
	t.Parallel()
	b := newJournal(t)
	events := b.deposit(2)
	config, deadline := b.grouped(), time.Second
	config.AckDeadline = &deadline
	messages := b.subscribe(b.subscriber(config), "Deposited")
	first := b.receive(messages, events[0])
	require.NoError(t, write(first))
	first.Ack()

	second := b.receive(messages, events[1])
	_, err := transaction(second).ExecContext(t.Context(), `INSERT INTO nowhere VALUES (1)`)
	require.Error(t, err)
	second.Nack()
	attempts := 0
	for msg := b.next(messages); msg.UUID == events[1].ID.String(); msg = b.next(messages) {
		require.Error(t, write(msg), "there is nothing wrong with this attempt")
		msg.Nack()
		attempts++
	}
	require.Positive(t, attempts)
	require.Zero(t, b.rows(), "the first event was acked, and is not applied")
}

func TestFailedCommitIsNotReported(t *testing.T) {
	t.Parallel()
	b := newJournal(t)
	b.exec(`ALTER TABLE journal ADD UNIQUE (event) DEFERRABLE INITIALLY DEFERRED`)
	event := b.record(&Deposited{Amount: 1})
	config, looks := b.grouped(), newLooks()
	config.BackoffManager = looks
	messages := b.subscribe(b.subscriber(config), "Deposited")
	msg := b.receive(messages, event)
	require.NoError(t, write(msg))
	require.NoError(t, write(msg))
	msg.Ack()
	again := b.receive(messages, event)
	require.Zero(t, b.rows())
	require.Empty(t, looks.failed)
	require.NoError(t, write(again))
	again.Ack()
	b.moved("Deposited", event)
	require.EqualValues(t, 1, b.rows())
}

// The event is not in the context of a message, but in the message.
func TestEventOfAMessage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	want := b.record(&Deposited{Amount: 5})
	msg := b.receive(b.subscribe(b.subscriber(b.grouped()), "Deposited"), want)
	require.Nil(t, eventsourced.FromContext(msg.Context()))
	event, err := messaging.Unmarshal(msg)
	require.NoError(t, err)
	require.Equal(t, want, event)
	msg.Ack()
}

func newJournal(t *testing.T) *bank {
	t.Helper()
	b := newBank(t)
	require.NoError(t, migrate.Run(t.Context(), b.pool, migrate.Config{}, readview.Migrations()))
	b.exec(`CREATE TABLE journal (event UUID NOT NULL)`)
	return b
}

func (b *bank) rows() int64 { return b.int(`SELECT count(*) FROM journal`) }

// write does what a handler does.
func write(msg *message.Message) error {
	_, err := transaction(msg).ExecContext(msg.Context(), insertRow, msg.UUID)
	return err
}

func transaction(msg *message.Message) readview.Tx {
	tx, _ := wsql.TxFromContext(msg.Context())
	return tx
}

// project runs a projection until it has handled the event.
func (b *bank) project(event eventsourced.Recorded, handler func(context.Context, readview.Tx, *Deposited) error) {
	b.t.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(b.t, err)
	manager, err := readview.NewManager(router, b.store, b.pool, readview.Config{
		Config:   consumer.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))},
		Attempts: 4,
	})
	require.NoError(b.t, err)
	require.NoError(b.t, manager.Add(readview.Projection{Name: "journal", Handlers: readview.Handlers{readview.On(handler)}}))
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	<-router.Running()
	require.NoError(b.t, manager.WaitFor(ctx, event.Position, "journal"))
	cancel()
	require.NoError(b.t, <-done)
}
