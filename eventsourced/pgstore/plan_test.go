package pgstore_test

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
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
		FROM generate_series(1, 150000) n`)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `ANALYZE events`)
	require.NoError(t, err)
	for _, kind := range []string{"Rare", "Frequent"} {
		for _, names := range []int{2, 12} {
			for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
				t.Run(fmt.Sprintf("%d %s names with %s", names, kind, mode), func(t *testing.T) {
					wanted := make([]string, names)
					for i := range wanted {
						wanted[i] = fmt.Sprint(kind, i)
					}
					sql, _ := pgstore.SelectionSQL(store, eventsourced.LogQuery{Names: wanted})
					plan := explain(t, db, mode, "EXPLAIN", "(bigint, bigint, bigint, text[])", sql,
						fmt.Sprintf("75000, %d, 1000, '{%s}'", math.MaxInt64, strings.Join(wanted, ",")))
					require.Contains(t, plan, "events_name_idx")
					require.NotContains(t, plan, "Seq Scan on events")
					looksAtTheArchive := strings.NewReplacer("Filter: (last >", "", "One-Time Filter:", "")
					require.NotContains(t, looksAtTheArchive.Replace(plan), "Filter:", "nothing is read in vain")
				})
			}
		}
	}
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT 150000 + n, gen_random_uuid(), 'Other', 'rare', 'x', n, now(), '{}' FROM generate_series(1, 200) n; ANALYZE events`)
	require.NoError(t, err)
	streams := []eventsourced.Stream{{AggregateName: "a", AggregateID: "7"}, {AggregateName: "rare", AggregateID: "x"}}
	for name, test := range map[string]struct {
		query     eventsourced.LogQuery
		types     string
		arguments string
		modes     []string // a statement with a filter is planned each time
		index     string
	}{
		"streams":              {eventsourced.LogQuery{Streams: streams}, ", text[], text[]", `, '{a,rare}', '{7,x}'`, []string{"force_custom_plan", "force_generic_plan"}, "events_stream_key"},
		"streams, backwards":   {eventsourced.LogQuery{Streams: streams, Backwards: true}, ", text[], text[]", `, '{a,rare}', '{7,x}'`, []string{"force_custom_plan", "force_generic_plan"}, "events_stream_key"},
		"names, backwards":     {eventsourced.LogQuery{Names: []string{"Rare1", "Rare2"}, Backwards: true}, ", text[]", `, '{Rare1,Rare2}'`, []string{"force_custom_plan", "force_generic_plan"}, "events_name_idx"},
		"all, backwards":       {eventsourced.LogQuery{Backwards: true}, "", "", []string{"force_custom_plan", "force_generic_plan"}, "events_pkey"},
		"a rare aggregate":     {eventsourced.LogQuery{AggregateName: "rare"}, ", text", ", 'rare'", []string{"force_custom_plan"}, "events_stream_key"},
		"a frequent aggregate": {eventsourced.LogQuery{AggregateName: "a"}, ", text", ", 'a'", []string{"force_custom_plan"}, "events_pkey"},
	} {
		for _, mode := range test.modes {
			for what, statement := range map[string]func(*pgstore.Store, eventsourced.LogQuery) (string, []any){"reading": pgstore.SelectionSQL, "counting": pgstore.CountingSQL} {
				t.Run(what+" "+name+" with "+mode, func(t *testing.T) {
					sql, arguments := statement(store, test.query)
					require.Equal(t, len(test.modes) == 1, arguments[0] == pgx.QueryExecModeCacheDescribe)
					plan := explain(t, db, mode, "EXPLAIN", "(bigint, bigint, bigint"+test.types+")", sql, fmt.Sprintf("0, %d, 1000%s", math.MaxInt64, test.arguments))
					require.Contains(t, plan, test.index)
					require.NotContains(t, plan, "Seq Scan on events")
				})
			}
		}
	}
	first, firstNamed := pgstore.FirstSQL(store)
	for sql, index := range map[string]string{first: "events_pkey", firstNamed: "events_name_idx"} {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			t.Run("the first of each with "+index+" and "+mode, func(t *testing.T) {
				plan := explain(t, db, mode, "EXPLAIN", "(bigint, int[], bigint[], bigint[], text[])", sql, fmt.Sprintf("0, '{0,1}', '{0,7}', '{%d,9}', '{a,Rare1}'", math.MaxInt64))
				require.Contains(t, plan, index)
				require.NotContains(t, plan, "Seq Scan on events")
			})
		}
	}
	all := read(t, store, eventsourced.LogQuery{Names: []string{"Rare3", "Rare4"}, After: 75_000, Limit: 7})
	require.Len(t, all, 7)
}

// notes is an aggregate that counts its events.
type notes struct {
	eventsourced.Root
	count int
}

func (n *notes) Apply(eventsourced.Event) { n.count++ }
func (n *notes) MarshalSnapshot() ([]byte, error) {
	return strconv.AppendInt(nil, int64(n.count), 10), nil
}
func (n *notes) UnmarshalSnapshot(state []byte) (err error) {
	n.count, err = strconv.Atoi(string(state))
	return err
}

// An aggregate of 10,000 events with a snapshot is loaded like one that has no more
// than those since, in what the server looks at and in what it sends.
func TestLoadWithASnapshotCostsTheEventsSince(t *testing.T) {
	t.Parallel()
	const all, since = 10_000, 10
	sent := &rowCounter{}
	db := testdb.New(t, func(c *pgxpool.Config) { c.ConnConfig.Tracer = sent })
	store := open(t, db)
	for id, events := range map[string]int{"long": all, "short": since} {
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
			SELECT (SELECT coalesce(max(tstamp), 0) FROM events) + n, gen_random_uuid(), 'Noted', 'test.Note', $1, n, now(), '{"Text": "x"}'
			FROM generate_series(1, $2::int) n`, id, events)
		require.NoError(t, err)
	}
	_, err := db.Pool.Exec(t.Context(), `ANALYZE events`)
	require.NoError(t, err)
	var position eventsourced.Position
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT tstamp FROM events WHERE aggregate_id = 'long' AND version = $1`, all-since).Scan(&position))
	require.NoError(t, store.SaveSnapshot(t.Context(), stream("long"),
		eventsourced.Snapshot{Version: all - since, Position: position, SchemaVersion: 1, State: []byte(strconv.Itoa(all - since))}))

	repository := eventsourced.NewRepository[notes](store, "test.Note", eventsourced.RepositoryConfig{SnapshotEvery: 1000, SnapshotSchema: 1})
	load := func(id string, events int) (rows int64) {
		before := sent.rows.Load()
		n, err := repository.Load(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, events, n.count)
		return sent.rows.Load() - before
	}
	require.EqualValues(t, since, load("short", since))
	require.EqualValues(t, since+2, load("long", all), "the snapshot and its last event are two more")

	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		t.Run(mode, func(t *testing.T) {
			read := func(id string, after int) (blocks int) {
				plan := explain(t, db, mode, "EXPLAIN (ANALYZE, BUFFERS, TIMING off)", "(text, text, bigint)", pgstore.ReadStreamSQL(store),
					fmt.Sprintf("'test.Note', '%s', %d", id, after))
				require.NotContains(t, plan, "Filter:", "nothing is read in vain")
				_, buffers, _ := strings.Cut(plan, "Buffers:") // of the outermost node: its own and the others'
				buffers, _, _ = strings.Cut(buffers, "\n")
				for _, count := range regexp.MustCompile(`(?:hit|read)=(\d+)`).FindAllStringSubmatch(buffers, -1) {
					n, err := strconv.Atoi(count[1])
					require.NoError(t, err)
					blocks += n
				}
				return blocks
			}
			short, long := read("short", 0), read("long", all-since-1)
			require.Positive(t, short)
			require.LessOrEqual(t, long, short+5, "blocks; the whole stream has %d", read("long", 0))
		})
	}
}

// rowCounter is a tracer that counts the rows which the server sends.
type rowCounter struct{ rows atomic.Int64 }

func (c *rowCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (c *rowCounter) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if data.CommandTag.Select() {
		c.rows.Add(data.CommandTag.RowsAffected())
	}
}

// explain returns the plan of a query, which the server has prepared, with arguments.
func explain(t *testing.T, db *testdb.DB, mode, command, types, query, arguments string) string {
	t.Helper()
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	for _, statement := range []string{
		"SET LOCAL plan_cache_mode = " + mode,
		"PREPARE explained " + types + " AS " + query,
	} {
		_, err := tx.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	rows, err := tx.Query(t.Context(), fmt.Sprintf("%s EXECUTE explained (%s)", command, arguments))
	require.NoError(t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	require.NoError(t, rows.Err())
	_, err = tx.Exec(t.Context(), "DEALLOCATE explained")
	require.NoError(t, err)
	return plan.String()
}
