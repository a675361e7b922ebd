package query_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// BenchmarkNearby asks for what is on near two homes in a month, of 20,000 dances.
func BenchmarkNearby(b *testing.B) {
	reader := query.New(newYear(b))
	for name, ask := range map[string]func(context.Context) error{
		"first 50 by date": func(ctx context.Context) error {
			_, err := reader.Events(ctx, nearby(), query.ByDate, 50, "")
			return err
		},
		"first 50 by distance": func(ctx context.Context) error {
			_, err := reader.Events(ctx, nearby(), query.ByDistance, 50, "")
			return err
		},
		"summary": func(ctx context.Context) error { _, err := reader.Summary(ctx, nearby()); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := ask(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// explained sends each statement again with EXPLAIN, and keeps the plans.
type explained struct {
	t     *testing.T
	plans []string
}

func (e *explained) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(data.SQL, "WITH") {
		var plan json.RawMessage
		err := conn.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+data.SQL, data.Args...).Scan(&plan)
		require.NoError(e.t, err)
		e.plans = append(e.plans, string(plan))
	}
	return ctx
}

func (e *explained) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestPlanOfNearby reads the dances of the period by their date, not all there are,
// and for the next page only from where it begins.
func TestPlanOfNearby(t *testing.T) {
	t.Parallel()
	config := newYear(t).Config().ConnConfig.Copy()
	plans := &explained{t: t}
	config.Tracer = plans
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	reader := query.NewOn(conn)

	for range 8 { // more often than PostgreSQL keeps planning anew for a prepared statement
		for _, sort := range []query.Sort{query.ByDate, query.ByDistance} {
			page, err := reader.Events(t.Context(), nearby(), sort, 50, "")
			require.NoError(t, err)
			require.Len(t, page.Items, 50)
			_, err = reader.Events(t.Context(), nearby(), sort, 50, page.Cursors[49])
			require.NoError(t, err)
		}
		_, err := reader.Summary(t.Context(), nearby())
		require.NoError(t, err)
	}
	require.Len(t, plans.plans, 8*5)
	for _, plan := range plans.plans {
		require.Contains(t, plan, `"event_date_idx"`)
		require.NotRegexp(t, `"Node Type": "Seq Scan",[^}]*"Relation Name": "event"`, plan)
		var root []struct {
			Plan struct {
				Cost float64 `json:"Total Cost"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(plan), &root))
		require.Len(t, root, 1)
		require.Less(t, root[0].Plan.Cost, 2_000.0, "with five times the halls it would be compiled each time, for longer than it runs: %s", plan)
	}
}
