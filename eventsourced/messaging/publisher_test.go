package messaging_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

const someID = "01890a5d-ac96-774b-bcce-b302099a8057"

func newMessage(uuid, payload string, metadata ...string) *message.Message {
	msg := message.NewMessage(uuid, []byte(payload))
	for i := 0; i < len(metadata); i += 2 {
		msg.Metadata.Set(metadata[i], metadata[i+1])
	}
	return msg
}

// log returns all events.
func (b *bank) log() (events []eventsourced.Recorded) {
	b.T.Helper()
	for event, err := range b.Store.ReadLog(b.T.Context(), eventsourced.LogQuery{}) {
		require.NoError(b.T, err)
		events = append(events, event)
	}
	return events
}

func TestPublishedAsWhat(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	publisher := messaging.NewPublisher(b.Store)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	require.NoError(t, publisher.Publish("Deposited",
		newMessage(someID, `{"Amount": 5}`, messaging.MetaName, "Deposited",
			messaging.MetaAggregateName, "bank.Account", messaging.MetaAggregateID, "account-1",
			messaging.MetaOccurredAt, "2026-01-02T04:04:05.678901234+01:00",
			messaging.MetaVersion, "17", messaging.MetaPosition, "18",
			eventsourced.MetaCorrelation, "request-1")))
	require.NoError(t, publisher.Publish("topic", newMessage("01HZX", "plain")))
	events := b.log()
	require.Len(t, events, 2)

	named, plain := events[0], events[1]
	require.Equal(t, eventsourced.Recorded{
		EventData: eventsourced.EventData{
			ID: named.ID, Name: "Deposited", SchemaVersion: 1, Time: at,
			Payload:  []byte(`{"Amount": 5}`),
			Metadata: eventsourced.Metadata{eventsourced.MetaCorrelation: "request-1"},
		},
		Stream:  eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "account-1"},
		Version: 1, Position: named.Position,
	}, named)
	require.Equal(t, someID, named.ID.String())

	require.WithinDuration(t, time.Now(), plain.Time, time.Minute)
	require.Equal(t, eventsourced.Recorded{
		EventData: eventsourced.EventData{
			ID: plain.ID, Name: "topic", SchemaVersion: 1, Time: plain.Time,
			Payload:  []byte(`"cGxhaW4="`),
			Metadata: eventsourced.Metadata{"watermill_uuid": "01HZX", "watermill_payload": "base64"},
		},
		Stream:  eventsourced.Stream{AggregateName: "topic", AggregateID: "01HZX"},
		Version: 1, Position: plain.Position,
	}, plain)
	require.Equal(t, "a000e8c0-0787-8129-ba9c-5f093aa74250", plain.ID.String(), "derived, and it never changes")
}

func TestPublishedOnce(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	publisher := messaging.NewPublisher(b.Store)
	recorded := b.Record(&consumertest.Deposited{Amount: 1})
	marshaled, err := messaging.Marshal(t.Context(), b.Store.Registry(), recorded)
	require.NoError(t, err)
	require.Len(t, marshaled, 1)
	msg := marshaled[0]
	for range 2 {
		require.NoError(t, publisher.Publish("Deposited", msg), "the log has this event")
		require.NoError(t, publisher.Publish("topic-1", newMessage(someID, "x")))
		require.NoError(t, publisher.Publish("topic-2", newMessage(someID, "x")), "another topic is another event")
	}
	require.Len(t, b.log(), 3)
}

func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	publisher := messaging.NewPublisher(b.Store)
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct {
		topic string
		msg   *message.Message
		is    error
		want  string
	}{
		"another name":        {"topic", newMessage(someID, "1", "name", "other"), messaging.ErrMalformed, `metadata "name": "other", but the topic is "topic"`},
		"no UUID":             {"topic", newMessage("", "1"), messaging.ErrMalformed, `it has no UUID`},
		"the topic of all":    {messaging.AllEvents, newMessage(someID, "1"), messaging.ErrMalformed, `the topic "$all" is for subscribing`},
		"a schema version":    {"topic", newMessage(someID, "1", "schema_version", "zero"), messaging.ErrMalformed, `metadata "schema_version": "zero", want a number from 1`},
		"a time":              {"topic", newMessage(someID, "1", "occurred_at", "noon"), messaging.ErrMalformed, `metadata "occurred_at": "noon", want a time`},
		"not UTF-8":           {"topic", newMessage(someID, "1", "key", "\xff"), messaging.ErrMalformed, `metadata "key": "\xff" is not UTF-8`},
		"a known event":       {"Deposited", newMessage(someID, "plain", "aggregate_name", "a", "aggregate_id", "1"), messaging.ErrMalformed, `decode Deposited (schema 1) of a/1`},
		"no aggregate":        {"Deposited", newMessage(someID, "{}", "aggregate_name", "a"), messaging.ErrMalformed, `metadata "aggregate_id" is missing`},
		"no aggregate's kind": {"Deposited", newMessage(someID, "{}", "aggregate_id", "1"), messaging.ErrMalformed, `metadata "aggregate_name" is missing`},
		"a schema to come":    {"Deposited", newMessage(someID, "{}", "schema_version", "2", "aggregate_name", "a", "aggregate_id", "1"), eventsourced.ErrUnknownEvent, "newer version of the program"},
		"the store's limits":  {long, newMessage(someID, "1"), eventsourced.ErrInvalid, "the event name"},
		"a large payload":     {"topic", newMessage(someID, strings.Repeat("x", 1<<20)), eventsourced.ErrInvalid, "a payload of 1398106 bytes, the limit is 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			err := publisher.Publish(c.topic, c.msg)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.want)
			if errors.Is(err, messaging.ErrMalformed) {
				err = publisher.Publish(c.topic, newMessage("fine", "{}"), c.msg)
				require.ErrorIs(t, err, messaging.ErrMalformed)
			}
		})
	}
	require.Empty(t, b.log(), "nothing is stored")
}

func TestPublisherClose(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	publisher := messaging.NewPublisher(b.Store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	msg := newMessage(someID, "x")
	msg.SetContext(ctx)
	require.ErrorIs(t, publisher.Publish("topic", msg), context.Canceled)
	require.NoError(t, publisher.Close())
	require.NoError(t, publisher.Close())
	err := publisher.Publish("topic", newMessage(someID, "x"))
	require.ErrorIs(t, err, messaging.ErrClosed)
	require.EqualError(t, err, "publish to topic: closed")
}
