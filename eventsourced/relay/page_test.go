package relay_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

func samplePage() relay.Page {
	event := func(position eventsourced.Position) eventsourced.Recorded {
		return eventsourced.Recorded{
			EventData: eventsourced.EventData{
				ID: eventsourced.NewEventID(), Name: "Deposited", SchemaVersion: 2, Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
				Payload: []byte(`{"Amount":1}`), Metadata: eventsourced.Metadata{"actor": "å"}, Tags: []string{"course:7"},
			},
			Stream:   eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "a"},
			Version:  3,
			Position: position,
		}
	}
	return relay.Page{After: 5, UpTo: 9, Events: []eventsourced.Recorded{event(6), event(8)}, Last: true}
}

func TestPage(t *testing.T) {
	t.Parallel()
	t.Run("survives its journey", func(t *testing.T) {
		t.Parallel()
		page := samplePage()
		msg, err := relay.MarshalPage(page)
		require.NoError(t, err)
		require.Equal(t, message.Metadata{"previous_position": "5", "position": "9", "events": "2", "last": "true", "wire_version": "2"}, msg.Metadata)
		received, err := relay.UnmarshalPage(msg)
		require.NoError(t, err)
		require.Equal(t, page, received)
	})
	t.Run("says what ends it", func(t *testing.T) {
		t.Parallel()
		page := samplePage()
		page.Asker, page.Failure = "loans", &consumer.Failure{EventID: eventsourced.NewEventID(), EventName: "Lent", Position: 12, Error: "no such reader"}
		msg, err := relay.MarshalPage(page)
		require.NoError(t, err)
		received, err := relay.UnmarshalPage(msg)
		require.NoError(t, err)
		require.Equal(t, page, received)
		msg.Metadata[messaging.MetaFailure] = "{"
		_, err = relay.UnmarshalPage(msg)
		require.ErrorIs(t, err, messaging.ErrMalformed)
	})
	t.Run("may be empty", func(t *testing.T) {
		t.Parallel()
		msg, err := relay.MarshalPage(relay.Page{After: 7, UpTo: 7})
		require.NoError(t, err)
		received, err := relay.UnmarshalPage(msg)
		require.NoError(t, err)
		require.Equal(t, eventsourced.Position(7), received.UpTo)
		require.Empty(t, received.Events)
	})
	for name, test := range map[string]struct {
		change func(*message.Message)
		says   string
	}{
		"without metadata":           {func(m *message.Message) { m.Metadata = nil }, `metadata "previous_position" is missing`},
		"with a negative position":   {func(m *message.Message) { m.Metadata["previous_position"] = "-1" }, `metadata "previous_position": "-1", want a position`},
		"that ends before it begins": {func(m *message.Message) { m.Metadata["position"] = "4" }, "it ends at position 4, before its beginning at 5"},
		"with another count":         {func(m *message.Message) { m.Metadata["events"] = "3" }, `metadata "events": "3", but the payload has 2`},
		"that begins too late":       {func(m *message.Message) { m.Metadata["previous_position"] = "6" }, "position 6 after 6"},
		"that ends too early":        {func(m *message.Message) { m.Metadata["position"] = "7" }, "position 8 above the page's end at 7"},
		"that is cut off":            {func(m *message.Message) { m.Payload = m.Payload[:40] }, "unexpected end of JSON input"},
		"with half an event": {func(m *message.Message) {
			m.Payload, m.Metadata["events"] = []byte(`[{"position":7}]`), "1"
		}, "the event at position 7 is not complete"},
	} {
		t.Run(name+" is malformed", func(t *testing.T) {
			t.Parallel()
			msg, err := relay.MarshalPage(samplePage())
			require.NoError(t, err)
			test.change(msg)
			_, err = relay.UnmarshalPage(msg)
			require.ErrorIs(t, err, messaging.ErrMalformed)
			require.ErrorContains(t, err, test.says)
		})
	}
}

func TestHistoryRequest(t *testing.T) {
	t.Parallel()
	request := relay.HistoryRequest{
		Topic: "bank", After: 5, ReplyTo: "queue:branch", Asker: "loans", ID: "7", Events: 4000, Bytes: 1_000_000, Names: []string{"Deposited"}, Expires: 5 * time.Second,
	}
	msg, err := relay.MarshalHistoryRequest(request)
	require.NoError(t, err)
	require.JSONEq(t, `{"topic":"bank","after":5,"reply_to":"queue:branch","asker":"loans","id":"7","events":4000,"bytes":1000000,"names":["Deposited"],"expires_ms":5000,"wire_version":2}`, string(msg.Payload))
	received, err := relay.UnmarshalHistoryRequest(msg)
	require.NoError(t, err)
	require.Equal(t, request, received)
	require.Equal(t, "5000", msg.Metadata[messaging.MetaExpires], "for who carries it")
	least, err := relay.UnmarshalHistoryRequest(message.NewMessage("1", []byte(`{"topic":"t","after":1,"reply_to":"q"}`)))
	require.NoError(t, err)
	require.Equal(t, relay.HistoryRequest{Topic: "t", After: 1, ReplyTo: "q", Asker: "q"}, least)
	for payload, says := range map[string]string{
		``:                           "unexpected end of JSON input",
		`{"after":1,"reply_to":"q"}`: "it names no topic",
		`{"topic":"t","after":1}`:    "it does not say what to reply to",
		`{"topic":"t","after":-1,"reply_to":"q"}`:  "after: -1, want a position",
		`{"topic":"t","events":-1,"reply_to":"q"}`: "events, bytes or expires_ms is negative",
	} {
		_, err := relay.UnmarshalHistoryRequest(message.NewMessage("1", []byte(payload)))
		require.ErrorIs(t, err, messaging.ErrMalformed)
		require.ErrorContains(t, err, says)
	}
}

func FuzzUnmarshalPage(f *testing.F) {
	msg, err := relay.MarshalPage(samplePage())
	require.NoError(f, err)
	f.Add("5", "9", "2", []byte(msg.Payload))
	f.Add("0", "1", "", []byte(`{"Amount":1}`))
	f.Fuzz(func(t *testing.T, previous, position, events string, payload []byte) {
		msg := message.NewMessage(eventsourced.NewEventID().String(), payload)
		msg.Metadata = message.Metadata{
			"previous_position": previous, "position": position, "name": "n", "aggregate_name": "a", "aggregate_id": "i",
			"version": "1", "schema_version": "1", "occurred_at": "2026-01-02T15:04:05Z",
		}
		if events != "" {
			msg.Metadata["events"], msg.Metadata["wire_version"] = events, "2"
		}
		page, err := relay.UnmarshalPage(msg)
		if err != nil {
			require.ErrorIs(t, err, messaging.ErrMalformed)
			return
		}
		last := page.After
		for _, event := range page.Events {
			require.Greater(t, event.Position, last)
			last = event.Position
		}
		require.LessOrEqual(t, last, page.UpTo)
		if events == "" {
			return
		}
		again, err := relay.MarshalPage(page)
		require.NoError(t, err)
		same, err := relay.UnmarshalPage(again)
		require.NoError(t, err)
		require.Len(t, same.Events, len(page.Events))
	})
}

func FuzzUnmarshalHistoryRequest(f *testing.F) {
	f.Add([]byte(`{"topic":"t","after":1,"reply_to":"q"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		request, err := relay.UnmarshalHistoryRequest(message.NewMessage("1", payload))
		if err != nil {
			require.ErrorIs(t, err, messaging.ErrMalformed)
			return
		}
		msg, err := relay.MarshalHistoryRequest(request)
		require.NoError(t, err)
		again, err := relay.UnmarshalHistoryRequest(msg)
		require.NoError(t, err)
		require.Equal(t, request, again)
	})
}

func TestUnknownWireVersion(t *testing.T) {
	t.Parallel()
	msg, err := relay.MarshalPage(samplePage())
	require.NoError(t, err)
	for _, version := range []string{"1", "3", ""} {
		msg.Metadata[messaging.MetaWireVersion] = version
		_, err = relay.UnmarshalPage(msg)
		require.ErrorIs(t, err, messaging.ErrWireVersion)
	}
	request := message.NewMessage("r", []byte(`{"topic": "t", "after": 1, "reply_to": "me", "wire_version": 1}`))
	_, err = relay.UnmarshalHistoryRequest(request)
	require.EqualError(t, err, `replay request "r": unknown version of the wire format: it is of version 1, and this program knows 2`)
	require.ErrorIs(t, err, messaging.ErrWireVersion)
}
