package readview_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// version is balances in a version whose entries have the amount times the version.
func version(n int, policy readview.ChangePolicy) readview.Projection {
	p := balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		return readview.Exec(ctx, tx, `INSERT INTO journal (position, amount) VALUES (1, $1)`, e.Amount*int64(n))
	}))
	p.Version, p.WhenChanged = n, policy
	return p
}

// made is what the rows of versions sum up to.
func (b *bank) made() int64 { return b.int(`SELECT coalesce(sum(amount), 0)::bigint FROM journal`) }

func (b *bank) verdict(p readview.Projection) readview.Verdict {
	b.t.Helper()
	manager, _ := b.manager(fast(), p)
	all, err := manager.Ready(b.t.Context())
	require.NoError(b.t, err)
	require.Len(b.t, all, 1)
	require.Equal(b.t, all[0].Verdict == readview.VerdictReady || all[0].Verdict == readview.VerdictNew, all[0].OK())
	require.Equal(b.t, all[0].OK(), all[0].Err == nil)
	return all[0].Verdict
}

// By default a higher version is refused and says what to run, while the one before goes on.
func TestANewVersionIsRefused(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	require.Equal(t, readview.VerdictNew, b.verdict(version(1, readview.RefuseWhenChanged)))
	first, router := b.manager(fast(), version(1, readview.RefuseWhenChanged))
	b.start(router)
	b.waitFor(first, b.deposit(3))
	require.Equal(t, readview.VerdictReady, b.verdict(version(1, readview.RefuseWhenChanged)))
	require.Equal(t, readview.VerdictRefused, b.verdict(version(2, readview.RefuseWhenChanged)))
	require.Equal(t, readview.VerdictReset, b.verdict(version(2, readview.ResetWhenChanged)))
	require.Equal(t, readview.VerdictRebuild, b.verdict(version(2, readview.RebuildWhenChanged)))
	require.Equal(t, readview.VerdictStandby, b.verdict(version(0, readview.RefuseWhenChanged)))

	second, router := b.manager(fast(), version(2, readview.RefuseWhenChanged))
	b.start(router)
	last := b.deposit(2)
	b.waitFor(first, last)
	status := b.status(second, "balances")
	require.Equal(t, consumer.Failed, status.State)
	require.Contains(t, status.Failure.Error, "balances has what version 1 made, and this program has version 2; rebuild it with this program (Manager.Rebuild, 'readviews rebuild balances') or reset it ('readviews reset balances')")
	require.ErrorIs(t, second.WaitFor(t.Context(), last), readview.ErrChanged)
	require.Equal(t, []consumer.ID{{Kind: consumer.KindProjection, Name: "balances"}}, second.Refused())
	require.Empty(t, first.Refused())
	require.EqualValues(t, 5, b.made())
	require.Equal(t, consumer.Live, b.status(first, "balances").State)
	require.Empty(t, b.status(first, "balances").Refused)
	tool, _ := b.manager(fast(), version(2, readview.RefuseWhenChanged))
	b.eventually("who only looks is told how it goes, and besides that it may not run it", func() bool {
		status := b.status(tool, "balances")
		return status.State == consumer.Live && status.Failure == nil && strings.Contains(status.Refused, "this program has version 2; rebuild it with this program")
	})

	require.NoError(t, second.ResetProjection(t.Context(), "balances"))
	b.waitFor(second, last)
	require.EqualValues(t, 10, b.made())
	b.eventually("the older one stands by, and says so", func() bool {
		status := b.status(first, "balances")
		return status.State == consumer.Standby && status.Failure != nil
	})
	require.Contains(t, b.status(first, "balances").Failure.Error, "has version 2, and this program has 1, which stands by")
}

// Of nodes that all reset what is of another version only one does. A rollback of the
// deployment keeps, and the two never take turns.
func TestVersionsNeverFight(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	first, router := b.manager(fast(), version(1, readview.ResetWhenChanged))
	b.start(router)
	b.waitFor(first, b.deposit(3))
	var second *readview.Manager
	release := b.hold(`SELECT FROM readviews FOR UPDATE`)
	for range 3 {
		second, router = b.manager(fast(), version(2, readview.ResetWhenChanged))
		b.start(router)
	}
	b.eventually("all three are about to reset it", func() bool {
		return b.int(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE%' AND application_name = '`+b.application+`'`) >= 3
	})
	release()
	b.waitFor(second, b.deposit(1))
	require.EqualValues(t, 8, b.made())
	require.EqualValues(t, 1, b.int(`SELECT count(*) FROM readview_operations WHERE command = 'reset' AND arguments->>'because' LIKE '%version 1%'`))

	again, router := b.manager(fast(), version(1, readview.ResetWhenChanged)) // the deployment is rolled back, node by node
	b.start(router)
	last := b.deposit(1)
	b.waitFor(second, last)
	require.EqualValues(t, 10, b.made())
	require.Equal(t, consumer.Standby, b.status(again, "balances").State)
	require.NoError(t, again.ResetProjection(t.Context(), "balances")) // and somebody wants it so
	last = b.deposit(1)
	b.waitFor(again, last)
	require.EqualValues(t, 6, b.made())
	b.eventually("the higher version stands by", func() bool {
		status := b.status(second, "balances")
		return status.State == consumer.Standby && status.Failure != nil
	})
	require.Contains(t, b.status(second, "balances").Failure.Error, "somebody has gone back to version 1")
	require.Equal(t, readview.VerdictStandby, b.verdict(version(2, readview.ResetWhenChanged)))
	require.Equal(t, readview.VerdictReset, b.verdict(version(3, readview.ResetWhenChanged)))
	require.EqualValues(t, 2, b.int(`SELECT count(*) FROM readview_operations`), "nobody else did anything")
	require.NoError(t, second.ResetProjection(t.Context(), "balances"))
	b.waitFor(second, b.deposit(1))
	require.EqualValues(t, 14, b.made())
	require.NoError(t, second.Pause(t.Context(), "balances"))
	seen, config := newLogs(), fast()
	config.Logger = seen.logger()
	third, router := b.manager(config, version(3, readview.ResetWhenChanged))
	b.start(router)
	seen.wait(t, "projection refused") // a policy leaves alone what is paused
	require.NotNil(t, b.status(third, "balances").Failure)
	require.Equal(t, consumer.Paused, b.status(third, "balances").State)
	require.EqualValues(t, 14, b.made())
	require.NoError(t, second.Resume(t.Context(), "balances"))
	b.waitFor(third, b.deposit(1))
	require.EqualValues(t, 24, b.made())
	require.NoError(t, second.ResetProjection(t.Context(), "balances"))
	b.waitFor(second, b.deposit(1))
	require.Equal(t, readview.VerdictReady, b.verdict(version(2, readview.ResetWhenChanged)))
}

// How a projection goes does not depend on the program that asks.
func TestStatusByAnOlderProgram(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	newer, router := b.manager(fast(), version(2, readview.RefuseWhenChanged))
	stop := b.start(router)
	b.waitFor(newer, b.deposit(1))
	older, _ := b.manager(fast(), version(1, readview.RefuseWhenChanged))
	b.eventually("the newer one runs it", func() bool {
		status := b.status(older, "balances")
		return status.State == consumer.Live && status.Failure == nil && status.Version == 2
	})
	stop()
	b.exec(`UPDATE readview_states SET status = 'failed', error = 'broken', failed_at = now(), tried_at = now(), attempts = 3`)
	status := b.status(older, "balances")
	require.Equal(t, consumer.Failed, status.State)
	require.Equal(t, "broken", status.Failure.Error)
	b.exec(`UPDATE readview_states SET status = 'running', error = NULL, failed_at = NULL`)
	status = b.status(older, "balances")
	require.Equal(t, consumer.Standby, status.State, "nobody runs it")
	require.Contains(t, status.Failure.Error, "older")
}

// The tables' definition is part of what a version is; what does not matter to their rows is not.
func TestTablesThatChangeUnderAVersion(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), version(1, readview.RefuseWhenChanged))
	stop := b.start(router)
	b.waitFor(manager, b.deposit(3))
	stop()
	b.exec(`CREATE INDEX ON journal (amount)`)
	require.Equal(t, readview.VerdictReady, b.verdict(version(1, readview.RefuseWhenChanged)))
	b.exec(`ALTER TABLE journal ADD COLUMN note text`)
	require.Equal(t, readview.VerdictRefused, b.verdict(version(1, readview.RefuseWhenChanged)))
	require.Equal(t, readview.VerdictReset, b.verdict(version(1, readview.ResetWhenChanged)))
	manager, router = b.manager(fast(), version(1, readview.RefuseWhenChanged))
	b.start(router)
	last := b.deposit(1)
	b.eventually("it is refused", func() bool { return b.status(manager, "balances").State == consumer.Failed })
	require.Contains(t, b.status(manager, "balances").Failure.Error, "the definition of balance, journal is not what it was")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.Error(t, manager.WaitFor(ctx, last))
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	b.waitFor(manager, last)
	require.EqualValues(t, 4, b.made())
	b.exec(`ALTER TABLE journal RENAME TO lost`)
	require.Equal(t, readview.VerdictNoTable, b.verdict(version(1, readview.RefuseWhenChanged)))
}

// A policy is asked also when a projection handles events that it has passed over.
func TestPolicyForEventsOfThePast(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	b.record("account-1", &Audited{})
	b.waitFor(manager, b.deposit(3))
	stop()
	p := both(false)
	p.WhenChanged = readview.ResetWhenChanged
	require.Equal(t, readview.VerdictReset, b.verdict(p))
	manager, router = b.manager(fast(), p)
	b.start(router)
	last := b.deposit(1)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.EqualValues(t, 1, b.int(`SELECT count(*) FROM audit`))
}

// Readers notice nothing of a new version that is rebuilt as it starts, whoever rebuilds it, and what runs
// the version before goes on until then.
func TestANewVersionIsRebuilt(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`CREATE TABLE made (position BIGINT PRIMARY KEY, version BIGINT NOT NULL)`)
	rebuilding := func(n int) readview.Projection {
		p := balances(readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
			return readview.Exec(ctx, tx, `INSERT INTO made (position, version) VALUES ($1, $2)`, int64(eventsourced.FromContext(ctx).Position), n)
		}))
		p.Tables, p.Reset, p.Version, p.WhenChanged = []string{"made"}, nil, n, readview.RebuildWhenChanged
		return p
	}
	first, router := b.manager(fast(), rebuilding(1))
	b.start(router)
	b.waitFor(first, b.deposit(10))
	stop, seen := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				seen <- nil
				return
			default:
			}
			var rows, versions int
			err := b.pool.QueryRow(context.WithoutCancel(t.Context()), `SELECT count(*), count(DISTINCT version) FROM made`).Scan(&rows, &versions)
			if err == nil && (rows < 10 || versions != 1) {
				err = fmt.Errorf("%d rows of %d versions", rows, versions)
			}
			if err != nil {
				seen <- err
				return
			}
		}
	}()
	var second *readview.Manager
	for range 2 {
		second, router = b.manager(fast(), rebuilding(2))
		b.start(router)
	}
	last := b.deposit(5)
	b.waitFor(second, last)
	b.eventually("the older one stands by", func() bool { return b.status(first, "balances").State == consumer.Standby })
	last = b.deposit(1)
	b.waitFor(second, last)
	close(stop)
	require.NoError(t, <-seen)
	require.EqualValues(t, 16, b.int(`SELECT count(*) FROM made WHERE version = 2`))
	require.EqualValues(t, 1, b.int(`SELECT count(*) FROM readview_operations WHERE command = 'rebuild' AND outcome = 'done'`))
	require.EqualValues(t, 2, b.int(`SELECT version FROM readview_states`))

	_, err := second.Rollback(t.Context(), "balances", readview.RebuildOptions{})
	require.ErrorIs(t, err, readview.ErrOtherProgram, "with the handlers of another version")
	b.eventually("the lock of that call is free", func() bool {
		_, err = first.Rollback(t.Context(), "balances", readview.RebuildOptions{})
		return !errors.Is(err, readview.ErrRebuilding)
	})
	require.NoError(t, err)
	last = b.deposit(1)
	b.waitFor(first, last)
	require.EqualValues(t, 17, b.int(`SELECT count(*) FROM made WHERE version = 1`))
	b.eventually("the higher version stands by", func() bool { return b.status(second, "balances").State == consumer.Standby })
}
