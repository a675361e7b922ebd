package readview_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	t.Run("says that tables equal their replay", func(t *testing.T) {
		t.Parallel()
		b, manager, last := ledgerBank(t, 30)
		found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
		require.NoError(t, err)
		require.True(t, found.Equal)
		require.Equal(t, last, found.Position)
		require.EqualValues(t, 30, found.Events)
		require.Equal(t, "equal", found.String()[:5])
		b.requireNothingLeft()
	})
	t.Run("finds every row that was changed by hand, and names what differs", func(t *testing.T) {
		t.Parallel()
		b, manager, last := ledgerBank(t, 30)
		b.exec(`UPDATE ledger SET amount = 77, note = 'x' WHERE position = (SELECT min(position) FROM ledger)`)
		b.exec(`DELETE FROM ledger WHERE position = (SELECT max(position) FROM ledger)`)
		b.exec(`INSERT INTO total VALUES ('nobody', 3, 1)`)
		found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{Events: 3})
		require.NoError(t, err)
		require.False(t, found.Equal)
		require.EqualValues(t, 1, found.Tables[0].Extra)
		require.JSONEq(t, `{"account": "nobody"}`, string(found.Tables[0].First[0].Key))
		l := found.Tables[1]
		require.Equal(t, map[string]int64{"amount": 1, "note": 1}, l.Columns)
		require.EqualValues(t, []int64{1, 1, 0}, []int64{l.Differing, l.Missing, l.Extra})
		require.Equal(t, "77", *l.First[0].Columns["amount"][0])
		require.Equal(t, "1", *l.First[0].Columns["amount"][1])
		require.Nil(t, l.First[0].Columns["note"][1])
		require.Nil(t, l.First[1].Live)
		require.Equal(t, []readview.TouchingEvent{{Position: last, Name: "Deposited", Op: "INSERT"}}, l.First[1].Events)
		require.Len(t, l.First[0].Events, 1)
		require.Empty(t, found.Tables[0].First[0].Events, "no event makes it")
		require.Equal(t, last, b.status(manager, "ledger").Position)
		require.EqualValues(t, 1, b.int(`SELECT count(*) FROM ledger WHERE amount = 77`), "it changes nothing")
		b.requireNothingLeft()
	})
	t.Run("catches a handler that is not deterministic, and leaves out what is declared", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(`CREATE TABLE loaded (position BIGINT PRIMARY KEY, loaded_at TIMESTAMPTZ NOT NULL, n BIGSERIAL)`)
		last := b.deposit(10)
		projection := readview.Projection{Name: "loaded", Tables: []string{"loaded"},
			Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
				return readview.Exec(ctx, tx, `INSERT INTO loaded (position, loaded_at) VALUES ($1, clock_timestamp())`, int64(eventsourced.FromContext(ctx).Position))
			})}}
		manager, router := b.manager(fast(), projection)
		stop := b.start(router)
		b.waitFor(manager, last)
		stop()
		found, err := manager.Verify(t.Context(), "loaded", readview.VerifyOptions{})
		require.NoError(t, err)
		require.False(t, found.Equal)
		require.Equal(t, map[string]int64{"loaded_at": 10}, found.Tables[0].Columns)
		require.Equal(t, []readview.LeftOutColumn{{Column: "n", Why: "a sequence fills it"}}, found.Tables[0].LeftOut)

		projection.NotFromLog = []string{"loaded.loaded_at"}
		manager, _ = b.manager(fast(), projection)
		found, err = manager.Verify(t.Context(), "loaded", readview.VerifyOptions{})
		require.NoError(t, err)
		require.True(t, found.Equal)
		require.Equal(t, []readview.LeftOutColumn{{Column: "loaded_at", Why: "declared in NotFromLog"}, {Column: "n", Why: "a sequence fills it"}}, found.Tables[0].LeftOut)

		b.exec(`UPDATE loaded SET n = n + 100 WHERE n <= 3`)
		b.exec(`INSERT INTO loaded VALUES (17, now())`)
		_, err = manager.Rebuild(t.Context(), "loaded", readview.RebuildOptions{Verify: true})
		require.ErrorIs(t, err, readview.ErrDiffers)
		require.ErrorContains(t, err, "loaded: 0 rows lacking, 0 different, 1 too many, left out loaded_at (declared in NotFromLog), left out n (a sequence fills it); a handler")
		require.EqualValues(t, 3, b.int(`SELECT count(*) FROM loaded WHERE n > 100`))
		b.exec(`DELETE FROM loaded WHERE position = 17`)
		found, err = manager.Verify(t.Context(), "loaded", readview.VerifyOptions{})
		require.NoError(t, err)
		require.True(t, found.Equal)
		done, err := manager.Rebuild(t.Context(), "loaded", readview.RebuildOptions{Verify: true})
		require.NoError(t, err, "as the verification says")
		require.Equal(t, []readview.TableChange{{Table: "loaded", Rows: 10, Updated: 3}}, done.Tables)
		require.Equal(t, []string{"loaded: 3 rows had other numbers of a sequence in n, and nothing else that differs; verify leaves that out"}, done.Warnings)

		projection.NotFromLog = []string{"loaded.other"}
		manager, _ = b.manager(fast(), projection)
		_, err = manager.Verify(t.Context(), "loaded", readview.VerifyOptions{})
		require.ErrorIs(t, err, readview.ErrImpossible)
	})
	t.Run("compares tables without a key", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		last := b.deposit(10)
		manager, router := b.manager(fast(), balances())
		b.start(router)
		b.waitFor(manager, last)
		found, err := manager.Verify(t.Context(), "balances", readview.VerifyOptions{})
		require.NoError(t, err)
		require.True(t, found.Equal, found)
		b.exec(`UPDATE journal SET amount = 2 WHERE entry = 3`)
		found, err = manager.Verify(t.Context(), "balances", readview.VerifyOptions{})
		require.NoError(t, err)
		require.False(t, found.Equal)
		require.EqualValues(t, 1, found.Tables[1].Extra)
		require.EqualValues(t, 1, found.Tables[1].Missing)
	})
	t.Run("is exact while writers append", func(t *testing.T) {
		t.Parallel()
		b, manager, _ := ledgerBank(t, 10)
		b.write(4)
		for range 5 {
			found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
			require.NoError(t, err)
			require.True(t, found.Equal, found)
		}
	})
	t.Run("counts what was skipped, and a rebuild leaves on record what fails again", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(ledgerTables)
		b.deposit(5)
		poison := b.record("account-2", &Deposited{Amount: 13})
		last := b.deposit(5)
		broken := true
		projection := ledger(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			if e.Amount == 13 && broken {
				return errThirteen
			}
			return onLedger(ctx, tx, e)
		}))
		manager, router := b.manager(fast(), projection)
		stop := b.start(router)
		b.eventually("it fails", func() bool { return b.status(manager, "ledger").State == consumer.Failed })
		require.NoError(t, manager.Skip(t.Context(), "ledger", poison, "it is not ours"))
		b.waitFor(manager, last)
		found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
		require.NoError(t, err)
		require.False(t, found.Equal)
		require.EqualValues(t, 1, found.Skipped)
		require.Contains(t, found.String(), "1 event skipped")
		require.Zero(t, found.Tables[0].Differing+found.Tables[1].Missing, "%+v", found)

		_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{})
		require.NoError(t, err)
		require.EqualValues(t, 1, b.status(manager, "ledger").Skipped)
		stop()
		broken = false
		_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{})
		require.NoError(t, err)
		require.Zero(t, b.status(manager, "ledger").Skipped)
		b.requireLedger(last)
	})
}
