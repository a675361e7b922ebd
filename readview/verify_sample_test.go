package readview_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview"
)

func TestVerifySample(t *testing.T) {
	t.Parallel()
	const accounts, each = 5, 8 // as those of the fixture
	t.Run("replays the events of the streams that its rows name, and no others", func(t *testing.T) {
		t.Parallel()
		b, manager, _ := ledgerBank(t, accounts*each)
		found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{Sample: 1})
		require.NoError(t, err)
		require.True(t, found.Equal)
		require.EqualValues(t, 2, found.Sampled, "a row of each table")
		require.LessOrEqual(t, found.Events, int64(2*each))
		require.Contains(t, found.String(), "equal in a sample of 2 rows")
		b.requireNothingLeft()
	})
	t.Run("finds a cell that was changed by hand, and says what a whole verification says", func(t *testing.T) {
		t.Parallel()
		b, manager, _ := ledgerBank(t, accounts*each)
		b.exec(`UPDATE ledger SET amount = 77 WHERE position = (SELECT min(position) FROM ledger)`)
		found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{Sample: accounts * each})
		require.NoError(t, err)
		require.False(t, found.Equal)
		require.Zero(t, found.Sampled)
		require.EqualValues(t, accounts*each, found.Events)
		require.EqualValues(t, 1, found.Tables[1].Differing)
		b.requireNothingLeft()
	})
	t.Run("does not call different what other streams have a part in", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(`CREATE TABLE busiest (first TEXT PRIMARY KEY, deposits INT NOT NULL)`)
		last := b.deposit(6)
		manager, router := b.manager(fast(), readview.Projection{Name: "busiest", Tables: []string{"busiest"}, Handlers: readview.Handlers{
			readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error { // a row of one account counts those of all
				if err := readview.Exec(ctx, tx, `INSERT INTO busiest SELECT $1, 0 WHERE NOT EXISTS (SELECT FROM busiest)`, e.AggregateID()); err != nil {
					return err
				}
				return readview.Exec(ctx, tx, `UPDATE busiest SET deposits = deposits + 1`)
			}),
		}})
		b.start(router)
		b.waitFor(manager, last)
		found, err := manager.Verify(t.Context(), "busiest", readview.VerifyOptions{Sample: 1})
		require.NoError(t, err)
		require.True(t, found.Equal, fmt.Sprint(found))
		require.Zero(t, found.Sampled)
		require.EqualValues(t, 6, found.Events)
	})
}
