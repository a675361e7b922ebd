package watermillsql_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// A look into the log costs what it returns, whether the topic is rare, frequent or
// all, whatever kind of plan the server has kept; and next to nothing while another
// subscriber is active.
func TestPlan(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT n, gen_random_uuid(), CASE WHEN n % 1000 = 0 THEN 'Rare' ELSE 'Frequent' END, 'a', n, 1, now(), '{}'
		FROM generate_series(1, 100000) n`)
	b.exec(`ANALYZE events`)
	for topic, index := range map[string]string{"Rare": "events_name_idx", "Frequent": "events_name_idx", messaging.AllEvents: "events_pkey"} {
		b.exec(`INSERT INTO consumers (name, topic, position) VALUES ('g', $1, 500)`, topic)
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			t.Run(topic+" with "+mode, func(t *testing.T) {
				plan, pages := b.explain(t, mode, topic)
				require.Contains(t, plan, index)
				require.NotContains(t, plan, "Seq Scan on events")
				require.NotContains(t, plan, "Rows Removed")
				require.Less(t, pages, 250, plan)

				active, err := b.pool.Begin(t.Context())
				require.NoError(t, err)
				defer func() { _ = active.Rollback(t.Context()) }()
				_, err = active.Exec(t.Context(), `SELECT FROM consumers FOR UPDATE`)
				require.NoError(t, err)
				plan, pages = b.explain(t, mode, topic)
				require.Less(t, pages, 20, plan)
			})
		}
	}
}

// explain returns the plan of a look, and how many pages it took.
func (b *bank) explain(t *testing.T, mode, topic string) (plan string, pages int) {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	query := b.adapter.SelectQuery(topic, "g", b.adapter)
	for _, statement := range []string{"SET LOCAL plan_cache_mode = " + mode, "PREPARE look AS " + query.Query} {
		_, err := tx.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	var args []string
	for _, arg := range query.Args {
		args = append(args, "'"+arg.(string)+"'")
	}
	rows, err := tx.Query(t.Context(), "EXPLAIN (ANALYZE, BUFFERS) EXECUTE look ("+strings.Join(args, ",")+")")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan += line + "\n"
	}
	require.NoError(t, rows.Err())
	_, err = tx.Exec(t.Context(), "DEALLOCATE look")
	require.NoError(t, err)
	_, buffers, _ := strings.Cut(plan, "Buffers: ") // the first ones are of the whole query
	buffers, _, _ = strings.Cut(buffers, "\n")
	for _, n := range regexp.MustCompile(`(?:hit|read)=(\d+)`).FindAllStringSubmatch(buffers, -1) {
		count, err := strconv.Atoi(n[1])
		require.NoError(t, err)
		pages += count
	}
	return plan, pages
}
