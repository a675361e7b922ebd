package readview_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestRebuildIsCancelled(t *testing.T) {
	t.Parallel()
	for name, heeds := range map[string]bool{"and the handler heeds its context": true, "and the handler does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _, last := ledgerBank(t, 20)
			b.tamper()
			before := b.rows(`SELECT ledger::text FROM ledger ORDER BY position`)
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			defer close(release)
			manager, _ := b.manager(fast(), ledger(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
				if eventsourced.FromContext(ctx).Position == last {
					cancel()
					if heeds {
						<-ctx.Done()
						return ctx.Err()
					}
					<-release
				}
				return onLedger(ctx, tx, e)
			})))
			_, err := manager.Rebuild(ctx, "ledger", readview.RebuildOptions{})
			require.ErrorIs(t, err, readview.ErrCancelled)
			require.ErrorContains(t, err, "all is as it was")
			require.Equal(t, before, b.rows(`SELECT ledger::text FROM ledger ORDER BY position`))
			b.requireNothingLeft()
		})
	}
}

func TestRebuildOneAtATime(t *testing.T) {
	t.Parallel()
	b, _, _ := ledgerBank(t, 10)
	entered, release := make(chan struct{}), make(chan struct{})
	n := 0
	slow, _ := b.manager(fast(), ledger(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if n++; n == 5 {
			close(entered)
			<-release
		}
		return onLedger(ctx, tx, e)
	})))
	done := make(chan error, 1)
	go func() {
		_, err := slow.Rebuild(context.WithoutCancel(t.Context()), "ledger", readview.RebuildOptions{})
		done <- err
	}()
	<-entered
	manager, _ := b.manager(fast(), ledger())
	_, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{})
	require.ErrorIs(t, err, readview.ErrRebuilding)
	require.ErrorContains(t, err, "replaying")
	left, err := manager.Cleanup(t.Context(), "ledger", readview.CleanupOptions{})
	require.NoError(t, err)
	require.True(t, left[0].Busy)
	require.False(t, left[0].Removed)
	close(release)
	require.NoError(t, <-done)
}

// A swap waits for old snapshots and locks, says for whom, and gives up with all as it was.
func TestSwapIsImpatient(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"an old snapshot":   `SELECT 1 FROM pg_class LIMIT 1`,
		"a table is locked": `LOCK TABLE ledger IN ACCESS SHARE MODE`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, manager, last := ledgerFor(t, readview.HowSwap, 10)
			b.exec(`UPDATE ledger SET note = 'old'`)
			tx, err := b.pool.Begin(t.Context())
			require.NoError(t, err)
			var others []pgx.Tx
			isolation := "REPEATABLE READ"
			if name == "a table is locked" {
				isolation = "READ COMMITTED"
			}
			_, err = tx.Exec(t.Context(), `SET TRANSACTION ISOLATION LEVEL `+isolation)
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), query)
			require.NoError(t, err)
			for range 3 {
				other, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(isolation)})
				require.NoError(t, err)
				_, err = other.Exec(t.Context(), query)
				require.NoError(t, err)
				defer func() { _ = other.Rollback(context.Background()) }()
				others = append(others, other)
			}
			waits := ""
			_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: readview.HowSwap, Patience: time.Second,
				Progress: func(p readview.RebuildProgress) { waits += p.Waits }})
			require.ErrorIs(t, err, readview.ErrImpatient)
			require.ErrorContains(t, err, "; and 1 more")
			named := 0
			for _, tx := range append(others, tx) {
				who := fmt.Sprintf("pid %d ", tx.Conn().PgConn().PID())
				if strings.Contains(err.Error(), who) && strings.Contains(waits, who) {
					named++
				}
				require.NoError(t, tx.Rollback(t.Context()))
			}
			require.Equal(t, 3, named)
			require.EqualValues(t, 10, b.int(`SELECT count(*) FROM ledger WHERE note = 'old'`))
			b.requireNothingLeft()
			_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: readview.HowSwap})
			require.NoError(t, err)
			b.requireLedger(last)
		})
	}
}

// A rollback that is interrupted keeps what it had for as long as before, and the next one goes the same way. Nor does a grant
// since then keep what an apply has kept from being put back.
func TestRollbackThatIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]string{"as it begins": "restoring", "in the end": "applied rows", "never": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, manager, _ := ledgerBank(t, 10)
			b.exec(`UPDATE ledger SET note = 'before'; GRANT SELECT ON ledger TO PUBLIC`)
			done, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{Keep: 72 * time.Hour})
			require.NoError(t, err)
			b.exec(`REVOKE SELECT ON ledger FROM PUBLIC`)
			if interrupt != "" {
				ctx, cancel := context.WithCancel(t.Context())
				readview.SetFailpoint(manager, func(point string) {
					if point == interrupt {
						cancel()
					}
				})
				_, err = manager.Rollback(ctx, "ledger", readview.RebuildOptions{})
				require.ErrorIs(t, err, readview.ErrCancelled)
				readview.SetFailpoint(manager, func(string) {})
			}
			kept, err := manager.Cleanup(t.Context(), "ledger", readview.CleanupOptions{DryRun: true})
			require.NoError(t, err)
			require.Len(t, kept, 1)
			require.Contains(t, kept[0].Of, "before the apply at ")
			require.WithinDuration(t, done.KeptUntil, kept[0].Until, time.Minute)
			require.Zero(t, b.int(`SELECT count(*) FROM ledger WHERE note = 'before'`))

			back, err := manager.Rollback(t.Context(), "ledger", readview.RebuildOptions{})
			require.NoError(t, err)
			require.Equal(t, readview.HowApply, back.How)
			require.EqualValues(t, 10, b.int(`SELECT count(*) FROM ledger WHERE note = 'before'`))
			b.requireNothingLeft("kept")
		})
	}
}

// What a node has applied after the shadows were brought up to date is in them before the live tables get their content: the
// position never goes back, and no event counts twice.
func TestARebuildNeverSetsThePositionBack(t *testing.T) {
	t.Parallel()
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			b, live, last := ledgerFor(t, how, 10)
			b.exec(`CREATE TABLE set_back (position BIGINT);
				CREATE FUNCTION set_back() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO set_back VALUES (NEW.position); RETURN NULL; END';
				CREATE TRIGGER set_back AFTER UPDATE ON readviews FOR EACH ROW WHEN (NEW.position < OLD.position) EXECUTE FUNCTION set_back()`)
			manager, _ := b.manager(fast(), ledger())
			readview.SetFailpoint(manager, func(point string) {
				if point == "caught up" {
					last = b.deposit(3)
					b.waitFor(live, last)
				}
			})
			for _, replace := range []func(context.Context, string, readview.RebuildOptions) (readview.Rebuilt, error){manager.Rebuild, manager.Rollback} {
				done, err := replace(t.Context(), "ledger", readview.RebuildOptions{How: how})
				require.NoError(t, err)
				require.Equal(t, last, done.Position)
			}
			last = b.deposit(1)
			b.waitFor(live, last)
			b.requireLedger(last)
			require.Empty(t, b.rows(`SELECT position::text FROM set_back`))
		})
	}
}
