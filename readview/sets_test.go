package readview_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview"
)

// A handler that writes its tables in turn has their rows go together, and the tables are what pages of one
// event make of them, also where the order among rows of several statements can be told.
func TestRowsOfSeveralStatementsGoTogether(t *testing.T) {
	t.Parallel()
	const ddl = `CREATE TABLE one (n BIGINT PRIMARY KEY); CREATE TABLE other (n BIGINT PRIMARY KEY, what TEXT, m NUMERIC, flag TEXT);
		CREATE SEQUENCE turns; CREATE TABLE left_hand (n BIGINT, turn BIGINT DEFAULT nextval('turns')); CREATE TABLE right_hand (n BIGINT, turn BIGINT DEFAULT nextval('turns'));
		CREATE TABLE cell (key BIGINT PRIMARY KEY, n BIGINT)`
	both := func(ctx context.Context, tx readview.Tx, e *Filled) error {
		return errors.Join(
			readview.Exec(ctx, tx, `INSERT INTO one (n) VALUES ($1)`, e.N),
			readview.Exec(ctx, tx, `INSERT INTO other (n, what, m, flag) VALUES ($1, NULL, 7, true)`, e.N))
	}
	for name, c := range map[string]struct {
		handler func(context.Context, readview.Tx, *Filled) error
		look    string
		sets    string // distinct statements that have made rows
	}{
		"of two tables, one with constants": {both, `SELECT n::text FROM one UNION ALL SELECT concat_ws(' ', n, what, m, flag) FROM other ORDER BY 1`, `SELECT count(*) FROM (SELECT DISTINCT cmin::text FROM one UNION ALL SELECT DISTINCT cmin::text FROM other) s`},
		"a row by itself goes as it is": {func(ctx context.Context, tx readview.Tx, e *Filled) error {
			result, err := tx.ExecContext(ctx, `INSERT INTO other (n, what, m, flag) VALUES ($1, $2, NULL, $3)`, e.N, "", nil)
			if err != nil {
				return err
			}
			rows, err := result.RowsAffected()
			return errors.Join(err, readview.Exec(ctx, tx, `INSERT INTO one (n) VALUES ($1)`, rows*int64(e.N)))
		}, `SELECT n::text FROM one UNION ALL SELECT concat_ws(' ', n, what IS NULL, m, flag IS NULL) FROM other ORDER BY 1`, ""},
		"not where both draw from a sequence": {func(ctx context.Context, tx readview.Tx, e *Filled) error {
			return errors.Join(
				readview.Exec(ctx, tx, `INSERT INTO left_hand (n) VALUES ($1)`, e.N),
				readview.Exec(ctx, tx, `INSERT INTO right_hand (n) VALUES ($1)`, e.N))
		}, `SELECT n || which FROM (SELECT 'l' AS which, * FROM left_hand UNION ALL SELECT 'r', * FROM right_hand) h ORDER BY turn`, ""},
		"not where both are of one table": {func(ctx context.Context, tx readview.Tx, e *Filled) error {
			return errors.Join(
				readview.Exec(ctx, tx, `INSERT INTO cell AS c (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = c.n * 2 % 997 + 1`, e.N%20, 1),
				readview.Exec(ctx, tx, `INSERT INTO cell AS old (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = old.n + 3`, e.N*7%20, 1),
				readview.Exec(ctx, tx, `INSERT INTO cell AS before (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = before.n * 3 % 991`, e.N*3%20, 1))
		}, `SELECT key || ' ' || n FROM cell ORDER BY key`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var outcomes [][]string
			for _, pageEvents := range []int{1, 1000} {
				b := newFilled(t, 200, ddl)
				b.waitFor(playFilled(b, pageEvents, c.handler), 1200, "filled")
				outcomes = append(outcomes, b.rows(c.look))
				if c.sets != "" && pageEvents > 1 {
					require.Less(t, b.int(c.sets), int64(10), "rows go together")
				}
			}
			require.Equal(t, outcomes[0], outcomes[1])
		})
	}
}
