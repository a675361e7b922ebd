package messaging_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// hide makes the log one that was restored from a backup, until it is shown again.
func (b *bank) hide(from messaging.Status) (show func()) {
	b.t.Helper()
	b.exec(`CREATE TABLE hidden AS SELECT * FROM events`)
	_, err := b.pool.Exec(b.t.Context(), `DELETE FROM events WHERE tstamp >= $1`, int64(from.Position))
	require.NoError(b.t, err)
	return func() {
		b.t.Helper()
		b.exec(`INSERT INTO events SELECT * FROM hidden h WHERE NOT EXISTS (SELECT FROM events e WHERE e.tstamp = h.tstamp)`)
	}
}

func TestRightLogComesBack(t *testing.T) {
	t.Parallel()
	for name, start := range consumers() {
		t.Run(name+" goes on by itself", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.deposit(3)
			c := start(b)
			show := b.hide(b.becomes(c, "all is handled", func(s messaging.Status) bool { return isLive(s) && s.Position == events[2].Position }))
			b.becomes(c, "it notices", func(s messaging.Status) bool { return isAhead(s) && s.Node != "" && s.Failure.Attempts > 0 })
			show()
			b.becomes(c, "it goes on", isLive)
			more := b.deposit(1)
			b.becomes(c, "with what comes next", func(s messaging.Status) bool { return isLive(s) && s.Position == more[0].Position })
			require.Equal(t, append(idsOf(events), idsOf(more)...), c.seen())
		})
		t.Run(name+" goes on by itself after a restart", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.deposit(3)
			c := start(b)
			show := b.hide(b.becomes(c, "all is handled", func(s messaging.Status) bool { return isLive(s) && s.Position == events[2].Position }))
			b.becomes(c, "it notices", func(s messaging.Status) bool { return isAhead(s) && s.Node != "" && s.Failure.Attempts > 0 })
			c.stop()
			show()
			c = start(b)
			b.becomes(c, "it goes on", isLive)
			more := b.deposit(1)
			b.eventually("with what comes next", func() bool { return len(c.seen()) == 1 })
			require.Equal(t, idsOf(more), c.seen())
		})
		t.Run(name+" is ahead no more when its position is set while nobody runs", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.deposit(3)
			c := start(b)
			b.hide(b.becomes(c, "all is handled", func(s messaging.Status) bool { return isLive(s) && s.Position == events[2].Position }))
			b.becomes(c, "it notices", func(s messaging.Status) bool { return isAhead(s) && s.Node != "" && s.Failure.Attempts > 0 })
			c.stop()
			// As docs/operating.md has it.
			b.exec(`UPDATE consumers SET position = (SELECT coalesce(max(tstamp), 0) FROM events)`)
			all, err := b.positions.Status(t.Context(), b.store)
			require.NoError(t, err)
			require.Len(t, all, 1)
			require.Equal(t, messaging.Standby, all[0].State)
			require.Nil(t, all[0].Failure)
			if _, subscription := c.statuses.(one); !subscription {
				status, err := c.Status(t.Context())
				require.NoError(t, err)
				require.Equal(t, all[0], status, "the process that ran it knows no better")
			}
			c = start(b)
			more := b.deposit(1)
			b.eventually("it goes on from there", func() bool { return len(c.seen()) == 1 })
			require.Equal(t, idsOf(more), c.seen())
			b.becomes(c, "nothing is left of it", isLive)
		})
	}
}

func TestParkedEventThatIsGone(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(2)
	logger, logged := logSignal("parked event not tried again")
	config := reacting()
	config.OnFailure, config.Logger = messaging.ParkFailures, logger
	reactor, _ := b.reactor(config, messaging.On(func(context.Context, *Deposited) error { return errBroken }))
	b.becomes(reactor, "both are parked", func(s messaging.Status) bool { return s.Parked == 2 })
	_, err := b.pool.Exec(t.Context(), `DELETE FROM events WHERE tstamp = $1`, int64(events[0].Position))
	require.NoError(t, err)
	require.NoError(t, reactor.Resume(t.Context()))
	b.wait(logged, "it is logged")
	b.eventually("nothing is due", func() (none bool) {
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT NOT bool_or(due) FROM parked_events`).Scan(&none))
		return none
	})
	parked, err := reactor.Parked(t.Context())
	require.NoError(t, err)
	require.Len(t, parked, 2)
	require.Equal(t, "the event is not in the log any more", parked[0].Error)
	require.Equal(t, events[0].ID, parked[0].EventID)
	require.Equal(t, "broken", parked[1].Error)
}

func TestRightLogComesBackForAnotherPositionStore(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.deposit(2)
	subscriber := b.subscriberOver(&cutOff{PositionStore: b.positions}, grouped("g"))
	messages := b.subscribe(subscriber, "Deposited")
	for _, event := range events {
		b.receive(messages, event).Ack()
	}
	live := b.becomes(one{subscriber}, "all is handled", func(s messaging.Status) bool { return isLive(s) && s.Position == events[1].Position })
	show := b.hide(live)
	b.becomes(one{subscriber}, "it notices", func(s messaging.Status) bool { return isAhead(s) && s.Failure.Attempts > 0 })
	show()
	b.becomes(one{subscriber}, "it goes on", isLive)
	b.receive(messages, b.deposit(1)[0]).Ack()
}
