package pgstore_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// A reader of some names pays for their events, not for the log, whether they are
// one or many, rare or frequent, and whatever kind of plan the server has kept.
func TestPlanOfReadingByName(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT n, gen_random_uuid(), CASE WHEN n % 100 = 0 THEN 'Rare' ELSE 'Frequent' END || n / 100 % 12, 'a', n, 1, now(), '{}'
		FROM generate_series(1, 1000000) n`)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `ANALYZE events`)
	require.NoError(t, err)
	for _, kind := range []string{"Rare", "Frequent"} {
		for _, names := range []int{2, 12} {
			for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
				t.Run(fmt.Sprintf("%d %s names with %s", names, kind, mode), func(t *testing.T) {
					plan := explain(t, db, store, mode, kind, names)
					require.Contains(t, plan, "events_name_idx")
					require.NotContains(t, plan, "Seq Scan")
					require.NotContains(t, plan, "Filter:", "nothing is read in vain")
				})
			}
		}
	}
	all := read(t, store, eventsourced.LogQuery{Names: []string{"Rare3", "Rare4"}, After: 500_000, Limit: 7})
	require.Len(t, all, 7)
}

func explain(t *testing.T, db *testdb.DB, store *pgstore.Store, mode, kind string, names int) string {
	t.Helper()
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	wanted := make([]string, names)
	for i := range wanted {
		wanted[i] = fmt.Sprint(kind, i)
	}
	for _, statement := range []string{
		"SET LOCAL plan_cache_mode = " + mode,
		"PREPARE names (bigint, bigint, bigint, text[]) AS " + pgstore.ReadNamesSQL(store),
	} {
		_, err := tx.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	rows, err := tx.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE names (500000, %d, 1000, '{%s}')", math.MaxInt64, strings.Join(wanted, ",")))
	require.NoError(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	_, err = tx.Exec(t.Context(), "DEALLOCATE names")
	require.NoError(t, err)
	return plan.String()
}
