package readview_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// raising makes a trigger that fails with a SQLSTATE on writes to a table, until it is
// dropped.
func (b *bank) raising(table, operation, code string) (drop func()) {
	b.exec(fmt.Sprintf(`CREATE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '%s'; END $$;
		CREATE TRIGGER raising BEFORE %s ON %s FOR EACH ROW EXECUTE FUNCTION raising()`, code, operation, table))
	return func() { b.exec(fmt.Sprintf(`DROP TRIGGER raising ON %s; DROP FUNCTION raising()`, table)) }
}

// What is tried for ever shows within two seconds, here and elsewhere, with what is
// wrong, and is forgotten when it is over.
func TestWhatIsTriedForEverShows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin func(b *bank) (end func())
		says  string
		state consumer.State
		event bool // it is about one; a table may be locked before it is known which
	}{
		"a full disk, for the handler": {func(b *bank) func() { return b.raising("journal", "INSERT", "53100") }, "as if", consumer.Retrying, true},
		"out of memory":                {func(b *bank) func() { return b.raising("journal", "INSERT", "53200") }, "as if", consumer.Retrying, true},
		"an error of input or output":  {func(b *bank) func() { return b.raising("journal", "INSERT", "58030") }, "as if", consumer.Retrying, true},
		"a position that can't move":   {func(b *bank) func() { return b.raising("readviews", "UPDATE", "P0001") }, "as if", consumer.Retrying, false},
		"a table that somebody has locked": {func(b *bank) func() {
			return b.hold(`LOCK TABLE journal`)
		}, "waits for a lock of pid", consumer.Stalled, true},
		"a row in readviews that somebody has locked": {func(b *bank) func() {
			return b.hold(`SELECT FROM readviews FOR UPDATE`)
		}, "waits for a lock of pid", consumer.Stalled, false},
		"a state that can't be looked at": {func(b *bank) func() {
			return b.hold(`LOCK TABLE readview_states`)
		}, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			manager, router := b.manager(fast(), balances())
			b.start(router)
			b.waitFor(manager, b.deposit(3))
			elsewhere, _ := b.manager(fast(), balances())
			end := c.begin(b)
			began := time.Now()
			last := b.deposit(2)
			if c.says != "" {
				for _, m := range []*readview.Manager{manager, elsewhere} {
					b.eventually("it shows", func() bool { return b.status(m, "balances").State == c.state })
					require.Less(t, time.Since(began), 2*time.Second)
					failure := b.status(m, "balances").Failure
					require.NotNil(t, failure)
					require.Contains(t, failure.Error, c.says)
					require.WithinDuration(t, began, failure.Since, 2*time.Second)
					if tables := "the table journal is locked"; !strings.HasPrefix(failure.Error, tables) {
						require.Equal(t, c.event, failure.EventName == "Deposited", failure.Error)
					}
					require.Equal(t, c.state == consumer.Stalled, failure.Stalled)
					if failure.Stalled {
						require.Len(t, failure.Blockers, 1)
						blocker := failure.Blockers[0]
						require.Contains(t, failure.Error, fmt.Sprintf("pid %d (%s, idle in transaction, ", blocker.PID, blocker.Application))
						require.Regexp(t, "^(LOCK|SELECT)", blocker.Query)
						require.WithinDuration(t, began, blocker.Since, time.Minute)
					}
				}
			}
			end()
			b.waitFor(manager, last)
			b.requireExact(last)
			b.eventually("it is forgotten", func() bool {
				status := b.status(elsewhere, "balances")
				return status.State == consumer.Live && status.Failure == nil
			})
		})
	}
}

// A page locks the tables of the one before together with its position. What it waits for is said, then as well.
func TestATableThatIsLockedBeforeTheHandlerIsNamed(t *testing.T) {
	t.Parallel()
	b := newFilled(t, 200, `CREATE TABLE filled (n BIGINT)`)
	manager := playFilled(b, 5, fill) // many pages: each connection has had one
	b.waitFor(manager, 1200, "filled")
	end := b.hold(`LOCK TABLE filled`)
	b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT 2000 + n, gen_random_uuid(), 'Filled', 'b', n, 1, now(), json_build_object('N', n) FROM generate_series(1, 6) n`)
	b.eventually("it shows", func() bool { return b.status(manager, "filled").State == consumer.Stalled })
	// The page may also be on a connection that has not had one, and then it is the handler that waits.
	require.Regexp(t, `(^the table filled is locked|: the handler has not returned yet), it waits for a lock of pid \d+ \(.*: LOCK TABLE filled$`, b.status(manager, "filled").Failure.Error)
	end()
	b.waitFor(manager, 2006, "filled")
}

// A node that can't get on may put that on record in the moment in which another one takes the
// projection over: who runs it notices, and forgets it with the next page.
func TestWhatAnotherNodeHasPutOnRecordIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	b.waitFor(manager, b.deposit(1))
	elsewhere, _ := b.manager(fast(), balances())
	b.exec(`UPDATE readview_states SET error = 'looking at the state takes long', failed_at = now(), failing_since = now(), attempts = 0, tried_at = now()`)
	b.eventually("it is forgotten", func() bool {
		status := b.status(elsewhere, "balances")
		return status.State == consumer.Live && status.Failure == nil
	})
}

func TestALogThatCanNotBeReadShows(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	b.waitFor(manager, b.deposit(3))
	elsewhere, _ := b.manager(fast(), balances())
	require.NoError(t, manager.Pause(t.Context(), "balances"))
	last := b.deposit(1)
	b.exec(`UPDATE events SET metadata = '[]' WHERE tstamp = $1`, int64(last))
	require.NoError(t, manager.Resume(t.Context(), "balances"))
	for _, m := range []*readview.Manager{manager, elsewhere} {
		b.eventually("it shows", func() bool { return b.status(m, "balances").State == consumer.Retrying })
		status := b.status(m, "balances")
		require.Contains(t, status.Failure.Error, "json")
		require.EqualValues(t, -1, status.Behind)
	}
	b.exec(`UPDATE events SET metadata = NULL WHERE tstamp = $1`, int64(last))
	b.waitFor(manager, last)
	b.requireExact(last)
}

// hold executes a statement in a transaction that stays open until end is called.
func (b *bank) hold(statement string) (end func()) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.db.URL)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	tx, err := conn.Begin(b.t.Context())
	require.NoError(b.t, err)
	_, err = tx.Exec(b.t.Context(), statement)
	require.NoError(b.t, err)
	return func() { require.NoError(b.t, tx.Rollback(context.WithoutCancel(b.t.Context()))) }
}

// The server of the pool's connections is a replica after a failover, and new ones
// lead to another.
func TestConnectionsToAServerThatIsReadOnlyNow(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	b.waitFor(manager, b.deposit(3))
	connections := b.pool.AcquireAllIdle(t.Context())
	for _, c := range connections {
		_, err := c.Exec(t.Context(), `SET default_transaction_read_only = on`)
		require.NoError(t, err)
		c.Release()
	}
	require.NotEmpty(t, connections)
	config, err := pgxpool.ParseConfig(b.db.URL)
	require.NoError(t, err)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT max(tstamp) + 1, gen_random_uuid(), 'Deposited', 'bank.Account', 'new', 1, now(), '{"Amount": 1}' FROM events`)
	require.NoError(t, err)
	last := eventsourced.Position(b.int(`SELECT max(tstamp) FROM events`))
	b.waitFor(manager, last)
	b.requireExact(last)
}

// An error that may pass is tried for a while, not three times in a second.
func TestAStatementTimeoutIsTriedForAWhile(t *testing.T) {
	t.Parallel()
	b := newBank(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["statement_timeout"] = "1s" })
	config := fast()
	config.RetryFor = time.Minute
	manager, router := b.manager(config, balances())
	b.start(router)
	b.waitFor(manager, b.deposit(1))
	end := b.hold(`LOCK TABLE journal IN SHARE MODE`)
	last := b.deposit(2)
	b.eventually("it was tried more often than Attempts says", func() bool {
		status := b.status(manager, "balances")
		require.NotEqual(t, consumer.Failed, status.State)
		// While a try waits for the lock, it may be stalled.
		return status.State == consumer.Retrying && status.Failure.Attempts > config.Attempts+2
	})
	end()
	b.waitFor(manager, last)
	b.requireExact(last)
}

func TestAStatementThatAlwaysTakesTooLongFails(t *testing.T) {
	t.Parallel()
	b := newBank(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["statement_timeout"] = "100ms" })
	config := fast()
	config.RetryFor = 500 * time.Millisecond
	manager, router := b.manager(config, balances(misuse(func(ctx context.Context, tx readview.Tx) error {
		_, err := tx.ExecContext(ctx, `SELECT pg_sleep(60)`)
		return err
	})))
	b.start(router)
	b.record("account-9", &Deposited{Amount: 99})
	b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
	failure := b.status(manager, "balances").Failure
	require.Contains(t, failure.Error, "statement timeout")
	require.GreaterOrEqual(t, failure.Time.Sub(failure.Since), config.RetryFor)
}

// A page that outlasts the drain timeout is ended where it is: what was done is kept.
func TestLongPageEndsWithTheRouter(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.deposit(1000)
	config := fast()
	config.DrainTimeout = 400 * time.Millisecond
	var done atomic.Int64
	_, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		done.Add(1)
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
		return onDeposited(ctx, tx, e)
	})))
	stop := b.start(router)
	b.eventually("the page is being applied", func() bool { return done.Load() > 5 })
	began := time.Now()
	stop()
	require.Less(t, time.Since(began), 3*time.Second)
	position := eventsourced.Position(b.int(`SELECT position FROM readviews`))
	require.Positive(t, position)
	b.requireExact(position)
	require.Less(t, b.int(`SELECT count(*) FROM journal`), int64(1000))
}
