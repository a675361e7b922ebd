package messaging_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// outbox is a publisher that keeps what it is given.
type outbox struct {
	mu       sync.Mutex
	messages map[string][]*message.Message // by topic
	calls    int
	refuse   func(topic string, messages []*message.Message) error // nil is never
}

var errRefused = errors.New("refused")

func newOutbox() *outbox { return &outbox{messages: map[string][]*message.Message{}} }

func (o *outbox) Publish(topic string, messages ...*message.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	if o.refuse != nil {
		if err := o.refuse(topic, messages); err != nil {
			return err
		}
	}
	o.messages[topic] = append(o.messages[topic], messages...)
	return nil
}

func (o *outbox) Close() error { return nil }

func (o *outbox) of(topic string) []*message.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*message.Message(nil), o.messages[topic]...)
}

// ids returns the UUIDs of a topic's messages.
func (o *outbox) ids(topic string) (ids []string) {
	for _, msg := range o.of(topic) {
		ids = append(ids, msg.UUID)
	}
	return ids
}

func idsOf(events []eventsourced.Recorded) (ids []string) {
	for _, event := range events {
		ids = append(ids, event.ID.String())
	}
	return ids
}

func relaying() messaging.RelayConfig {
	return messaging.RelayConfig{
		PollInterval: 200 * time.Millisecond,
		MaxBackOff:   50 * time.Millisecond,
		DrainTimeout: time.Second,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// relay runs a relay until the test ends or stop is called.
func (b *bank) relay(publisher message.Publisher, config messaging.RelayConfig) (relay *messaging.Relay, stop func()) {
	b.t.Helper()
	relay, err := messaging.NewRelay(b.store, b.positions, publisher, config)
	require.NoError(b.t, err)
	return relay, b.run(relay.Run)
}

// run calls a Run method until the test ends or stop is called.
func (b *bank) run(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
	b.t.Cleanup(stop)
	return stop
}

func (b *bank) published(o *outbox, topic string, n int) []*message.Message {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%d messages to %s", n, topic), func() bool { return len(o.of(topic)) >= n })
	return o.of(topic)
}

// requireChain fails unless each message follows the one before.
func requireChain(t testing.TB, begin string, messages []*message.Message) {
	t.Helper()
	for _, msg := range messages {
		require.Equal(t, begin, msg.Metadata[messaging.MetaPrevious])
		begin = msg.Metadata[messaging.MetaPosition]
	}
}

func TestRelay(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.deposit(20)
	outbox := newOutbox()
	relay, stop := b.relay(outbox, relaying())
	messages := b.published(outbox, messaging.DefaultTopic, 20)
	require.Equal(t, 1, outbox.calls, "a group is published at once")
	require.Equal(t, idsOf(deposits), outbox.ids(messaging.DefaultTopic))
	requireChain(t, "0", messages)
	first := messages[0]
	require.JSONEq(t, string(deposits[0].Payload), string(first.Payload))
	require.Equal(t, message.Metadata{
		"name": "Deposited", "aggregate_name": "bank.Account", "aggregate_id": "account-1", "version": "1", "schema_version": "1",
		"position":          strconv.FormatInt(int64(deposits[0].Position), 10),
		"previous_position": "0",
		"correlation_id":    deposits[0].ID.String(), // a chain begins with it
		"occurred_at":       deposits[0].Time.Format(time.RFC3339Nano),
	}, first.Metadata)

	ctx := eventsourced.WithCausation(eventsourced.WithCorrelation(t.Context(), "c-1"), "e-1")
	accounts := eventsourced.NewRepository[Account](b.store, "bank.Account", eventsourced.RepositoryConfig{})
	position, err := accounts.Update(ctx, "account-1", func(a *Account) error { return eventsourced.Record(a, &Deposited{Amount: 1}) })
	require.NoError(t, err)
	live := b.published(outbox, messaging.DefaultTopic, 21)
	require.Equal(t, "c-1", live[20].Metadata["correlation_id"])
	require.Equal(t, "e-1", live[20].Metadata["causation_id"])

	b.eventually("the relay is at the head", func() bool {
		status, err := relay.Status(t.Context())
		require.NoError(t, err)
		return status.State == messaging.Live && status.Position == position && status.Behind == 0 && status.Node != ""
	})
	stop()
	status, err := relay.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, messaging.Standby, status.State)

	more := b.deposit(3)
	b.relay(outbox, relaying())
	live = b.published(outbox, messaging.DefaultTopic, 24)
	require.Equal(t, idsOf(more), outbox.ids(messaging.DefaultTopic)[21:], "a restarted relay goes on where it was")
	requireChain(t, "0", live)
}

func TestRelayRepeatsWhatWasNotTaken(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.deposit(10)
	outbox := newOutbox()
	refusals := 3
	outbox.refuse = func(topic string, messages []*message.Message) error {
		if refusals--; refusals < 0 {
			return nil
		}
		outbox.messages[topic] = append(outbox.messages[topic], messages[:4]...) // some were taken
		return errRefused
	}
	config := relaying()
	config.MaxBackOff = time.Second
	config.BackOff = time.Second // time to look at the status
	relay, _ := b.relay(outbox, config)
	b.eventually("the failure is in the status", func() bool {
		status, err := relay.Status(t.Context())
		require.NoError(t, err)
		return status.State == messaging.Retrying && status.Failure.Error == "publish to events: refused" && status.Position == 0
	})
	messages := b.published(outbox, messaging.DefaultTopic, 22)
	require.Equal(t, idsOf(deposits), outbox.ids(messaging.DefaultTopic)[12:])
	requireChain(t, "0", messages[12:])
	b.eventually("the failure is forgotten", func() bool {
		status, err := relay.Status(t.Context())
		require.NoError(t, err)
		return status.State == messaging.Live && status.Failure == nil
	})
}

func TestPublicEvents(t *testing.T) {
	t.Parallel()
	t.Run("only named events leave", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.deposit(5)
		renamed := []eventsourced.Recorded{b.recordOld(`{"Name":"AB"}`), b.record(&Renamed{First: "C", Last: "D"})}
		outbox := newOutbox()
		config := relaying()
		config.Names = []string{"Renamed"}
		relay, _ := b.relay(outbox, config)
		messages := b.published(outbox, messaging.DefaultTopic, 2)
		require.Equal(t, idsOf(renamed), outbox.ids(messaging.DefaultTopic))
		requireChain(t, "0", messages)
		require.JSONEq(t, `{"First":"A","Last":"B"}`, string(messages[0].Payload), "in today's form")
		last := b.deposit(1)
		b.eventually("it is not behind because of the others", func() bool {
			status, err := relay.Status(t.Context())
			require.NoError(t, err)
			return status.Position == last[0].Position
		})
	})
	t.Run("events leave in another form, or not", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		deposits := b.deposit(1)
		b.record(&Renamed{First: "C", Last: "D"})
		deposits = append(deposits, b.deposit(1)...)
		outbox := newOutbox()
		config := relaying()
		config.Translate = func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
			if event.Name != "Deposited" {
				return eventsourced.Recorded{}, nil
			}
			return eventsourced.Recorded{EventData: eventsourced.EventData{Name: "MoneyIn", SchemaVersion: 7, Payload: []byte(`{"cents":100}`)}}, nil
		}
		b.relay(outbox, config)
		messages := b.published(outbox, messaging.DefaultTopic, 2)
		require.Equal(t, idsOf(deposits), outbox.ids(messaging.DefaultTopic))
		requireChain(t, "0", messages)
		require.Equal(t, "MoneyIn", messages[1].Metadata["name"])
		require.Equal(t, "7", messages[1].Metadata["schema_version"])
		require.Equal(t, `{"cents":100}`, string(messages[1].Payload))
	})
	for name, translate := range map[string]func(eventsourced.Recorded) (eventsourced.Recorded, error){
		"no event": func(e eventsourced.Recorded) (eventsourced.Recorded, error) { e.Payload = []byte("{"); return e, nil },
		"an error": func(eventsourced.Recorded) (eventsourced.Recorded, error) { return eventsourced.Recorded{}, errRefused },
		"a panic":  func(eventsourced.Recorded) (eventsourced.Recorded, error) { panic(errRefused.Error()) },
	} {
		t.Run("nothing passes an event whose translation is "+name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			before := b.deposit(2)
			bad := b.record(&Renamed{First: "C", Last: "D"})
			b.deposit(1)
			outbox := newOutbox()
			config := relaying()
			config.Translate = func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
				if event.Name == "Renamed" {
					return translate(event)
				}
				return event, nil
			}
			relay, stop := b.relay(outbox, config)
			b.eventually("it is in the status", func() bool {
				status, err := relay.Status(t.Context())
				require.NoError(t, err)
				return status.Failure != nil && status.Failure.EventID == bad.ID && status.Position == before[1].Position
			})
			require.Equal(t, idsOf(before), outbox.ids(messaging.DefaultTopic), "what comes before is out, once")
			stop()
			b.relay(outbox, relaying()) // cured
			requireChain(t, "0", b.published(outbox, messaging.DefaultTopic, 4))
		})
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.deposit(2)
	renamed := []eventsourced.Recorded{b.record(&Renamed{}), b.record(&Renamed{})}
	deposits = append(deposits, b.deposit(1)...)
	outbox := newOutbox()
	config := relaying()
	config.Topic = func(event eventsourced.Recorded) string { return "bank." + event.Name }
	_, stop := b.relay(outbox, config)
	requireChain(t, "0", b.published(outbox, "bank.Deposited", 3))
	requireChain(t, "0", b.published(outbox, "bank.Renamed", 2))
	require.Equal(t, idsOf(deposits), outbox.ids("bank.Deposited"))
	require.Equal(t, idsOf(renamed), outbox.ids("bank.Renamed"))
	require.Equal(t, 3, outbox.calls, "messages of one topic in a row go together")
	stop()
	b.record(&Renamed{})
	b.deposit(1)
	b.relay(outbox, config)
	requireChain(t, "0", b.published(outbox, "bank.Deposited", 4))
	requireChain(t, "0", b.published(outbox, "bank.Renamed", 3))
}

func TestRelayThatStartsAtTheHead(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	past := b.deposit(3)
	outbox := newOutbox()
	config := relaying()
	config.StartAtHead = true
	_, stop := b.relay(outbox, config)
	b.eventually("it has begun", func() bool {
		var began int
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM relay_topics`).Scan(&began))
		return began > 0
	})
	stop()
	live := b.deposit(2) // while it is off
	b.relay(outbox, config)
	messages := b.published(outbox, messaging.DefaultTopic, 2)
	require.Equal(t, idsOf(live), outbox.ids(messaging.DefaultTopic))
	requireChain(t, strconv.FormatInt(int64(past[2].Position), 10), messages) // who knows nothing has missed something
}

func TestOfTwoRelaysOnePublishes(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	outboxes := []*outbox{newOutbox(), newOutbox()}
	config := relaying()
	config.PollInterval = 5 * time.Second // a busy machine does not end the lease
	_, stopFirst := b.relay(outboxes[0], config)
	b.published(outboxes[0], messaging.DefaultTopic, len(b.deposit(1)))
	b.relay(outboxes[1], config)
	for range 20 {
		b.deposit(5)
	}
	b.published(outboxes[0], messaging.DefaultTopic, 101)
	require.Empty(t, outboxes[1].of(messaging.DefaultTopic))
	stopFirst()
	more := b.deposit(5)
	messages := append(outboxes[0].of(messaging.DefaultTopic), b.published(outboxes[1], messaging.DefaultTopic, 5)...)
	require.Equal(t, idsOf(more), outboxes[1].ids(messaging.DefaultTopic), "the other one takes over, and repeats nothing")
	requireChain(t, "0", messages)
}

func TestRelayWithoutATable(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`DROP TABLE relay_topics`)
	logger, warned := logSignal("consumer waits before it goes on")
	config := relaying()
	config.Logger = logger
	b.relay(newOutbox(), config)
	b.wait(warned, "the relay says why it waits")
}

func TestRelayConfig(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	_, err := messaging.NewRelay(b.store, b.positions, newOutbox(), messaging.RelayConfig{GroupEvents: -1, PollInterval: -1, DrainTimeout: -1})
	require.EqualError(t, err, "messaging.RelayConfig: PollInterval is negative\nmessaging.RelayConfig: DrainTimeout is negative\nmessaging.RelayConfig: GroupEvents is negative")
}
