package consumer_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// brokenLog can't be read while it is broken.
type brokenLog struct {
	eventsourced.Log
	broken atomic.Bool
}

var errUnreadable = errors.New("the disk is gone")

func (l *brokenLog) ReadLog(ctx context.Context, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	if l.broken.Load() {
		return func(yield func(eventsourced.Recorded, error) bool) { yield(eventsourced.Recorded{}, errUnreadable) }
	}
	return l.Log.ReadLog(ctx, query)
}

func TestWhatKeepsAReactorIsOnRecord(t *testing.T) {
	t.Parallel()
	t.Run("a reaction that fails, while it is tried again", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(1)[0]
		config := consumertest.Reacting()
		config.Attempts = 1_000_000
		var cured atomic.Bool
		it, stop := b.Reactor(config, reactor.On(func(context.Context, *consumertest.Deposited) error {
			if cured.Load() {
				return nil
			}
			return consumertest.ErrBroken
		}))
		first := b.Becomes(it, "here", consumertest.Retrying(event, "broken"))
		seen := b.Becomes(b.Another(), "elsewhere", consumertest.Retrying(event, "broken"))
		require.WithinDuration(t, first.Failure.Since, seen.Failure.Since, 5*time.Second)
		b.Becomes(b.Another(), "tries are counted", func(s consumer.Status) bool { return s.Failure.Attempts > seen.Failure.Attempts })
		stop()
		_, stop = b.Reactor(config, reactor.On(func(context.Context, *consumertest.Deposited) error { return consumertest.ErrBroken }))
		restarted := b.Becomes(b.Another(), "a restart does not forget since when", func(s consumer.Status) bool {
			return consumertest.Retrying(event, "broken")(s) && s.Failure.Time.After(seen.Failure.Time)
		})
		require.True(t, seen.Failure.Since.Equal(restarted.Failure.Since))
		stop()
		cured.Store(true)
		b.Reactor(config, reactor.On(func(context.Context, *consumertest.Deposited) error { return nil }))
		b.Becomes(b.Another(), "it is forgotten", func(s consumer.Status) bool { return s.State == consumer.Live && s.Failure == nil })
	})
	t.Run("a log that can't be read", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		log := &brokenLog{Log: b.Store}
		log.broken.Store(true)
		it, err := reactor.New(log, b.Pool, consumertest.Reacting(), reactor.On(func(context.Context, *consumertest.Deposited) error { return nil }))
		require.NoError(t, err)
		b.Deposit(1)
		b.Run(it.Run)
		status := b.Becomes(it, "it says so", consumertest.Retrying(eventsourced.Recorded{}, "read the log: the disk is gone"))
		require.EqualValues(t, -1, status.Behind)
		b.Becomes(b.Another(), "elsewhere", consumertest.Retrying(eventsourced.Recorded{}, "read the log: the disk is gone"))
		log.broken.Store(false)
		b.Becomes(it, "it gets on", func(s consumer.Status) bool { return s.State == consumer.Live && s.Failure == nil && s.Behind == 0 })
	})
	t.Run("a position that can't be saved", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		it, _ := b.Reactor(consumertest.Reacting(), reactor.On(func(context.Context, *consumertest.Deposited) error { return nil }))
		b.Becomes(it, "it runs", func(s consumer.Status) bool { return s.State == consumer.Live })
		allow := b.Refuse("OF position")
		b.Deposit(1)
		b.Becomes(it, "here", consumertest.Retrying(eventsourced.Recorded{}, "the disk is full"))
		b.Becomes(b.Another(), "elsewhere", consumertest.Retrying(eventsourced.Recorded{}, "the disk is full"))
		allow()
		b.Becomes(it, "it gets on", func(s consumer.Status) bool { return s.State == consumer.Live && s.Failure == nil })
	})
	t.Run("a table that can't be written, in the process that runs it", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		it, _ := b.Reactor(consumertest.Reacting(), reactor.On(func(context.Context, *consumertest.Deposited) error { return nil }))
		b.Becomes(it, "it runs", func(s consumer.Status) bool { return s.State == consumer.Live })
		allow := b.Refuse("")
		b.Becomes(it, "also without an event", consumertest.Retrying(eventsourced.Recorded{}, "the disk is full"))
		event := b.Deposit(1)[0]
		allow()
		b.Becomes(it, "it gets on", func(s consumer.Status) bool {
			return s.State == consumer.Live && s.Failure == nil && s.Position >= event.Position
		})
	})
	t.Run("an event that can't be decoded", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.RecordOld(`{"Name": "panic"}`)
		config := consumertest.Reacting()
		config.Attempts = 1_000_000
		it, _ := b.Reactor(config, reactor.On(func(context.Context, *consumertest.Renamed) error { return nil }))
		b.Becomes(it, "it says so", consumertest.Retrying(event, "an upcaster's panic"))
	})
}

func TestWhatKeepsARelayIsOnRecord(t *testing.T) {
	t.Parallel()
	t.Run("a broker that is down", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(2)[0]
		outbox := consumertest.NewOutbox()
		outbox.Refuse = func(string, []*message.Message) error { return consumertest.ErrRefused }
		it, _ := b.Relay(outbox, consumertest.Relaying())
		b.Becomes(it, "with the first event", consumertest.Retrying(event, "publish to events: refused"))
		b.Becomes(it, "tries are counted", func(s consumer.Status) bool { return s.Failure.Attempts > 2 })
	})
	t.Run("a session that can't begin", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.Exec(`DROP TABLE relay_topics`)
		it, _ := b.Relay(consumertest.NewOutbox(), consumertest.Relaying())
		b.Becomes(it, "it says so", consumertest.Retrying(eventsourced.Recorded{}, "relay_topics"))
	})
	t.Run("an event without a topic", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.Deposit(1)[0]
		config := consumertest.Relaying()
		config.Topic = func(eventsourced.Recorded) string { return "" }
		it, _ := b.Relay(consumertest.NewOutbox(), config)
		b.Becomes(it, "it does not stay inside", consumertest.Retrying(event, "it has no topic"))
	})
	t.Run("requests that can't be subscribed to", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		config := consumertest.Relaying()
		requests := &noRequests{}
		requests.fails.Store(true)
		config.Requests = requests
		outbox := consumertest.NewOutbox()
		it, _ := b.Relay(outbox, config)
		b.Becomes(it, "it says so", consumertest.Retrying(eventsourced.Recorded{}, "receive requests for history from relay.requests: no requests"))
		b.Deposit(1)
		b.Published(outbox, relay.DefaultTopic, 1) // all the same
		requests.problem.Store(true)
		requests.fails.Store(false)
		status := b.Becomes(it, "a subscriber that tells", consumertest.Retrying(eventsourced.Recorded{}, "receive requests for history from relay.requests: a problem"))
		require.Equal(t, 7, status.Failure.Attempts)
		requests.problem.Store(false)
		b.Becomes(it, "it is mended", func(s consumer.Status) bool { return s.State == consumer.Live && s.Failure == nil })
	})
	for name, translate := range map[string]func(eventsourced.Recorded) (eventsourced.Recorded, error){
		"Translate": func(eventsourced.Recorded) (eventsourced.Recorded, error) {
			runtime.Goexit()
			return eventsourced.Recorded{}, nil
		},
		"Topic": nil,
	} {
		t.Run("a "+name+" that ends its goroutine", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			event := b.Deposit(1)[0]
			config := consumertest.Relaying()
			config.Translate = translate
			if translate == nil {
				config.Topic = func(eventsourced.Recorded) string {
					runtime.Goexit()
					return ""
				}
			}
			it, _ := b.Relay(consumertest.NewOutbox(), config)
			b.Becomes(it, "it says so", consumertest.Retrying(event, "runtime.Goexit"))
		})
	}
}

// noRequests is a subscriber that does not work, or tells of a problem.
type noRequests struct{ fails, problem atomic.Bool }

func (r *noRequests) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	if r.fails.Load() {
		return nil, errors.New("no requests")
	}
	messages := make(chan *message.Message)
	context.AfterFunc(ctx, func() { close(messages) })
	return messages, nil
}

func (r *noRequests) Close() error { return nil }

func (r *noRequests) Problem() error {
	if r.problem.Load() {
		return &consumer.ProblemError{Err: errors.New("a problem"), Since: time.Now().Add(-time.Minute), Attempts: 7}
	}
	return nil
}

func TestWhatKeepsASubscriptionIsOnRecord(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]string{"with a group": "g", "without one": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := append(b.Deposit(1), b.RecordOld(`{"Name": 1}`))
			subscriber := b.Subscriber(consumertest.Grouped(group))
			messages := b.Subscribe(subscriber, messaging.AllEvents)
			b.Receive(messages, events[0]).Nack()
			status := b.Becomes(consumertest.One{Subscriber: subscriber}, "a message that was nacked", consumertest.Retrying(events[0], "the message was nacked"))
			require.Equal(t, consumer.KindSubscriber, status.Kind)
			require.Equal(t, messaging.AllEvents, status.Topic)
			b.Receive(messages, events[0]).Ack()
			b.Becomes(consumertest.One{Subscriber: subscriber}, "an event that can't be made one", consumertest.Retrying(events[1], "cannot unmarshal"))
			b.Exec(`UPDATE events SET payload = '{"Name": "Jo"}' WHERE name = 'Renamed'`)
			b.Receive(messages, events[1]).Ack()
			b.Becomes(consumertest.One{Subscriber: subscriber}, "it gets on", func(s consumer.Status) bool {
				return s.State == consumer.Live && s.Failure == nil && s.Position == events[1].Position
			})
		})
	}
}

// What a node has left that died does not read as if it went on trying.
func TestFailureOfADeadNode(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.Exec(`INSERT INTO consumers (name, topic, node, error, since, attempts) VALUES ('r', '$reactor', 'dead/1', 'broken', now(), 3)`)
	for _, test := range []struct {
		says, tried, until, length string
		want                       consumer.State
		node                       string
	}{
		{"tried a moment ago", "1 second", "-1 second", "1 second", consumer.Retrying, ""},
		{"tried long ago", "1 hour", "-1 hour", "1 second", consumer.Standby, ""},
		{"tried in the future, as a clock went back", "-1 year", "-1 hour", "1 second", consumer.Standby, ""},
		{"a lease of the future", "1 hour", "1 year", "1 second", consumer.Standby, ""},
		{"a lease", "1 hour", "1 minute", "1 minute", consumer.Retrying, "dead"},
	} {
		_, err := b.Pool.Exec(t.Context(), `UPDATE consumers SET tried_at = clock_timestamp() - $1::interval, lease_until = clock_timestamp() + $2::interval, lease_length = $3::interval`,
			test.tried, test.until, test.length)
		require.NoError(t, err)
		status := b.StatusOf(b.Another())
		require.Equal(t, test.want, status.State, test.says)
		require.Equal(t, test.node, status.Node, test.says)
		require.Equal(t, "broken", status.Failure.Error, test.says)
		require.Equal(t, 3, status.Failure.Attempts)
		all, err := b.Consumers.Status(t.Context(), b.Store)
		require.NoError(t, err)
		require.Equal(t, []consumer.Status{status}, all)
	}
}

func TestClockThatWentBack(t *testing.T) {
	t.Parallel()
	t.Run("a lease that lies in the future is none", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		for _, topic := range []string{"$reactor", "$relay"} {
			_, err := b.Pool.Exec(t.Context(), `INSERT INTO consumers (name, topic, node, lease_until, lease_length)
				VALUES ('r', $1, 'dead/1', clock_timestamp() + interval '1 year', interval '800 ms')`, topic)
			require.NoError(t, err)
		}
		events := b.Deposit(1)
		var seen consumertest.Handled
		b.Reactor(consumertest.Reacting(), reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error { seen.Note(ctx); return nil }))
		config := consumertest.Relaying()
		config.Name = "r"
		outbox := consumertest.NewOutbox()
		b.Relay(outbox, config)
		b.Published(outbox, relay.DefaultTopic, 1)
		b.Eventually("it is handled", func() bool { return len(seen.All()) == 1 })
		b.Exec(`UPDATE consumers SET lease_until = clock_timestamp() + interval '1 year'`) // while it runs
		events = append(events, b.Deposit(1)...)
		b.Eventually("it goes on", func() bool { return len(seen.All()) == 2 })
		require.Equal(t, consumertest.IDsOf(events), seen.All())
	})
	t.Run("what waits for it does not look live", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		_, err := b.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
			VALUES ((extract(epoch FROM now() + interval '1 year') * 1000000)::bigint, gen_random_uuid(), 'Deposited', 'bank.Account', 'a', 1, now() - interval '5 s', '{}')`)
		require.NoError(t, err)
		_, err = b.Consumers.Acquire(t.Context(), consumer.ID{Kind: consumer.KindReactor, Name: "r"}, "busy/1", time.Hour)
		require.NoError(t, err)
		status := b.StatusOf(b.Another())
		require.Equal(t, consumer.CatchingUp, status.State)
		require.Greater(t, status.Lag, 4*time.Second)
		require.EqualValues(t, 1, status.Behind)
	})
}

// A pool keeps connections to a server that takes no writes any more.
func TestReadOnlyConnectionsAreGivenUp(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var replica atomic.Bool
	replica.Store(true)
	config := b.Pool.Config()
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if !replica.Load() {
			return nil
		}
		_, err := conn.Exec(ctx, `SET default_transaction_read_only = on`)
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	held, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	require.NoError(t, pool.Ping(t.Context()))
	held.Release()
	var seen consumertest.Handled
	it, err := reactor.New(b.Store, pool, consumertest.Reacting(), reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
		seen.Note(ctx)
		return nil
	}))
	require.NoError(t, err)
	b.Deposit(1)
	b.Run(it.Run)
	b.Becomes(it, "it says so", consumertest.Retrying(eventsourced.Recorded{}, "read-only"))
	replica.Store(false)
	b.Eventually("it connects anew", func() bool { return len(seen.All()) == 1 })
}
