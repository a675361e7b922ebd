package readview_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// seats is a projection whose rows come, change, move to other keys and go, by the amounts of deposits.
func seats() readview.Projection {
	return readview.Projection{Name: "seats", Tables: []string{"seat", "taking"}, Handlers: readview.Handlers{readview.On(
		func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			account, seat := e.AggregateID(), e.Amount%10
			switch e.Amount / 10 {
			case 0:
				return readview.Exec(ctx, tx, `INSERT INTO seat AS s (seat, guest, meals, price) VALUES ($1, $2, 1, 1.50) ON CONFLICT (seat) DO UPDATE SET guest = EXCLUDED.guest, meals = s.meals + 1`, seat, account)
			case 1:
				return readview.Exec(ctx, tx, `UPDATE seat SET meals = meals + 1 WHERE seat = $1`, seat)
			case 2:
				return readview.Exec(ctx, tx, `UPDATE seat SET seat = seat + 100 WHERE seat = $1`, seat)
			case 3:
				return readview.Exec(ctx, tx, `DELETE FROM seat WHERE seat = $1`, seat)
			}
			return readview.Exec(ctx, tx, `INSERT INTO taking (account) VALUES ($1)`, account)
		})}}
}

const seatTables = `CREATE TABLE seat (seat INT PRIMARY KEY, guest TEXT NOT NULL, meals INT NOT NULL, price NUMERIC NOT NULL, double NUMERIC GENERATED ALWAYS AS (price * 2) STORED);
	CREATE TABLE taking (account TEXT NOT NULL)`

func TestExplain(t *testing.T) {
	t.Parallel()
	b := newBank(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["statement_timeout"] = "10min" })
	b.exec(seatTables)
	manager, router := b.manager(fast(), seats())
	b.start(router)
	var at []eventsourced.Position
	for i, amount := range []int64{3, 13, 4, 23, 33, 3, 34, 44, 44} {
		at = append(at, b.record(fmt.Sprintf("guest %d", i), &Deposited{Amount: amount}))
	}
	b.waitFor(manager, at[8])
	explained := func(options readview.ExplainOptions) (lines []string) {
		t.Helper()
		found, err := manager.Explain(t.Context(), "seats", options)
		require.NoError(t, err)
		require.Equal(t, at[8], found.Position)
		for _, step := range found.Steps {
			require.Equal(t, step.Position, step.Event.Position)
			var columns []string
			for column, values := range step.Columns {
				columns = append(columns, column+" "+string(values[0])+">"+string(values[1]))
			}
			n := 0
			for at[n] != step.Position {
				n++
			}
			lines = append(lines, fmt.Sprintf("%d %s %s %d", n, step.Op, step.Key, len(columns)))
			if step.Op == "UPDATE" && len(columns) == 1 {
				lines[len(lines)-1] += " " + columns[0]
			}
		}
		return lines
	}
	first := []string{`0 INSERT {"seat": 3} 5`, `1 UPDATE {"seat": 3} 1 meals 1>2`, `3 UPDATE {"seat": 103} 1 seat 3>103`}
	require.Equal(t, append(first, `5 INSERT {"seat": 3} 5`), explained(readview.ExplainOptions{Where: "guest = 'guest 0' -- of the first seat"}),
		"the row that was moved, and what came to its key")
	require.Equal(t, []string{`2 INSERT {"seat": 4} 5`, `6 DELETE {"seat": 4} 5`}, explained(readview.ExplainOptions{Where: "seat.seat = 4 OR false"}), "one that is no more")
	require.Equal(t, []string{`7 INSERT {"account": "guest 7"} 1`}, explained(readview.ExplainOptions{Where: "account = 'guest 7'", Table: "taking"}), "without a key")
	require.Equal(t, []string{`5 INSERT {"seat": 3} 5`}, explained(readview.ExplainOptions{Where: "seat IN (3, 103)", Limit: 1}), "the last ones")
	require.Empty(t, explained(readview.ExplainOptions{Where: "double = 7"}))
	found, err := manager.Explain(t.Context(), "seats", readview.ExplainOptions{Where: "seat = 3"})
	require.NoError(t, err)
	require.Len(t, found.Live, 1)
	require.JSONEq(t, string(found.Live[0]), string(found.Steps[len(found.Steps)-1].After))
	require.Equal(t, []bool{false, false}, []bool{found.MoreLive, found.MoreSteps})
	found, err = manager.Explain(t.Context(), "seats", readview.ExplainOptions{Where: "seat = 3 AND current_setting('statement_timeout') = '0'", Limit: len(found.Steps) - 1})
	require.NoError(t, err)
	require.Len(t, found.Live, 1, "what an operator asks may take its time")
	for _, conn := range b.pool.AcquireAllIdle(t.Context()) {
		var timeout string
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT current_setting('statement_timeout')`).Scan(&timeout))
		require.Equal(t, "10min", timeout, "and others' statements not")
		conn.Release()
	}
	require.Equal(t, []bool{false, true}, []bool{found.MoreLive, found.MoreSteps})

	for where, wrong := range map[string]string{"": "Where is empty", "nonsense = 1": "nonsense", "true": "several have these columns",
		"(SELECT pg_catalog.setval('x', 1)) = 1": "x", "seat = 1; DROP TABLE seat": "syntax error"} {
		_, err := manager.Explain(t.Context(), "seats", readview.ExplainOptions{Where: where})
		require.ErrorContains(t, err, wrong, where)
	}
	_, err = manager.Explain(t.Context(), "seats", readview.ExplainOptions{Where: "true", Table: "balance"})
	require.ErrorContains(t, err, "not one of the projection's Tables")
	b.requireNothingLeft()
}

// Of rows that many events have changed, in whatever order, the last one that did is named.
func TestExplainNamesTheLastEventOfARow(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(seatTables)
	config := fast()
	config.PageEvents = 17
	manager, router := b.manager(config, seats())
	b.start(router)
	random := rand.New(rand.NewPCG(1, 2))
	last := map[int64]eventsourced.Position{} // by seat: what has made it what it is
	var end eventsourced.Position
	for range 150 {
		seat, kind := random.Int64N(10), random.Int64N(3)
		if kind == 2 {
			kind = 3
		}
		end = b.record("guest", &Deposited{Amount: 10*kind + seat})
		if _, there := last[seat]; there || kind == 0 {
			last[seat] = end
		}
		if kind == 3 {
			delete(last, seat)
		}
	}
	b.waitFor(manager, end)
	require.NotEmpty(t, last)
	found, err := manager.Explain(t.Context(), "seats", readview.ExplainOptions{Where: "seat < 10"})
	require.NoError(t, err)
	named := map[int64]readview.Step{}
	for _, step := range found.Steps {
		var key struct{ Seat int64 }
		require.NoError(t, json.Unmarshal(step.Key, &key))
		if named[key.Seat] = step; step.After == nil {
			delete(named, key.Seat)
		}
	}
	require.Len(t, named, len(last))
	require.Len(t, found.Live, len(last))
	for _, row := range found.Live {
		var key struct{ Seat int64 }
		require.NoError(t, json.Unmarshal(row, &key))
		require.Equal(t, last[key.Seat], named[key.Seat].Position)
		require.JSONEq(t, string(row), string(named[key.Seat].After))
	}
}

func TestExplainLeavesOutWhatWasSkipped(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.deposit(5)
	position := b.record("account-1", &Deposited{Amount: 99})
	last := b.deposit(5)
	projection := poisoned(new(atomic.Bool), failing)
	projection.Tables, projection.Reset = []string{"balance", "journal"}, nil
	manager, router := b.manager(fast(), projection)
	b.start(router)
	b.failed(manager, "balances")
	require.NoError(t, manager.Skip(t.Context(), "balances", position, "a test"))
	b.waitFor(manager, last)
	found, err := manager.Explain(t.Context(), "balances", readview.ExplainOptions{Where: "account = 'account-1'"})
	require.NoError(t, err)
	require.Len(t, found.Steps, 2)
	require.False(t, strings.Contains(string(found.Steps[1].After), "101"))
}

// What an interrupted explanation has asked for does not go on at the server, and nothing of it is left.
func TestExplainIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ where, handler string }{
		"at the rows":             {"pg_sleep(3600) IS NULL", ""},
		"at the plan of the rows": {"guest = immutable()", ""},
		"in a handler":            {"seat = 3", "SELECT pg_sleep(3600)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.exec(seatTables + `; CREATE FUNCTION immutable() RETURNS TEXT IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(3600); RETURN ''; END$$`)
			projection := seats()
			manager, router := b.manager(fast(), projection)
			stop := b.start(router)
			b.waitFor(manager, b.record("guest", &Deposited{Amount: 3}))
			stop()
			if c.handler != "" {
				projection.Handlers = readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
					return readview.Exec(ctx, tx, c.handler)
				})}
			}
			manager, _ = b.manager(fast(), projection)
			ctx, interrupt := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := manager.Explain(ctx, "seats", readview.ExplainOptions{Table: "seat", Where: c.where})
				ended <- err
			}()
			asked := fmt.Sprintf(`SELECT count(*) FROM pg_stat_activity WHERE application_name = '%s' AND wait_event = 'PgSleep'`, b.application)
			b.eventually("it is asked", func() bool { return b.int(asked) == 1 })
			interrupt()
			require.ErrorIs(t, <-ended, context.Canceled)
			require.Zero(t, b.int(asked))
			b.requireNothingLeft()
		})
	}
}
