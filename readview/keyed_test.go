package readview_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// A row of many that can't be changed, or is not there, is its event's failure, and those before are applied.
func TestOneOfManyRowsThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler func(context.Context, readview.Tx, *Filled) error
		reason  string
	}{
		"a check": {func(ctx context.Context, tx readview.Tx, e *Filled) error {
			return readview.Exec(ctx, tx, `UPDATE cell SET n = $2 WHERE key = $1`, e.N, e.N/60*1000)
		}, "cell_n_check"},
		"one row that has to be there": {func(ctx context.Context, tx readview.Tx, e *Filled) error {
			return readview.ExecOne(ctx, tx, `UPDATE cell SET n = n + 1 WHERE key = $1`, e.N+e.N/60*1000)
		}, readview.ErrNotOneRow.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFilled(t, 100, `CREATE TABLE cell (key INT PRIMARY KEY, n INT NOT NULL CHECK (n < 1000)); INSERT INTO cell SELECT n, 1 FROM generate_series(1, 100) n`)
			manager := playFilled(b, 1000, c.handler)
			b.eventually("it fails", func() bool { return b.status(manager, "filled").State == consumer.Failed })
			failure := b.status(manager, "filled").Failure
			require.EqualValues(t, 1060, failure.Position)
			require.Contains(t, failure.Error, c.reason)
			require.EqualValues(t, 59, b.int(`SELECT count(*) FROM cell WHERE n <> 1`))
			require.EqualValues(t, 1059, b.int(`SELECT position FROM readviews`))
		})
	}
}

// Rows that have to be there go together, and so do all whose counts nobody asks for; a count that is asked for is that of its statement.
func TestCountsOfRowsThatAreFoundByTheirKey(t *testing.T) {
	t.Parallel()
	b := newFilled(t, 200, `CREATE TABLE cell (key INT PRIMARY KEY, n INT NOT NULL DEFAULT 0); CREATE TABLE told (at INT, n INT); INSERT INTO cell SELECT n FROM generate_series(1, 150) n`)
	b.waitFor(playFilled(b, 1000, func(ctx context.Context, tx readview.Tx, e *Filled) error {
		if e.N <= 150 {
			if err := readview.ExecOne(ctx, tx, `UPDATE cell SET n = n + 7 WHERE key = $1`, e.N); err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(ctx, `UPDATE cell SET n = n * $2 WHERE key = $1`, e.N, 2)
		if err != nil || e.N%20 != 0 {
			return err
		}
		rows, err := result.RowsAffected()
		return errors.Join(err, readview.Exec(ctx, tx, `INSERT INTO told (at, n) VALUES ($1, $2)`, e.N, rows))
	}), 1200, "filled")
	require.Equal(t, []string{"14 150"}, b.rows(`SELECT concat_ws(' ', n, count(*)) FROM cell GROUP BY n`))
	require.Equal(t, []string{"0 3", "1 7"}, b.rows(`SELECT concat_ws(' ', n, count(*)) FROM told GROUP BY n ORDER BY n`))
}
