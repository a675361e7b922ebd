package messaging_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func someEvent() eventsourced.Recorded {
	id, err := eventsourced.ParseEventID(someID)
	if err != nil {
		panic(err)
	}
	return eventsourced.Recorded{
		EventData: eventsourced.EventData{
			ID: id, Name: "Deposited", SchemaVersion: 1,
			Time:     time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC),
			Payload:  []byte(`{"Amount": 5}`),
			Metadata: eventsourced.Metadata{eventsourced.MetaCorrelation: "c", "version": "the event's own"},
		},
		Stream:  eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "account-1"},
		Version: 3, Position: 1767323045678901,
	}
}

func TestTagsTravelInMessages(t *testing.T) {
	t.Parallel()
	event := someEvent()
	event.Tags = []string{"course:7", `student:"å"`}
	delete(event.Metadata, "version")
	msg, err := messaging.MarshalRecorded(event)
	require.NoError(t, err)
	require.Equal(t, `["course:7","student:\"å\""]`, msg.Metadata[messaging.MetaTags])
	received, err := messaging.Unmarshal(msg)
	require.NoError(t, err)
	require.Equal(t, event, received)

	msg.Metadata[messaging.MetaTags] = "course:7"
	_, err = messaging.Unmarshal(msg)
	require.ErrorIs(t, err, messaging.ErrMalformed)
	require.ErrorContains(t, err, `metadata "tags": "course:7", want a JSON array of strings`)
}

func TestMarshal(t *testing.T) {
	t.Parallel()
	event := someEvent()
	marshaled, err := messaging.Marshal(t.Context(), consumertest.Registry(), event)
	require.NoError(t, err)
	require.Len(t, marshaled, 1)
	msg := marshaled[0]
	require.Equal(t, someID, msg.UUID)
	require.Equal(t, `{"Amount": 5}`, string(msg.Payload))
	require.Equal(t, message.Metadata{
		"name": "Deposited", "aggregate_name": "bank.Account", "aggregate_id": "account-1", "version": "3",
		"schema_version": "1", "position": "1767323045678901", "occurred_at": "2026-01-02T03:04:05.678901Z",
		"correlation_id": "c", "wire_version": "1",
	}, msg.Metadata)
	msg.Payload[0] = '['
	require.Equal(t, someEvent(), event, "they share nothing")

	event.SchemaVersion = 2
	_, err = messaging.Marshal(t.Context(), consumertest.Registry(), event)
	var decodeErr *eventsourced.DecodeError
	require.ErrorAs(t, err, &decodeErr)

	event.SchemaVersion, event.Metadata = 1, eventsourced.Metadata{"watermill_payload": "base64"}
	_, err = messaging.Marshal(t.Context(), consumertest.Registry(), event)
	require.ErrorAs(t, err, &decodeErr)
	require.ErrorContains(t, err, `metadata "watermill_payload": the payload is not base64`)
}

func TestWireVersion(t *testing.T) {
	t.Parallel()
	marshaled, err := messaging.Marshal(t.Context(), consumertest.Registry(), someEvent())
	require.NoError(t, err)
	msg := marshaled[0]
	delete(msg.Metadata, messaging.MetaWireVersion)
	_, err = messaging.Unmarshal(msg)
	require.NoError(t, err, "what does not tell is of version 1")
	msg.Metadata[messaging.MetaWireVersion] = "2"
	_, err = messaging.Unmarshal(msg)
	require.EqualError(t, err, `message "`+someID+`": unknown version of the wire format: it is of version "2", and this program knows 1`)
	require.ErrorIs(t, err, messaging.ErrWireVersion)
	marshaler, err := messaging.NewMarshaler(consumertest.Registry(), messaging.MarshalerConfig{})
	require.NoError(t, err)
	require.ErrorIs(t, marshaler.Unmarshal(msg, new(consumertest.Deposited)), messaging.ErrWireVersion)
}

func TestUnmarshalErrors(t *testing.T) {
	t.Parallel()
	_, err := messaging.Unmarshal(newMessage("some id", "{}", "version", "-1", "schema_version", "one", "occurred_at", "noon"))
	require.ErrorIs(t, err, messaging.ErrMalformed)
	require.EqualError(t, err, `message "some id": malformed message: event id "some id": want a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057
metadata "name" is missing
metadata "schema_version": "one", want a number from 1
metadata "occurred_at": "noon", want a time such as 2026-01-02T15:04:05.999999Z
metadata "aggregate_name" is missing
metadata "aggregate_id" is missing
metadata "version": "-1", want a number from 1
metadata "position" is missing`)
}

// What was published comes out of PostgreSQL to the byte.
func TestPayloads(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	publisher := messaging.NewPublisher(b.Store)
	payloads := []string{
		"", "x", " ", "\x00", "\xff\xfe", "\"\xff\"", "{", "nul", "01", "\ufeff{}",
		"5", "null", `""`, `"cGxhaW4="`, " {\n\t\"a\" : 1.0 , \"a\": 1e999999 }\r\n", `"\u0000\ud800"`, "\"\u2028<&>\"",
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
	}
	for _, payload := range payloads {
		require.NoError(t, publisher.Publish("topic", newMessage(eventsourced.NewEventID().String(), payload)), "%.40q", payload)
	}
	config := consumertest.Grouped("g")
	config.Unregistered = true
	messages := b.Subscribe(b.Subscriber(config), "topic")
	for _, payload := range payloads {
		msg := b.Next(messages)
		require.Equal(t, payload, string(msg.Payload))
		require.True(t, msg.Ack())
	}
}

// An event that went through a message is the same.
func FuzzMarshal(f *testing.F) {
	event := someEvent()
	f.Add(event.Name, "a", "b", int64(1), int64(2), 3, int64(4), int64(5), event.Payload, "key", "value")
	f.Fuzz(func(t *testing.T, name, aggregateName, aggregateID string, version, position int64, schema int, seconds, nanoseconds int64, payload []byte, key, value string) {
		at := time.Unix(seconds, nanoseconds).UTC()
		if name == "" || aggregateName == "" || aggregateID == "" || version < 1 || position < 1 || schema < 1 || at.Year() < 0 || at.Year() > 9999 ||
			slices.Contains(consumertest.Registry().Names(), name) {
			return
		}
		if !json.Valid(payload) || !bytes.Equal(bytes.ToValidUTF8(payload, nil), payload) {
			return
		}
		want := eventsourced.Recorded{
			EventData: eventsourced.EventData{ID: eventsourced.NewEventID(), Name: name, SchemaVersion: schema, Time: at, Payload: payload},
			Stream:    eventsourced.Stream{AggregateName: aggregateName, AggregateID: aggregateID},
			Version:   eventsourced.Version(version), Position: eventsourced.Position(position),
		}
		if !slices.Contains(messaging.Reserved(), key) {
			want.Metadata = eventsourced.Metadata{key: value}
		}
		marshaled, err := messaging.Marshal(t.Context(), consumertest.Registry(), want)
		require.NoError(t, err)
		require.Len(t, marshaled, 1)
		msg := marshaled[0]
		got, err := messaging.Unmarshal(msg)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// A message that went through a log is the same, and so is its event that goes
// through a message again.
func FuzzPublisher(f *testing.F) {
	f.Add("topic", someID, []byte(`{"a": 1}`), "key", "value", false)
	f.Add("topic", strings.ToUpper(someID), []byte("plain"), "", "", true)
	f.Add("Deposited", "x", []byte("{}"), "event_id", someID, true)
	f.Fuzz(func(t *testing.T, topic, uuid string, payload []byte, key, value string, named bool) {
		store := memstore.New(consumertest.Registry())
		want := newMessage(uuid, string(payload), key, value)
		if named {
			want.Metadata.Set(messaging.MetaName, topic)
		}
		if err := messaging.NewPublisher(store).Publish(topic, want.Copy()); err != nil {
			return
		}
		for event, err := range store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
			require.NoError(t, err)
			marshaled, err := messaging.Marshal(t.Context(), store.Registry(), event)
			require.NoError(t, err)
			require.Len(t, marshaled, 1)
			got := marshaled[0]
			require.Equal(t, want.UUID, got.UUID)
			require.Equal(t, string(want.Payload), string(got.Payload))
			if !slices.Contains(messaging.Reserved(), key) {
				require.Equal(t, value, got.Metadata[key])
			}
			again, err := messaging.Unmarshal(got)
			require.NoError(t, err)
			require.Equal(t, event.ID, again.ID)
			require.Equal(t, event.Payload, again.Payload)
			require.Equal(t, event.Metadata, again.Metadata)
		}
	})
}
