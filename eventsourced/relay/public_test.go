package relay_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestPublicEvents(t *testing.T) {
	t.Parallel()
	t.Run("only named events leave", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.Deposit(5)
		renamed := []eventsourced.Recorded{b.RecordOld(`{"Name":"AB"}`), b.Record(&consumertest.Renamed{First: "C", Last: "D"})}
		outbox := consumertest.NewOutbox()
		config := consumertest.Relaying()
		config.Names = []string{"Renamed"}
		it, _ := b.Relay(outbox, config)
		messages := b.Published(outbox, relay.DefaultTopic, 2)
		require.Equal(t, consumertest.IDsOf(renamed), outbox.IDs(relay.DefaultTopic))
		consumertest.RequireChain(t, "0", messages)
		require.JSONEq(t, `{"First":"A","Last":"B"}`, string(messages[0].Payload), "in today's form")
		last := b.Deposit(1)
		b.Eventually("it is not behind because of the others", func() bool {
			status, err := it.Status(t.Context())
			require.NoError(t, err)
			return status.Position == last[0].Position
		})
	})
	t.Run("events leave in another form, or not", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		deposits := b.Deposit(1)
		b.Record(&consumertest.Renamed{First: "C", Last: "D"})
		deposits = append(deposits, b.Deposit(1)...)
		outbox := consumertest.NewOutbox()
		config := consumertest.Relaying()
		config.Translate = func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
			if event.Name != "Deposited" {
				return eventsourced.Recorded{}, nil
			}
			return eventsourced.Recorded{EventData: eventsourced.EventData{Name: "MoneyIn", SchemaVersion: 7, Payload: []byte(`{"cents":100}`)}}, nil
		}
		b.Relay(outbox, config)
		messages := b.Published(outbox, relay.DefaultTopic, 2)
		require.Equal(t, consumertest.IDsOf(deposits), outbox.IDs(relay.DefaultTopic))
		consumertest.RequireChain(t, "0", messages)
		require.Equal(t, "MoneyIn", messages[1].Metadata["name"])
		require.Equal(t, "7", messages[1].Metadata["schema_version"])
		require.Equal(t, `{"cents":100}`, string(messages[1].Payload))
	})
	for name, translate := range map[string]func(eventsourced.Recorded) (eventsourced.Recorded, error){
		"no event": func(e eventsourced.Recorded) (eventsourced.Recorded, error) { e.Payload = []byte("{"); return e, nil },
		"an error": func(eventsourced.Recorded) (eventsourced.Recorded, error) {
			return eventsourced.Recorded{}, consumertest.ErrRefused
		},
		"a panic": func(eventsourced.Recorded) (eventsourced.Recorded, error) { panic(consumertest.ErrRefused.Error()) },
	} {
		t.Run("nothing passes an event whose translation is "+name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			before := b.Deposit(2)
			bad := b.Record(&consumertest.Renamed{First: "C", Last: "D"})
			b.Deposit(1)
			outbox := consumertest.NewOutbox()
			config := consumertest.Relaying()
			config.Translate = func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
				if event.Name == "Renamed" {
					return translate(event)
				}
				return event, nil
			}
			it, stop := b.Relay(outbox, config)
			b.Eventually("it is in the status", func() bool {
				status, err := it.Status(t.Context())
				require.NoError(t, err)
				return status.Failure != nil && status.Failure.EventID == bad.ID && status.Position == before[1].Position
			})
			require.Equal(t, consumertest.IDsOf(before), outbox.IDs(relay.DefaultTopic), "what comes before is out, once")
			stop()
			b.Relay(outbox, consumertest.Relaying()) // cured
			consumertest.RequireChain(t, "0", b.Published(outbox, relay.DefaultTopic, 4))
		})
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.Deposit(2)
	renamed := []eventsourced.Recorded{b.Record(&consumertest.Renamed{}), b.Record(&consumertest.Renamed{})}
	deposits = append(deposits, b.Deposit(1)...)
	outbox := consumertest.NewOutbox()
	config := consumertest.Relaying()
	config.Topic = func(event eventsourced.Recorded) string { return "bank." + event.Name }
	_, stop := b.Relay(outbox, config)
	consumertest.RequireChain(t, "0", b.Published(outbox, "bank.Deposited", 3))
	consumertest.RequireChain(t, "0", b.Published(outbox, "bank.Renamed", 2))
	require.Equal(t, consumertest.IDsOf(deposits), outbox.IDs("bank.Deposited"))
	require.Equal(t, consumertest.IDsOf(renamed), outbox.IDs("bank.Renamed"))
	require.Equal(t, 3, outbox.Calls, "messages of one topic in a row go together")
	stop()
	b.Record(&consumertest.Renamed{})
	b.Deposit(1)
	b.Relay(outbox, config)
	consumertest.RequireChain(t, "0", b.Published(outbox, "bank.Deposited", 4))
	consumertest.RequireChain(t, "0", b.Published(outbox, "bank.Renamed", 3))
}
