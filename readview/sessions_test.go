package readview_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// session is one of its own at the server, in a transaction after a statement.
func (b *bank) session(statement string) *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.db.URL)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(b.t.Context(), `BEGIN ISOLATION LEVEL REPEATABLE READ`)
	require.NoError(b.t, err)
	_, err = conn.Exec(b.t.Context(), statement)
	require.NoError(b.t, err)
	return conn
}

// stalled waits until a projection is stalled at the server.
func (b *bank) stalled(m *readview.Manager) *consumer.Failure {
	b.t.Helper()
	var failure *consumer.Failure
	b.eventually("it is stalled", func() bool {
		failure = b.status(m, "balances").Failure
		return failure != nil && failure.Stalled && failure.Session != nil
	})
	return failure
}

// lastOperation returns the last one of the operator log.
func lastOperation(t *testing.T, m *readview.Manager) consumer.Operation {
	t.Helper()
	all, err := m.Operations(t.Context(), readview.OperationsQuery{})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all[len(all)-1]
}

// Who holds the lock that a projection waits for is ended, by another process, too; and nobody else is.
func TestASessionInTheWayIsEnded(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	b.waitFor(manager, b.deposit(3))
	elsewhere, _ := b.manager(fast(), balances())
	holder := b.session(`SELECT FROM readviews FOR UPDATE`)
	last := b.deposit(2)
	failure := b.stalled(elsewhere)
	require.Len(t, failure.Blockers, 1)
	blocker := failure.Blockers[0]
	require.EqualValues(t, holder.PgConn().PID(), blocker.PID)

	another := blocker
	another.Connected = another.Connected.Add(time.Microsecond)
	require.ErrorIs(t, elsewhere.EndSession(t.Context(), "balances", another), readview.ErrNotInTheWay)
	require.ErrorIs(t, elsewhere.EndSession(t.Context(), "balances", *failure.Session), readview.ErrNotInTheWay, "its own waits")
	require.Equal(t, consumer.OutcomeFailed, lastOperation(t, elsewhere).Outcome)
	require.NoError(t, holder.Ping(t.Context()))

	require.NoError(t, elsewhere.EndSession(t.Context(), "balances", blocker))
	require.Error(t, holder.Ping(t.Context()))
	op := lastOperation(t, elsewhere)
	require.Equal(t, []any{readview.CommandEndSession, consumer.OutcomeDone}, []any{op.Command, op.Outcome}, op.Detail)
	b.waitFor(manager, last)
	b.requireExact(last)

	stop()
	idle := b.session(`SELECT`) // which a record of before says is in the way
	b.exec(`UPDATE readview_states SET error = 'it waits', failed_at = now(), failing_since = now(), attempts = 0, tried_at = now(), stall = (SELECT jsonb_build_object(
			'session', jsonb_build_object('pid', pg_backend_pid(), 'connected', (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())),
			'blockers', jsonb_build_array(jsonb_build_object('pid', pid, 'connected', backend_start))) FROM pg_stat_activity WHERE pid = $1)`, int(idle.PgConn().PID()))
	failure = b.stalled(elsewhere)
	require.Len(t, failure.Blockers, 1)
	require.ErrorIs(t, elsewhere.EndSession(t.Context(), "balances", failure.Blockers[0]), readview.ErrNotInTheWay, "it holds no lock")
	require.NoError(t, idle.Ping(t.Context()))
}

// Who holds the lock may wait for somebody else's: that one is named first, and ended.
func TestTheSessionAtTheRootIsEnded(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	b.waitFor(manager, b.deposit(3))
	root := b.session(`SELECT pg_advisory_xact_lock(42)`)
	holder := b.session(`SELECT FROM readviews FOR UPDATE`)
	waits := make(chan error, 1)
	go func() {
		_, err := holder.Exec(context.WithoutCancel(t.Context()), `SELECT pg_advisory_xact_lock(42); COMMIT`)
		waits <- err
	}()
	last := b.deposit(2)
	var blockers []consumer.Session
	b.eventually("both are named", func() bool {
		blockers = b.stalled(manager).Blockers
		return len(blockers) == 2
	})
	require.Equal(t, []int{int(root.PgConn().PID()), int(holder.PgConn().PID())}, []int{blockers[0].PID, blockers[1].PID})
	require.NoError(t, manager.EndSession(t.Context(), "balances", blockers[0]))
	require.NoError(t, <-waits)
	b.waitFor(manager, last)
	b.requireExact(last)
}

// A statement that the server is at is no lock, and no hanging handler: it is said, and can be cancelled.
func TestAStatementThatTakesLongIsSaid(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var slept atomic.Bool
	config := fast()
	config.HangTimeout = 0
	manager, router := b.manager(config, balances(misuse(func(ctx context.Context, tx readview.Tx) error {
		if slept.Swap(true) {
			return nil
		}
		return readview.Exec(ctx, tx, `SELECT pg_sleep(600)`)
	})))
	b.start(router)
	b.waitFor(manager, b.deposit(1))
	last := b.record("account-9", &Deposited{Amount: 99})
	failure := b.stalled(manager)
	require.Empty(t, failure.Blockers)
	require.Contains(t, failure.Error, "the server is at its statement since ")
	require.Contains(t, failure.Session.Query, "pg_sleep")
	require.NoError(t, manager.EndSession(t.Context(), "balances", *failure.Session))
	require.Equal(t, "its statement was cancelled", lastOperation(t, manager).Detail)
	b.waitFor(manager, last)
	b.requireExact(last)
}

// A swap waits for whoever has a snapshot from before; that one is ended as well.
func TestASnapshotInTheWayOfASwapIsEnded(t *testing.T) {
	t.Parallel()
	b := newLoneBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	b.waitFor(manager, b.deposit(3))
	reader := b.session(`SELECT count(*) FROM readview_states`)
	rebuilt := make(chan error, 1)
	go func() {
		_, err := manager.Rebuild(context.WithoutCancel(t.Context()), "balances", readview.RebuildOptions{How: readview.HowSwap})
		rebuilt <- err
	}()
	var waits []consumer.Session
	b.eventually("it waits", func() bool {
		if r := b.status(manager, "balances").Rebuild; r != nil {
			waits = r.Waits
		}
		return len(waits) > 0
	})
	var mine consumer.Session
	for _, s := range waits { // others of the same server may have snapshots, too
		if s.PID == int(reader.PgConn().PID()) {
			mine = s
		}
	}
	require.Contains(t, mine.Query, "readview_states")
	before := mine
	before.Connected = before.Connected.Add(-time.Microsecond)
	require.ErrorIs(t, manager.EndSession(t.Context(), "balances", before), readview.ErrNotInTheWay)
	require.NoError(t, manager.EndSession(t.Context(), "balances", mine))
	require.Error(t, reader.Ping(t.Context()))
	require.NoError(t, <-rebuilt)
	require.Empty(t, b.status(manager, "balances").Rebuild.Waits)
}
