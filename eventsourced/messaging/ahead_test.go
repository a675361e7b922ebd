package messaging_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// restore makes the log one that was restored from a backup: the events from one on
// are gone.
func (b *bank) restore(from eventsourced.Recorded) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), `DELETE FROM events WHERE tstamp >= $1`, int64(from.Position))
	require.NoError(b.t, err)
}

func isAhead(s messaging.Status) bool {
	return s.State == messaging.Ahead && s.Failure != nil && s.Failure.Error != ""
}

func isLive(s messaging.Status) bool { return s.State == messaging.Live && s.Failure == nil }

// consumer is a way through the log, to be looked at from outside.
type consumer struct {
	statuses
	seen   func() []string
	stop   func()
	resume func(context.Context) error
}

// consumers starts a consumer of each kind.
func consumers() map[string]func(*bank) consumer {
	return map[string]func(*bank) consumer{
		"a reactor": func(b *bank) consumer {
			var seen handled
			reactor, stop := b.reactor(reacting(), messaging.On(func(ctx context.Context, _ *Deposited) error { seen.note(ctx); return nil }))
			return consumer{reactor, seen.all, stop, reactor.Resume}
		},
		"a relay": func(b *bank) consumer {
			outbox := newOutbox()
			relay, stop := b.relay(outbox, relaying())
			return consumer{relay, func() []string { return outbox.ids(messaging.DefaultTopic) }, stop, relay.Resume}
		},
		"a subscription": func(b *bank) consumer {
			subscriber := b.subscriber(grouped("g"))
			messages := b.subscribe(subscriber, "Deposited")
			var seen handled
			go func() {
				for msg := range messages {
					seen.note(msg.Context())
					msg.Ack()
				}
			}()
			return consumer{one{subscriber}, seen.all, func() { require.NoError(b.t, subscriber.Close()) }, subscriber.Resume}
		},
	}
}

func TestAheadOfTheLog(t *testing.T) {
	t.Parallel()
	for name, start := range consumers() {
		t.Run(name+" notices it while it runs, and handles nothing on top", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.deposit(3)
			c := start(b)
			b.becomes(c, "all is handled", func(s messaging.Status) bool { return isLive(s) && s.Position == events[2].Position })
			b.restore(events[1])
			status := b.becomes(c, "it notices", isAhead)
			require.Contains(t, status.Failure.Error, "ahead of the log: position ")
			require.Contains(t, status.Failure.Error, "then resume")
			b.deposit(2) // the log grows past the position
			b.becomes(c, "it is ahead still", func(s messaging.Status) bool { return isAhead(s) && s.Behind == 2 && s.Node != "" })
			c.stop()
			require.Len(t, c.seen(), 3)
		})
		t.Run(name+" notices it at the start", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.deposit(3)
			c := start(b)
			b.becomes(c, "all is handled", func(s messaging.Status) bool { return isLive(s) && s.Position == events[2].Position })
			c.stop()
			b.restore(events[1])
			if _, subscription := c.statuses.(one); !subscription {
				b.becomes(c, "the status tells without any node", func(s messaging.Status) bool { return isAhead(s) && s.Node == "" })
			}
			all, err := b.positions.Status(t.Context(), b.store)
			require.NoError(t, err)
			require.Equal(t, messaging.Ahead, all[0].State)
			c = start(b)
			b.becomes(c, "it notices", func(s messaging.Status) bool { return isAhead(s) && s.Node != "" && s.Failure.Attempts > 0 })
			more := b.deposit(2)
			c.stop()
			c = start(b)
			b.becomes(c, "a restart changes nothing", func(s messaging.Status) bool { return isAhead(s) && s.Node != "" })
			require.Empty(t, c.seen())
			require.NoError(t, c.resume(t.Context()))
			b.becomes(c, "it goes on when it is told to", isLive)
			b.eventually("from where it was", func() bool { return len(c.seen()) == 2 })
			require.Equal(t, idsOf(more), c.seen())
		})
		t.Run(name+" goes on from a position that somebody sets", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.deposit(3)
			b.restore(events[2])
			c := start(b)
			b.becomes(c, "it runs", func(s messaging.Status) bool { return isLive(s) && s.Position == events[1].Position })
			_, err := b.pool.Exec(t.Context(), `UPDATE consumers SET position = $1`, int64(events[2].Position)+1)
			require.NoError(t, err)
			b.becomes(c, "it notices", func(s messaging.Status) bool { return isAhead(s) && s.Failure.Attempts > 0 })
			_, err = b.pool.Exec(t.Context(), `UPDATE consumers SET position = $1`, int64(events[0].Position))
			require.NoError(t, err)
			b.becomes(c, "it goes on", isLive)
			b.eventually("with what comes next", func() bool { return len(c.seen()) == 3 })
			require.Equal(t, []string{events[0].ID.String(), events[1].ID.String(), events[1].ID.String()}, c.seen())
		})
	}
}

func TestAnswersTellWhereTheRelayIs(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	outbox := newOutbox()
	config := relaying()
	logger, logged := logSignal("a consumer knows more than was published: was the log or the relay's position restored from a backup?")
	config.Logger = logger
	ask := b.replays(outbox, config)
	head := func(topic string) eventsourced.Position {
		b.eventually("the answer", func() bool { return len(outbox.of(topic)) > 0 })
		page, err := messaging.UnmarshalPage(outbox.of(topic)[0])
		require.NoError(t, err)
		return page.Head
	}
	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, After: 5, ReplyTo: "of an empty log"})
	require.EqualValues(t, 1, head("of an empty log"), "below what any consumer of an event knows, and not unknown")
	events := b.deposit(3)
	b.published(outbox, messaging.DefaultTopic, 3)
	page, err := messaging.UnmarshalPage(outbox.of(messaging.DefaultTopic)[0])
	require.NoError(t, err)
	require.Zero(t, page.Head, "a live message does not tell")
	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, ReplyTo: "all"})
	b.eventually("it is there", func() bool { return len(outbox.of("all")) > 0 })
	require.Equal(t, events[2].Position, head("all"))
	ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, After: events[2].Position + 1, ReplyTo: "ahead"})
	require.Equal(t, events[2].Position, head("ahead"))
	b.wait(logged, "the relay logs it")
}

// small is a bank whose pool has one connection.
func small(t *testing.T) *bank {
	t.Helper()
	db := testdb.New(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), messaging.Migrations()))
	store := pgstore.New(db.Pool, registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	return &bank{t: t, db: db, pool: db.Pool, store: store, positions: messaging.NewPositions(db.Pool)}
}

// Nothing that is called has to do without a connection because one is reading.
func TestOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	query := func(ctx context.Context, b *bank) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return b.pool.Ping(ctx)
	}
	t.Run("for the reaction to a parked event", func(t *testing.T) {
		t.Parallel()
		b := small(t)
		b.deposit(2)
		config := reacting()
		config.OnFailure, config.PollInterval = messaging.ParkFailures, 5*time.Second
		calls, queries := 0, 0
		reactor, stop := b.reactor(config, messaging.On(func(ctx context.Context, _ *Deposited) error {
			if calls++; calls <= 2*config.Attempts {
				return errBroken
			}
			queries++
			return query(ctx, b)
		}))
		b.eventually("both are parked", func() bool { return b.statusOf(reactor).Parked == 2 })
		require.NoError(t, reactor.Resume(t.Context()))
		b.eventually("both are done", func() bool { return b.statusOf(reactor).Parked == 0 })
		stop()
		require.Equal(t, 2, queries, "at the first attempt")
	})
	t.Run("for Translate, live and in history", func(t *testing.T) {
		t.Parallel()
		b := small(t)
		deposits := b.deposit(3)
		config := relaying()
		config.PollInterval = 5 * time.Second
		config.Translate = func(event eventsourced.Recorded) (eventsourced.Recorded, error) {
			return event, query(context.Background(), b)
		}
		outbox := newOutbox()
		ask := b.replays(outbox, config)
		b.published(outbox, messaging.DefaultTopic, 3)
		ask(messaging.ReplayRequest{Topic: messaging.DefaultTopic, ReplyTo: "all"})
		ids, _ := b.history(outbox, "all", 0)
		require.Equal(t, idsOf(deposits), ids)
	})
}

// A relay that was cut off while it published saves nothing: the next one has the
// position, and what it sent.
func TestRelayWhoseLeaseIsGoneSavesNothing(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(2)
	config := relaying()
	config.GroupEvents, config.PollInterval = 1, 30*time.Second
	outbox := newOutbox()
	publishing, taken := make(chan struct{}), make(chan struct{})
	relay, err := messaging.NewRelay(b.store, b.positions, outbox, config)
	require.NoError(t, err)
	first := true
	messaging.SetRelayFailpoint(relay, func(point string) {
		if point == "published" && first {
			first = false
			close(publishing)
			<-taken
		}
	})
	stop := b.run(relay.Run)
	b.wait(publishing, "the first one is out")
	b.exec(`UPDATE consumers SET node = 'heir/1', lease_until = clock_timestamp() + interval '1 hour', lease_length = interval '1 hour'`)
	rows := func() (rows int, position int64) {
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM relay_topics WHERE topic = 'events'), position FROM consumers`).Scan(&rows, &position))
		return rows, position
	}
	close(taken)
	b.eventually("it notices", func() bool {
		status, err := relay.Status(t.Context())
		require.NoError(t, err)
		return status.Node == "heir"
	})
	stop()
	topics, position := rows()
	require.Zero(t, topics)
	require.Zero(t, position)
	require.Equal(t, idsOf(events[:1]), outbox.ids(messaging.DefaultTopic))
}
