package messaging_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// statuses is a relay or a reactor.
type statuses interface {
	Status(ctx context.Context) (messaging.Status, error)
}

// becomes waits until the status is as wanted, for two seconds, as promised, and a bit
// for a busy machine.
func (b *bank) becomes(of statuses, what string, want func(messaging.Status) bool) (status messaging.Status) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		var err error
		status, err = of.Status(b.t.Context())
		return err == nil && want(status)
	}, 15*time.Second, 5*time.Millisecond, what)
	return status
}

// retrying tells that a status is that of a failure with an error, about an event
// unless that is zero.
func retrying(event eventsourced.Recorded, text string) func(messaging.Status) bool {
	return func(s messaging.Status) bool {
		return s.State == messaging.Retrying && s.Failure != nil && s.Failure.EventID == event.ID && s.Failure.Position == event.Position &&
			strings.Contains(s.Failure.Error, text) && s.Failure.Attempts > 0 && !s.Failure.Since.IsZero() && !s.Failure.Time.Before(s.Failure.Since)
	}
}

// another is how a process sees the reactor that runs none of it.
func (b *bank) another() *messaging.Reactor {
	b.t.Helper()
	reactor, err := messaging.NewReactor(b.store, messaging.NewPositions(b.pool), reacting(), messaging.On(func(context.Context, *Deposited) error { return nil }))
	require.NoError(b.t, err)
	return reactor
}

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

// refuse makes updates of the table consumers fail, or those of one column.
func (b *bank) refuse(of string) (allow func()) {
	b.t.Helper()
	b.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$`)
	b.exec(`CREATE TRIGGER refuse BEFORE UPDATE ` + of + ` ON consumers FOR EACH ROW EXECUTE FUNCTION refuse()`)
	return func() { b.exec(`DROP TRIGGER refuse ON consumers`) }
}

func TestWhatKeepsAReactorIsOnRecord(t *testing.T) {
	t.Parallel()
	t.Run("a reaction that fails, while it is tried again", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposit(1)[0]
		config := reacting()
		config.Attempts = 1_000_000
		var cured atomic.Bool
		reactor, stop := b.reactor(config, messaging.On(func(context.Context, *Deposited) error {
			if cured.Load() {
				return nil
			}
			return errBroken
		}))
		first := b.becomes(reactor, "here", retrying(event, "broken"))
		seen := b.becomes(b.another(), "elsewhere", retrying(event, "broken"))
		require.WithinDuration(t, first.Failure.Since, seen.Failure.Since, 5*time.Second)
		b.becomes(b.another(), "tries are counted", func(s messaging.Status) bool { return s.Failure.Attempts > seen.Failure.Attempts })
		stop()
		_, stop = b.reactor(config, messaging.On(func(context.Context, *Deposited) error { return errBroken }))
		restarted := b.becomes(b.another(), "a restart does not forget since when", func(s messaging.Status) bool {
			return retrying(event, "broken")(s) && s.Failure.Time.After(seen.Failure.Time)
		})
		require.True(t, seen.Failure.Since.Equal(restarted.Failure.Since))
		stop()
		cured.Store(true)
		b.reactor(config, messaging.On(func(context.Context, *Deposited) error { return nil }))
		b.becomes(b.another(), "it is forgotten", func(s messaging.Status) bool { return s.State == messaging.Live && s.Failure == nil })
	})
	t.Run("a log that can't be read", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		log := &brokenLog{Log: b.store}
		log.broken.Store(true)
		reactor, err := messaging.NewReactor(log, b.positions, reacting(), messaging.On(func(context.Context, *Deposited) error { return nil }))
		require.NoError(t, err)
		b.deposit(1)
		b.run(reactor.Run)
		status := b.becomes(reactor, "it says so", retrying(eventsourced.Recorded{}, "read the log: the disk is gone"))
		require.EqualValues(t, -1, status.Behind)
		b.becomes(b.another(), "elsewhere", retrying(eventsourced.Recorded{}, "read the log: the disk is gone"))
		log.broken.Store(false)
		b.becomes(reactor, "it gets on", func(s messaging.Status) bool { return s.State == messaging.Live && s.Failure == nil && s.Behind == 0 })
	})
	t.Run("a position that can't be saved", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		reactor, _ := b.reactor(reacting(), messaging.On(func(context.Context, *Deposited) error { return nil }))
		b.becomes(reactor, "it runs", func(s messaging.Status) bool { return s.State == messaging.Live })
		allow := b.refuse("OF position")
		b.deposit(1)
		b.becomes(reactor, "here", retrying(eventsourced.Recorded{}, "the disk is full"))
		b.becomes(b.another(), "elsewhere", retrying(eventsourced.Recorded{}, "the disk is full"))
		allow()
		b.becomes(reactor, "it gets on", func(s messaging.Status) bool { return s.State == messaging.Live && s.Failure == nil })
	})
	t.Run("a table that can't be written, in the process that runs it", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		reactor, _ := b.reactor(reacting(), messaging.On(func(context.Context, *Deposited) error { return nil }))
		b.becomes(reactor, "it runs", func(s messaging.Status) bool { return s.State == messaging.Live })
		allow := b.refuse("")
		b.becomes(reactor, "also without an event", retrying(eventsourced.Recorded{}, "the disk is full"))
		event := b.deposit(1)[0]
		allow()
		b.becomes(reactor, "it gets on", func(s messaging.Status) bool {
			return s.State == messaging.Live && s.Failure == nil && s.Position >= event.Position
		})
	})
	t.Run("an event that can't be decoded", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.recordOld(`{"Name": "panic"}`)
		config := reacting()
		config.Attempts = 1_000_000
		reactor, _ := b.reactor(config, messaging.On(func(context.Context, *Renamed) error { return nil }))
		b.becomes(reactor, "it says so", retrying(event, "an upcaster's panic"))
	})
}

func TestWhatKeepsARelayIsOnRecord(t *testing.T) {
	t.Parallel()
	t.Run("a broker that is down", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposit(2)[0]
		outbox := newOutbox()
		outbox.refuse = func(string, []*message.Message) error { return errRefused }
		relay, _ := b.relay(outbox, relaying())
		b.becomes(relay, "with the first event", retrying(event, "publish to events: refused"))
		b.becomes(relay, "tries are counted", func(s messaging.Status) bool { return s.Failure.Attempts > 2 })
	})
	t.Run("a session that can't begin", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(`DROP TABLE relay_topics`)
		relay, _ := b.relay(newOutbox(), relaying())
		b.becomes(relay, "it says so", retrying(eventsourced.Recorded{}, "relay_topics"))
	})
	t.Run("an event without a topic", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposit(1)[0]
		config := relaying()
		config.Topic = func(eventsourced.Recorded) string { return "" }
		relay, _ := b.relay(newOutbox(), config)
		b.becomes(relay, "it does not stay inside", retrying(event, "it has no topic"))
	})
	t.Run("requests that can't be subscribed to", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		config := relaying()
		requests := &noRequests{}
		requests.fails.Store(true)
		config.Requests = requests
		outbox := newOutbox()
		relay, _ := b.relay(outbox, config)
		b.becomes(relay, "it says so", retrying(eventsourced.Recorded{}, "receive requests for history from relay.requests: no requests"))
		b.deposit(1)
		b.published(outbox, messaging.DefaultTopic, 1) // all the same
		requests.problem.Store(true)
		requests.fails.Store(false)
		status := b.becomes(relay, "a subscriber that tells", retrying(eventsourced.Recorded{}, "receive requests for history from relay.requests: a problem"))
		require.Equal(t, 7, status.Failure.Attempts)
		requests.problem.Store(false)
		b.becomes(relay, "it is mended", func(s messaging.Status) bool { return s.State == messaging.Live && s.Failure == nil })
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
			event := b.deposit(1)[0]
			config := relaying()
			config.Translate = translate
			if translate == nil {
				config.Topic = func(eventsourced.Recorded) string {
					runtime.Goexit()
					return ""
				}
			}
			relay, _ := b.relay(newOutbox(), config)
			b.becomes(relay, "it says so", retrying(event, "runtime.Goexit"))
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
		return &messaging.ProblemError{Err: errors.New("a problem"), Since: time.Now().Add(-time.Minute), Attempts: 7}
	}
	return nil
}

// one is the only subscription of a subscriber.
type one struct{ *messaging.Subscriber }

func (o one) Status(ctx context.Context) (messaging.Status, error) {
	all, err := o.Subscriber.Status(ctx)
	if len(all) != 1 {
		return messaging.Status{}, errors.Join(err, errors.New("there is not one subscription"))
	}
	return all[0], err
}

func TestWhatKeepsASubscriptionIsOnRecord(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]string{"with a group": "g", "without one": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := append(b.deposit(1), b.recordOld(`{"Name": 1}`))
			subscriber := b.subscriber(grouped(group))
			messages := b.subscribe(subscriber, messaging.AllEvents)
			b.receive(messages, events[0]).Nack()
			status := b.becomes(one{subscriber}, "a message that was nacked", retrying(events[0], "the message was nacked"))
			require.Equal(t, messaging.KindSubscriber, status.Kind)
			require.Equal(t, messaging.AllEvents, status.Topic)
			b.receive(messages, events[0]).Ack()
			b.becomes(one{subscriber}, "an event that can't be made one", retrying(events[1], "cannot unmarshal"))
			b.exec(`UPDATE events SET payload = '{"Name": "Jo"}' WHERE name = 'Renamed'`)
			b.receive(messages, events[1]).Ack()
			b.becomes(one{subscriber}, "it gets on", func(s messaging.Status) bool {
				return s.State == messaging.Live && s.Failure == nil && s.Position == events[1].Position
			})
		})
	}
}

// What a node has left that died does not read as if it went on trying.
func TestFailureOfADeadNode(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`INSERT INTO consumers (name, topic, node, error, since, attempts) VALUES ('r', '$reactor', 'dead/1', 'broken', now(), 3)`)
	for _, test := range []struct {
		says, tried, until, length string
		want                       messaging.State
		node                       string
	}{
		{"tried a moment ago", "1 second", "-1 second", "1 second", messaging.Retrying, ""},
		{"tried long ago", "1 hour", "-1 hour", "1 second", messaging.Standby, ""},
		{"tried in the future, as a clock went back", "-1 year", "-1 hour", "1 second", messaging.Standby, ""},
		{"a lease of the future", "1 hour", "1 year", "1 second", messaging.Standby, ""},
		{"a lease", "1 hour", "1 minute", "1 minute", messaging.Retrying, "dead"},
	} {
		_, err := b.pool.Exec(t.Context(), `UPDATE consumers SET tried_at = clock_timestamp() - $1::interval, lease_until = clock_timestamp() + $2::interval, lease_length = $3::interval`,
			test.tried, test.until, test.length)
		require.NoError(t, err)
		status := b.statusOf(b.another())
		require.Equal(t, test.want, status.State, test.says)
		require.Equal(t, test.node, status.Node, test.says)
		require.Equal(t, "broken", status.Failure.Error, test.says)
		require.Equal(t, 3, status.Failure.Attempts)
		all, err := b.positions.Status(t.Context(), b.store)
		require.NoError(t, err)
		require.Equal(t, []messaging.Status{status}, all)
	}
}

func TestClockThatWentBack(t *testing.T) {
	t.Parallel()
	t.Run("a lease that lies in the future is none", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		for _, topic := range []string{"$reactor", "$relay"} {
			_, err := b.pool.Exec(t.Context(), `INSERT INTO consumers (name, topic, node, lease_until, lease_length)
				VALUES ('r', $1, 'dead/1', clock_timestamp() + interval '1 year', interval '800 ms')`, topic)
			require.NoError(t, err)
		}
		events := b.deposit(1)
		var seen handled
		b.reactor(reacting(), messaging.On(func(ctx context.Context, _ *Deposited) error { seen.note(ctx); return nil }))
		config := relaying()
		config.Name = "r"
		outbox := newOutbox()
		b.relay(outbox, config)
		b.published(outbox, messaging.DefaultTopic, 1)
		b.eventually("it is handled", func() bool { return len(seen.all()) == 1 })
		b.exec(`UPDATE consumers SET lease_until = clock_timestamp() + interval '1 year'`) // while it runs
		events = append(events, b.deposit(1)...)
		b.eventually("it goes on", func() bool { return len(seen.all()) == 2 })
		require.Equal(t, idsOf(events), seen.all())
	})
	t.Run("what waits for it does not look live", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		_, err := b.pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
			VALUES ((extract(epoch FROM now() + interval '1 year') * 1000000)::bigint, gen_random_uuid(), 'Deposited', 'bank.Account', 'a', 1, now() - interval '5 s', '{}')`)
		require.NoError(t, err)
		_, err = b.positions.Acquire(t.Context(), messaging.Consumer{Group: "r", Topic: "$reactor"}, "busy/1", time.Hour)
		require.NoError(t, err)
		status := b.statusOf(b.another())
		require.Equal(t, messaging.CatchingUp, status.State)
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
	config := b.pool.Config()
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
	var seen handled
	reactor, err := messaging.NewReactor(b.store, messaging.NewPositions(pool), reacting(), messaging.On(func(ctx context.Context, _ *Deposited) error {
		seen.note(ctx)
		return nil
	}))
	require.NoError(t, err)
	b.deposit(1)
	b.run(reactor.Run)
	b.becomes(reactor, "it says so", retrying(eventsourced.Recorded{}, "read-only"))
	replica.Store(false)
	b.eventually("it connects anew", func() bool { return len(seen.all()) == 1 })
}
