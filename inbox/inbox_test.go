package inbox_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/inbox"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
	"github.com/dancefinder/eventsourcing/readview"
)

func live(s consumer.Status) bool { return consumertest.IsLive(s) && s.Behind == 0 }

func TestInbox(t *testing.T) {
	t.Parallel()
	t.Run("a context that joins late reacts to all, once and in order, and goes on", func(t *testing.T) {
		t.Parallel()
		c := newContexts(t)
		events := c.bank.Deposit(20)
		c.bank.Record(&consumertest.Renamed{})
		c.relay()
		it, stop := c.inbox(consumertest.Reacting(), copier(c.office.Store))
		c.office.Eventually("history is handled", func() bool { return len(c.copied()) == 20 })
		events = append(events, c.bank.Deposit(3)...)
		c.office.Eventually("what comes live as well", func() bool { return len(c.copied()) == 23 })
		c.office.Becomes(it, "it is live", func(s consumer.Status) bool { return live(s) && s.Position >= events[22].Position })
		stop()
		events = append(events, c.bank.Deposit(3)...)
		it, _ = c.inbox(consumertest.Reacting(), copier(c.office.Store))
		c.office.Eventually("and what came while it was off", func() bool { return len(c.copied()) == 26 })
		require.Equal(t, consumertest.IDsOf(events), c.copied())
		c.office.Eventually("what is handled does not stay", func() bool { return c.waiting() == 0 })

		require.NoError(t, it.Reset(t.Context()))
		events = append(events, c.bank.Deposit(1)...)
		c.office.Eventually("it goes on after a reset", func() bool { return len(c.copied()) == 27 })
		c.office.Becomes(it, "it is live", func(s consumer.Status) bool { return live(s) && s.Position >= events[26].Position })
		require.Equal(t, consumertest.IDsOf(events), c.copied(), "nothing is handled again")
	})
	t.Run("parking by stream, as at home, also for what is long gone there", func(t *testing.T) {
		t.Parallel()
		c := newContexts(t)
		c.relay()
		var ill atomic.Bool
		ill.Store(true)
		var seen consumertest.Handled
		config := consumertest.Reacting()
		config.OnFailure, config.Concurrency = reactor.ParkFailures, 3
		it, _ := c.inbox(config, reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
			if eventsourced.FromContext(ctx).Stream.AggregateID == "bad" && ill.Load() {
				return consumertest.ErrBroken
			}
			seen.Note(ctx)
			return nil
		}))
		var bad, good []eventsourced.Recorded
		for range 3 {
			bad = append(bad, c.bank.RecordFor("bad", &consumertest.Deposited{Amount: 1}))
			good = append(good, c.bank.RecordFor("good", &consumertest.Deposited{Amount: 1}))
		}
		c.office.Becomes(it, "one stream is parked", func(s consumer.Status) bool { return live(s) && s.Parked == 3 })
		c.office.Eventually("only that stays", func() bool { return c.waiting() == 3 })
		require.Equal(t, consumertest.IDsOf(good), seen.All())
		ill.Store(false)
		require.NoError(t, it.ResumeStream(t.Context(), eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "bad"}))
		c.office.Becomes(it, "it is done", func(s consumer.Status) bool { return live(s) && s.Parked == 0 })
		require.Equal(t, append(consumertest.IDsOf(good), consumertest.IDsOf(bad)...), seen.All())
	})
	t.Run("the status of the table consumers is about what it has received, not about its own log", func(t *testing.T) {
		t.Parallel()
		c := newContexts(t)
		c.office.Deposit(3) // its log is older than the other one's
		c.relay()
		var healed atomic.Bool
		config := consumertest.Reacting()
		config.RetryFor, config.MaxDelay = time.Hour, 10*time.Millisecond
		it, _ := c.inbox(config, reactor.On(func(context.Context, *consumertest.Deposited) error {
			if !healed.Load() {
				return consumertest.ErrBroken
			}
			return nil
		}))
		last := c.bank.Deposit(4)[3].Position
		var status consumer.Status
		stored := func() consumer.Status {
			all, err := c.office.Consumers.Status(t.Context(), c.office.Store)
			require.NoError(t, err)
			require.LessOrEqual(t, len(all), 1)
			return append(all, consumer.Status{})[0]
		}
		c.office.Eventually("it says what waits", func() bool {
			status = stored()
			return status.State == consumer.Retrying && status.Behind == 4 && status.Head == last
		})
		require.Contains(t, status.Failure.Error, consumertest.ErrBroken.Error())
		healed.Store(true)
		c.office.Becomes(it, "it is live", live)
		c.office.Deposit(5) // and newer
		c.office.Eventually("it is live there as well", func() bool { return live(stored()) && stored().Head == last })
		require.Nil(t, stored().Failure)
		c.office.Exec(`UPDATE readview_states SET status = 'failed', error = 'a broken message', failed_at = now(), tried_at = now()`)
		status = stored()
		require.Equal(t, consumer.Failed, status.State)
		require.Equal(t, "a broken message", status.Failure.Error)
		require.EqualValues(t, -1, status.Behind, "nobody knows")
		require.NoError(t, c.office.Consumers.Resume(t.Context(), status.ID()))
		c.office.Eventually("it receives again, from whichever process that is said", func() bool { return live(stored()) && stored().Failure == nil })
	})
	t.Run("the status says that nobody answers", func(t *testing.T) {
		t.Parallel()
		c := newContexts(t)
		from := feed(c.broker)
		from.AskAgain = 1
		it, err := inbox.New(c.office.Pool, from, consumertest.Reacting(), copier(c.office.Store))
		require.NoError(t, err)
		c.office.Run(it.Run)
		c.office.Becomes(it, "no relay", func(s consumer.Status) bool { return s.State != consumer.Live && s.Failure != nil })
	})
	t.Run("it is not live before anything was heard of the other context, whichever process is asked", func(t *testing.T) {
		t.Parallel()
		c := newContexts(t)
		it, _ := c.inbox(consumertest.Reacting(), copier(c.office.Store))
		stored := func() consumer.Status {
			all, err := c.office.Consumers.Status(t.Context(), c.office.Store)
			require.NoError(t, err)
			return append(all, consumer.Status{})[0]
		}
		c.office.Eventually("it has begun", func() (begun bool) {
			require.NoError(t, c.office.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM readview_states WHERE node <> '')`).Scan(&begun))
			return begun
		})
		c.office.Eventually("it says that nobody answers, and never that it is live", func() bool {
			status := stored()
			require.NotEqual(t, consumer.Live, status.State)
			return status.State == consumer.Retrying && strings.Contains(status.Failure.Error, "no answer: is the relay running?")
		})
		c.relay()
		last := c.bank.Deposit(1)[0].Position
		heard := func(s consumer.Status) bool { return live(s) && s.Position >= last }
		c.office.Eventually("it is live once it has an answer", func() bool { return heard(stored()) })

		c.office.Exec(`UPDATE readview_states SET node = 'another/1', heard = NULL, lease_length = '1 hour', lease_until = clock_timestamp() + interval '1 hour'`)
		waits := func(s consumer.Status) bool { return s.State == consumer.CatchingUp && s.Behind < 0 }
		c.office.Eventually("another node receives, and has heard nothing yet", func() bool { return waits(stored()) })
		c.office.Eventually("here it is said as well", func() bool { return waits(statusOf(t, it)) })
		c.office.Exec(`UPDATE readview_states s SET heard = r.position FROM readviews r WHERE r.name = s.name`)
		c.office.Eventually("it has", func() bool { return live(stored()) && live(statusOf(t, it)) })
	})
}

func statusOf(t *testing.T, it *inbox.Inbox) consumer.Status {
	t.Helper()
	status, err := it.Status(t.Context())
	require.NoError(t, err)
	return status
}

// A new reaction, or one to what the other context publishes only later, begins with what comes then, as at
// home: it stops nothing, and the past stays as it is.
func TestReactionThatIsAdded(t *testing.T) {
	t.Parallel()
	c := newContexts(t)
	c.bank.Deposit(2)
	c.bank.Record(&consumertest.Renamed{})
	var deposits, renames consumertest.Handled
	deposited := reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error { deposits.Note(ctx); return nil })
	renamed := reactor.On(func(ctx context.Context, _ *consumertest.Renamed) error { renames.Note(ctx); return nil })
	narrow := relaying(c.broker)
	narrow.Names = []string{"Deposited"}
	_, stopRelay := c.bank.Relay(c.broker, narrow)
	it, stop := c.inbox(consumertest.Reacting(), deposited)
	c.office.Becomes(it, "it is live", func(s consumer.Status) bool { return live(s) && len(deposits.All()) == 2 })
	stop()
	it, stop = c.inbox(consumertest.Reacting(), deposited, renamed)
	c.office.Becomes(it, "it goes on", live)
	stopRelay()
	c.relay() // which publishes more
	want := []eventsourced.Recorded{c.bank.Record(&consumertest.Renamed{})}
	c.office.Becomes(it, "it goes on", func(s consumer.Status) bool { return live(s) && len(renames.All()) == 1 })
	c.office.Eventually("it knows that there is more", func() (knows bool) {
		require.NoError(t, c.office.Pool.QueryRow(t.Context(), `SELECT publication > 0 FROM readview_states`).Scan(&knows))
		return knows
	})
	c.office.Becomes(it, "it goes on all the same", live)
	require.NoError(t, it.Reset(t.Context()))
	want = append(want, c.bank.Record(&consumertest.Renamed{}))
	c.office.Becomes(it, "also after a reset", func(s consumer.Status) bool { return live(s) && len(renames.All()) == 2 })
	require.Equal(t, consumertest.IDsOf(want), renames.All())
	require.Len(t, deposits.All(), 2)

	stop()
	it, _ = c.inbox(consumertest.Reacting(), deposited)
	c.office.Becomes(it, "an older program stands by, and says why", func(s consumer.Status) bool {
		return s.State == consumer.Standby && s.Failure != nil && strings.Contains(s.Failure.Error, "this program is older")
	})
	c.office.Eventually("commands say so as well", func() bool {
		all, err := c.office.Consumers.Status(t.Context(), c.office.Store)
		require.NoError(t, err)
		return len(all) == 1 && all[0].State == consumer.Standby && all[0].Failure != nil && strings.Contains(all[0].Failure.Error, "nothing is received")
	})
	require.NoError(t, it.Reset(t.Context()))
	c.office.Becomes(it, "until it is reset with it", live)
}

// What waits and has no reaction any more is passed over, with a warning: one for all events of a name.
func TestEventsWithoutAReaction(t *testing.T) {
	t.Parallel()
	c := newContexts(t)
	c.relay()
	config := consumertest.Reacting()
	config.RetryFor = time.Hour
	failing := reactor.On(func(context.Context, *consumertest.Renamed) error { return consumertest.ErrBroken })
	_, stop := c.inbox(config, failing, copier(c.office.Store))
	for range 3 {
		c.bank.Record(&consumertest.Renamed{})
	}
	deposit := c.bank.Deposit(1)
	c.office.Eventually("all wait", func() bool { return c.waiting() == 4 })
	stop()
	warnings := &counted{message: "events wait in the inbox that this program has no reaction to, they are passed over"}
	config.Logger = slog.New(warnings)
	c.inbox(config, copier(c.office.Store))
	c.office.Eventually("the rest is handled", func() bool { return len(c.copied()) == 1 })
	require.Equal(t, consumertest.IDsOf(deposit), c.copied())
	require.EqualValues(t, 1, warnings.n.Load())
}

func TestNew(t *testing.T) {
	t.Parallel()
	nothing := reactor.On(func(context.Context, *consumertest.Deposited) error { return nil })
	_, err := inbox.New(nil, readview.Feed{AskEvents: -1}, reactor.Config{StartAtHead: true}, nothing, nothing)
	for _, says := range []string{
		"pool is nil", "Registry is nil", "Subscriber is nil", "Topic is empty", "AskEvents or AskBytes is negative", "StartAtHead is not possible", "Name needs",
		"two reactions to *bank.Deposited",
	} {
		require.ErrorContains(t, err, says)
	}
	_, err = inbox.New(nil, readview.Feed{Registry: consumertest.Registry()}, reactor.Config{Name: "r"})
	require.ErrorContains(t, err, "at least one reaction")
}
