package relay_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// An event may leave as several, made of what a query finds, with ids that are the same each time.
func TestTranslateMany(t *testing.T) {
	t.Parallel()
	b := &bank{consumertest.Small(t)} // of one connection
	b.Exec(`CREATE TABLE branch (account text, branch text); INSERT INTO branch VALUES ('account-1', 'Mora')`)
	first, second := b.Deposit(1)[0], b.Deposit(1)[0]
	b.Record(&consumertest.Renamed{})
	outbox := consumertest.NewOutbox()
	config := consumertest.Relaying()
	config.TranslateMany = func(ctx context.Context, e eventsourced.Recorded) ([]eventsourced.Recorded, error) {
		if e.Name == "Renamed" {
			return nil, nil
		}
		var branch string
		if err := b.Pool.QueryRow(ctx, `SELECT branch FROM branch WHERE account = $1`, e.Stream.AggregateID).Scan(&branch); err != nil {
			return nil, err
		}
		in, total := e, e
		in.Name, in.SchemaVersion, in.Payload = "MoneyIn", 3, fmt.Appendf(nil, `{"branch":%q}`, branch)
		total.Name, total.Payload = "BranchChanged", []byte(`{}`)
		return []eventsourced.Recorded{in, total}, nil
	}
	ask := b.answers(outbox, config)
	messages := b.Published(outbox, relay.DefaultTopic, 2)
	consumertest.RequireChain(t, "0", messages)
	var want []string
	for i, event := range []eventsourced.Recorded{first, second} {
		page, err := relay.UnmarshalPage(messages[i])
		require.NoError(t, err)
		require.Len(t, page.Events, 2)
		require.Equal(t, `["MoneyIn","BranchChanged"]`, messages[i].Metadata[messaging.MetaNames], "for those who choose by name")
		require.Equal(t, "account-1", messages[i].Metadata[messaging.MetaAggregateID])
		require.Equal(t, "MoneyIn", page.Events[0].Name)
		require.Equal(t, 3, page.Events[0].SchemaVersion)
		require.JSONEq(t, `{"branch":"Mora"}`, string(page.Events[0].Payload))
		require.Equal(t, "BranchChanged", page.Events[1].Name)
		for j, part := range page.Events {
			require.Equal(t, eventsourced.PartID(event.ID, j), part.ID)
			require.Equal(t, event.Position, part.Position)
			want = append(want, part.ID.String())
		}
	}
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "asker"})
	ids, _ := b.history(outbox, "asker", 0)
	require.Equal(t, want, ids)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "another", Names: []string{"BranchChanged"}})
	ids, _ = b.history(outbox, "another", 0)
	require.Equal(t, []string{want[1], want[3]}, ids, "by the name that it leaves with")

	config.Translate = func(e eventsourced.Recorded) (eventsourced.Recorded, error) { return e, nil }
	_, err := relay.New(b.Store, b.Pool, outbox, config)
	require.EqualError(t, err, "relay.Config: Translate and TranslateMany are both set")
}

// What others agree on, on request: CloudEvents and the name of the application; and the trace.
func TestConventions(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := eventsourced.WithMetadata(eventsourced.WithMetadata(t.Context(), eventsourced.MetaTraceParent, parent), eventsourced.MetaTraceState, "a=b")
	accounts := eventsourced.NewRepository[consumertest.Account](b.Store, "bank.Account", eventsourced.RepositoryConfig{})
	position, err := accounts.Update(ctx, "account-1", func(a *consumertest.Account) error { return eventsourced.Record(a, &consumertest.Deposited{Amount: 1}) })
	require.NoError(t, err)
	event := b.At(position)
	outbox := consumertest.NewOutbox()
	config := consumertest.Relaying()
	config.CloudEventsSource, config.AppID = "https://example.com/bank", "bank"
	config.Translate = func(e eventsourced.Recorded) (eventsourced.Recorded, error) {
		e.Metadata = nil
		return e, nil
	}
	b.Relay(outbox, config)
	msg := b.Published(outbox, relay.DefaultTopic, 1)[0]
	for key, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": event.ID.String(), "ce-source": "https://example.com/bank", "ce-type": "Deposited",
		"ce-subject": "bank.Account/account-1", "ce-time": msg.Metadata[messaging.MetaOccurredAt], "ce-sequence": fmt.Sprint(position),
		"ce-traceparent": parent, "ce-tracestate": "a=b", "traceparent": parent, "tracestate": "a=b", "app_id": "bank",
	} {
		require.Equal(t, value, msg.Metadata[key], key)
	}
	received, err := messaging.Unmarshal(msg)
	require.NoError(t, err)
	require.Equal(t, eventsourced.Metadata{"traceparent": parent, "tracestate": "a=b", "correlation_id": event.ID.String()}, received.Metadata)

	config.CloudEventsSource = "http://[::1"
	_, err = relay.New(b.Store, b.Pool, outbox, config)
	require.ErrorContains(t, err, "relay.Config: CloudEventsSource is no URI reference")
}
