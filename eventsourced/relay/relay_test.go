package relay_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestRelay(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.Deposit(20)
	outbox := consumertest.NewOutbox()
	it, stop := b.Relay(outbox, consumertest.Relaying())
	messages := b.Published(outbox, relay.DefaultTopic, 20)
	require.Equal(t, 1, outbox.Calls, "a group is published at once")
	require.Equal(t, consumertest.IDsOf(deposits), outbox.IDs(relay.DefaultTopic))
	consumertest.RequireChain(t, "0", messages)
	first := messages[0]
	require.JSONEq(t, string(deposits[0].Payload), string(first.Payload))
	require.Equal(t, message.Metadata{
		"name": "Deposited", "aggregate_name": "bank.Account", "aggregate_id": "account-1", "version": "1", "schema_version": "1",
		"position":          strconv.FormatInt(int64(deposits[0].Position), 10),
		"previous_position": "0",
		"wire_version":      "1",
		"correlation_id":    deposits[0].ID.String(), // a chain begins with it
		"occurred_at":       deposits[0].Time.Format(time.RFC3339Nano),
	}, first.Metadata)

	ctx := eventsourced.WithCausation(eventsourced.WithCorrelation(t.Context(), "c-1"), "e-1")
	accounts := eventsourced.NewRepository[consumertest.Account](b.Store, "bank.Account", eventsourced.RepositoryConfig{})
	position, err := accounts.Update(ctx, "account-1", func(a *consumertest.Account) error { return eventsourced.Record(a, &consumertest.Deposited{Amount: 1}) })
	require.NoError(t, err)
	live := b.Published(outbox, relay.DefaultTopic, 21)
	require.Equal(t, "c-1", live[20].Metadata["correlation_id"])
	require.Equal(t, "e-1", live[20].Metadata["causation_id"])

	b.Eventually("the relay is at the head", func() bool {
		status, err := it.Status(t.Context())
		require.NoError(t, err)
		return status.State == consumer.Live && status.Position == position && status.Behind == 0 && status.Node != ""
	})
	stop()
	status, err := it.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, consumer.Standby, status.State)

	more := b.Deposit(3)
	b.Relay(outbox, consumertest.Relaying())
	live = b.Published(outbox, relay.DefaultTopic, 24)
	require.Equal(t, consumertest.IDsOf(more), outbox.IDs(relay.DefaultTopic)[21:], "a restarted relay goes on where it was")
	consumertest.RequireChain(t, "0", live)
}

func TestRelayRepeatsWhatWasNotTaken(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.Deposit(10)
	outbox := consumertest.NewOutbox()
	refusals := 3
	outbox.Refuse = func(topic string, messages []*message.Message) error {
		if refusals--; refusals < 0 {
			return nil
		}
		outbox.Messages[topic] = append(outbox.Messages[topic], messages[:min(4, len(messages))]...) // some were taken
		return fmt.Errorf("publish to %s at nowhere: %w", topic, consumertest.ErrRefused)            // as a publisher of ours says it
	}
	config := consumertest.Relaying()
	config.MaxBackOff = time.Second
	config.BackOff = time.Second // time to look at the status
	it, _ := b.Relay(outbox, config)
	b.Eventually("the failure is in the status", func() bool {
		status, err := it.Status(t.Context())
		require.NoError(t, err)
		return status.State == consumer.Retrying && status.Failure.Error == "publish to events at nowhere: refused" && status.Position == 0
	})
	messages := b.Published(outbox, relay.DefaultTopic, 16) // four, the first alone twice, and all
	require.Equal(t, consumertest.IDsOf(deposits), outbox.IDs(relay.DefaultTopic)[6:])
	consumertest.RequireChain(t, "0", messages[6:])
	b.Eventually("the failure is forgotten", func() bool {
		status, err := it.Status(t.Context())
		require.NoError(t, err)
		return status.State == consumer.Live && status.Failure == nil
	})
}

func TestRelayThatStartsAtTheHead(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	past := b.Deposit(3)
	outbox := consumertest.NewOutbox()
	config := consumertest.Relaying()
	config.StartAtHead = true
	_, stop := b.Relay(outbox, config)
	b.Eventually("it has begun", func() bool {
		var began int
		require.NoError(t, b.Pool.QueryRow(t.Context(), `SELECT count(*) FROM relay_topics`).Scan(&began))
		return began > 0
	})
	stop()
	live := b.Deposit(2) // while it is off
	b.Relay(outbox, config)
	messages := b.Published(outbox, relay.DefaultTopic, 2)
	require.Equal(t, consumertest.IDsOf(live), outbox.IDs(relay.DefaultTopic))
	consumertest.RequireChain(t, strconv.FormatInt(int64(past[2].Position), 10), messages) // who knows nothing has missed something
}

func TestOfTwoRelaysOnePublishes(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	outboxes := []*consumertest.Outbox{consumertest.NewOutbox(), consumertest.NewOutbox()}
	config := consumertest.Relaying()
	config.PollInterval = 5 * time.Second // a busy machine does not end the lease
	_, stopFirst := b.Relay(outboxes[0], config)
	b.Published(outboxes[0], relay.DefaultTopic, len(b.Deposit(1)))
	b.Relay(outboxes[1], config)
	for range 20 {
		b.Deposit(5)
	}
	b.Published(outboxes[0], relay.DefaultTopic, 101)
	require.Empty(t, outboxes[1].Of(relay.DefaultTopic))
	stopFirst()
	more := b.Deposit(5)
	messages := append(outboxes[0].Of(relay.DefaultTopic), b.Published(outboxes[1], relay.DefaultTopic, 5)...)
	require.Equal(t, consumertest.IDsOf(more), outboxes[1].IDs(relay.DefaultTopic), "the other one takes over, and repeats nothing")
	consumertest.RequireChain(t, "0", messages)
}

func TestRelayWithoutATable(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.Exec(`DROP TABLE relay_topics`)
	logger, warned := consumertest.LogSignal("consumer waits before it goes on")
	config := consumertest.Relaying()
	config.Logger = logger
	b.Relay(consumertest.NewOutbox(), config)
	b.Wait(warned, "the relay says why it waits")
}

func TestRelayConfig(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	_, err := relay.New(b.Store, b.Pool, consumertest.NewOutbox(), relay.Config{GroupEvents: -1, Config: consumer.Config{PollInterval: -1, DrainTimeout: -1}})
	require.EqualError(t, err, "relay.Config: PollInterval is negative\nrelay.Config: DrainTimeout is negative\nrelay.Config: GroupEvents is negative")
}

// What is not there is noticed when it is given, not by a nil pointer later, and so is
// a name that no event has.
func TestNew(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var none *pgstore.Store
	_, err := relay.New(none, nil, (*consumertest.Outbox)(nil), relay.Config{GroupEvents: -1, Requests: (*amqpbus.Subscriber)(nil)})
	require.EqualError(t, err, `relay.New: the log is nil
relay.Config: GroupEvents is negative
relay.Config: Requests is a nil pointer
relay.New: the pool is nil
relay.New: the publisher is nil`)
	_, err = relay.New(b.Store, b.Pool, consumertest.NewOutbox(), relay.Config{Names: []string{"Deposited", "Deposit", "$all"}})
	require.EqualError(t, err, `relay.Config: Names has "Deposit", which is no event of the registry
relay.Config: Names has "$all", which is no event of the registry`)
}
