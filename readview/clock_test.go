package readview_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// A lease from before the database's clock went back lies in the future. It is none.
func TestClockThatWentBack(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	b.waitFor(manager, b.deposit(3))
	stop()
	b.exec(`UPDATE readview_states SET node = 'dead:1/x', lease_until = now() + interval '1 year'`)
	require.Equal(t, consumer.Standby, b.status(manager, "balances").State, "a lease longer than leases are is none")
	require.Empty(t, b.status(manager, "balances").Node)
	manager, router = b.manager(fast(), balances())
	b.start(router)
	b.waitFor(manager, b.deposit(3))

	// Positions go on from the last one, in the future; and what waits there waits.
	year := 365 * 24 * time.Hour
	b.exec(`UPDATE readview_states SET lease_until = now() + interval '1 year'`)
	require.NoError(t, manager.Pause(t.Context(), "balances"))
	b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT tstamp + $1, gen_random_uuid(), name, aggregate_name, aggregate_id, version + 1, now() - interval '5 minutes', payload
		FROM events ORDER BY tstamp DESC LIMIT 1`, year.Microseconds())
	last := eventsourced.Position(b.int(`SELECT max(tstamp) FROM events`))
	waiting := b.status(manager, "balances")
	require.EqualValues(t, 1, waiting.Behind)
	b.exec(`UPDATE readview_states SET status = 'running', node = 'other:1/x', lease_until = now() + interval '1 minute', lease_length = interval '2 minutes'`)
	tool, _ := b.manager(fast(), balances())
	require.Equal(t, consumer.CatchingUp, b.status(tool, "balances").State, "something waits, whatever its date is")
	require.Equal(t, "other:1", b.status(tool, "balances").Node)
	b.exec(`UPDATE readview_states SET lease_until = '-infinity'`)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	b.waitFor(manager, last)
	b.requireExact(last)
	b.eventually("it is live", func() bool { return b.status(manager, "balances").State == consumer.Live })
}

// A log that is older than the read view is noticed at the start and while it runs, by
// everybody, and nothing is applied on top of what it does not have.
func TestLogThatWentBack(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"while the projection runs": false, "while it does not run": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			manager, router := b.manager(fast(), balances())
			stop := b.start(router)
			middle := b.deposit(5)
			last := b.deposit(5)
			b.waitFor(manager, last)
			if restart {
				stop()
				manager, router = b.manager(fast(), balances())
			}
			b.exec(`DELETE FROM events WHERE tstamp > $1`, int64(middle)) // the table restored from a dump
			tool, _ := b.manager(fast(), balances())
			status := b.status(tool, "balances")
			require.Equal(t, consumer.Ahead, status.State, "whoever looks sees it")
			require.Contains(t, status.Failure.Error, "restored from an older backup")
			if restart {
				b.start(router)
			}
			b.eventually("it is on record", func() bool {
				return b.int(`SELECT count(*) FROM readview_states WHERE status = 'ahead'`) == 1
			})
			require.Equal(t, consumer.Ahead, b.status(manager, "balances").State)
			err := manager.WaitFor(t.Context(), middle, "balances")
			require.ErrorIs(t, err, readview.ErrNotRunning)
			require.ErrorContains(t, err, "ahead of the log")

			next := b.deposit(3) // above the position
			require.Greater(t, next, last)
			other, otherRouter := b.manager(fast(), balances(), audits()) // nor by another node
			b.start(otherRouter)
			b.waitFor(other, b.record("account-1", &Audited{}), "audits")
			require.Equal(t, consumer.Ahead, b.status(tool, "balances").State)
			require.EqualValues(t, 10, b.int(`SELECT count(*) FROM journal`), "nothing is applied on top of it")

			require.NoError(t, tool.ResetProjection(t.Context(), "balances"))
			b.waitFor(other, next, "balances")
			b.requireExact(next)
		})
	}
}

// An operator who sets the position back has everything after it applied again, also
// what a page in hand has.
func TestPositionSetBackByHand(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	middle := b.deposit(5)
	last := b.deposit(5)
	b.waitFor(manager, last)
	b.exec(`DELETE FROM journal WHERE position > $1`, int64(middle))
	b.exec(`UPDATE readviews SET position = $1`, int64(middle))
	b.waitFor(manager, last) // also if nothing comes
	last = b.deposit(1)
	b.waitFor(manager, last)
	require.EqualValues(t, 11, b.int(`SELECT count(*) FROM journal`))
	require.EqualValues(t, 11, b.int(`SELECT count(DISTINCT position) FROM journal`))
}
