package watermillsql_test

import (
	"context"
	"testing"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/watermillsql"
)

func TestMessagesAreThoseOfMessaging(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.record(&Deposited{Amount: 5})
	b.recordOld(`{"Name": "Jo"}`)
	_, err := b.store.Append(t.Context(), eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "tagged"}, eventsourced.Any,
		[]eventsourced.EventData{{ID: eventsourced.NewEventID(), Name: "Audited", SchemaVersion: 1, Payload: []byte(`{}`), Tags: []string{"a", `"b"`}}})
	require.NoError(t, err)
	foreign := message.NewMessage("no UUID", []byte("no JSON"))
	foreign.Metadata.Set("key", "value")
	require.NoError(t, messaging.NewPublisher(b.store).Publish("Mail", foreign))

	messages := b.subscribe(b.subscriber(b.grouped()), messaging.AllEvents)
	for event, err := range b.store.ReadLog(t.Context(), eventsourced.LogQuery{}) {
		require.NoError(t, err)
		marshaled, err := messaging.Marshal(t.Context(), b.store.Registry(), event)
		require.NoError(t, err)
		require.Len(t, marshaled, 1)
		want := marshaled[0]
		got := b.next(messages)
		require.True(t, got.Equals(want), "%v, want %v", got, want)
		got.Ack()
	}
	require.EqualValues(t, 4, b.int(`SELECT count(*) FROM events`))
}

func TestUpcast(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	event := b.recordOld(`{"Name": "Jo"}`)
	msg := b.receive(b.subscribe(b.subscriber(b.grouped()), "Renamed"), event)
	require.JSONEq(t, `{"First": "J", "Last": "o"}`, string(msg.Payload))
	require.Equal(t, "2", msg.Metadata.Get(messaging.MetaSchemaVersion))
	msg.Ack()
}

func TestTopics(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var all, deposits, renames []eventsourced.Recorded
	for range 5 {
		deposit, rename := b.record(&Deposited{Amount: 1}), b.record(&Renamed{First: "J"})
		all = append(all, deposit, rename)
		deposits, renames = append(deposits, deposit), append(renames, rename)
	}
	b.adapter = newAdapter(t, watermillsql.Config{PageEvents: 3})
	subscriber := b.subscriber(b.grouped())
	everything := b.subscribe(subscriber, messaging.AllEvents)
	deposited, renamed := b.subscribe(subscriber, "Deposited"), b.subscribe(subscriber, "Renamed")
	b.ack(everything, all...)
	b.moved(messaging.AllEvents, all[9])
	b.ack(deposited, deposits...)
	b.moved("Deposited", deposits[4])
	b.ack(renamed, renames...)
	b.moved("Renamed", renames[4])
}

func TestEventThatIsNoMessage(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{"because its upcaster fails": `{"Name": ""}`, "because its upcaster panics": `{"Name": "panic"}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for pageEvents, before := range map[int]string{0: "hold up its page", 1: "hold up none before it"} {
				t.Run("it may "+before, func(t *testing.T) {
					t.Parallel()
					b := newBank(t)
					events := append(b.deposit(2), b.recordOld(payload), b.record(&Deposited{Amount: 2}))
					b.adapter = newAdapter(t, watermillsql.Config{PageEvents: pageEvents})
					config, looks := b.grouped(), newLooks()
					config.BackoffManager = looks
					messages := b.subscribe(b.subscriber(config), messaging.AllEvents)
					if pageEvents == 1 {
						b.ack(messages, events[:2]...)
						events = events[2:]
					}
					var undecodable *eventsourced.DecodeError
					require.ErrorAs(t, await(b, looks.failed, "an error"), &undecodable)
					require.Equal(t, "Renamed", undecodable.Event.Name)
					b.exec(`UPDATE events SET payload = '{"Name": "Jo"}' WHERE name = 'Renamed'`)
					b.ack(messages, events...)
				})
			}
		})
	}
}

func TestPublishIsRefused(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	publisher, err := wsql.NewPublisher(b.db.SQL(), wsql.PublisherConfig{SchemaAdapter: b.adapter, AutoInitializeSchema: true}, nil)
	require.NoError(t, err)
	err = publisher.Publish("Deposited", message.NewMessage("id", []byte("{}")))
	require.ErrorIs(t, err, watermillsql.ErrPublish)
	require.ErrorContains(t, err, "publish to Deposited: the log takes events in its own order: publish with messaging.Publisher")
	require.Zero(t, b.int(`SELECT count(*) FROM events`))
}

func TestSubscribeIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		topic, group, change, want string
	}{
		"without a log":        {"Deposited", "g", `DROP TABLE events`, "there is no table events: the log's tables are made by migrate.Run with pgstore.Migrations"},
		"without positions":    {"Deposited", "g", `DROP TABLE consumers`, "there is no table consumers: it is made by migrate.Run with consumer.Migrations"},
		"to an empty topic":    {"", "g", ``, "the topic is empty"},
		"for an empty group":   {"Deposited", "", ``, "the ConsumerGroup of the Subscriber is empty"},
		"to an unknown name":   {"Deposit", "g", ``, `no event of the registry has the name "Deposit"`},
		"ahead of the log":     {"Deposited", "g", `INSERT INTO consumers (name, topic, position) VALUES ('g', 'Deposited', 7)`, "the consumer is ahead of the log"},
		"to what isn't a name": {"all events", "g", ``, wsql.ErrInvalidTopicName.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.exec(c.change)
			config := b.grouped()
			config.ConsumerGroup, config.InitializeSchema = c.group, true
			_, err := b.subscriber(config).Subscribe(t.Context(), c.topic)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`DROP TABLE events, consumers`)
	schema := b.db.Schema + `_"odd" It's`
	t.Cleanup(func() {
		_, err := b.pool.Exec(context.Background(), `DROP SCHEMA IF EXISTS `+pgx.Identifier{schema}.Sanitize()+` CASCADE`)
		require.NoError(t, err)
	})
	b.store = pgstore.New(b.pool, registry(), pgstore.Config{Schema: schema})
	t.Cleanup(b.store.Close)
	b.adapter = newAdapter(t, watermillsql.Config{Schema: schema})

	subscriber := b.subscriber(b.grouped())
	_, err := subscriber.Subscribe(t.Context(), messaging.AllEvents)
	require.ErrorContains(t, err, "there is no table "+pgx.Identifier{schema, "events"}.Sanitize())
	require.NoError(t, migrate.Run(t.Context(), b.pool, migrate.Config{Schema: schema}, pgstore.Migrations()))
	_, err = subscriber.Subscribe(t.Context(), messaging.AllEvents)
	require.ErrorContains(t, err, "there is no table "+pgx.Identifier{schema, "consumers"}.Sanitize())
	require.NoError(t, migrate.Run(t.Context(), b.pool, migrate.Config{Schema: schema}, consumer.Migrations()))
	b.ack(b.subscribe(subscriber, messaging.AllEvents), b.deposit(2)...)
	b.eventually("the position", func() bool { return b.int(`SELECT position FROM `+pgx.Identifier{schema, "consumers"}.Sanitize()) > 0 })
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := watermillsql.NewAdapter(nil, watermillsql.Config{Schema: "\xff", PageEvents: -1})
	require.EqualError(t, err, `watermillsql.NewAdapter: the registry is nil
watermillsql.Config: Schema is no name of a schema, which has at most 63 bytes of UTF-8
watermillsql.Config: PageEvents is negative`)
}
