package readview_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

// TestPagesAreInvisible runs random histories through random handlers in pages of
// several sizes, with connections lost at random points: tables, position and
// recorded failure are the same.
func TestPagesAreInvisible(t *testing.T) {
	t.Parallel()
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(soak.Times(20, 2000)))) // nothing else is drawn in this package
	var banks []*bank
	sizes := []int{1, 7, 1000, 1000}
	for i := range sizes {
		b := newBank(t, func(c *pgxpool.Config) {
			if i == 3 { // the connections keep no statements
				c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
			}
		})
		b.exec(cells)
		scripted, err := eventsourced.NewRegistry(eventsourced.Type[Scripted]("Scripted"))
		require.NoError(t, err)
		b.store = pgstore.New(b.pool, scripted, pgstore.Config{})
		t.Cleanup(b.store.Close)
		banks = append(banks, b)
	}
	plain := newBank(t)
	plain.exec(cells)
	rapid.Check(t, func(rt *rapid.T) {
		history := drawHistory(rt)
		truth := plain.playPlainly(rt, history)
		want := banks[0].play(rt, history, sizes[0], -1)
		require.Equal(rt, truth, slices.DeleteFunc(slices.Clone(want), func(line string) bool { return strings.HasPrefix(line, "state scripted ") }))
		for i := 1; i < len(banks); i++ {
			crash := rapid.IntRange(-1, 40).Draw(rt, "crash")
			require.Equal(rt, want, banks[i].play(rt, history, sizes[i], crash), "pages of %d", sizes[i])
		}
	})
}

func drawHistory(rt *rapid.T) []Scripted {
	step := rapid.Custom(func(rt *rapid.T) Step {
		return Step{rapid.SampledFrom(steps).Draw(rt, "do"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "key")}
	})
	keyed := rapid.Custom(func(rt *rapid.T) Step { // what goes together with others of its kind, and in its order with others
		return Step{rapid.SampledFrom([]string{"put", "bump", "set", "delete", "bump", "add", "seek", "seek", "replace", "replace", "label"}).Draw(rt, "do"), rapid.SampledFrom(strings.Split("abcdefgh", "")).Draw(rt, "key")}
	})
	event := rapid.Custom(func(rt *rapid.T) Scripted {
		if rapid.Bool().Draw(rt, "of rows by their keys") {
			return Scripted{Steps: rapid.SliceOfN(keyed, 1, 8).Draw(rt, "steps")}
		}
		if rapid.Bool().Draw(rt, "as the one before") { // then their rows may go together
			do := rapid.SampledFrom([][]string{{"put"}, {"put"}, {"put", "left"}, {"put", "add"}, {"right", "left"}, {"bump"}, {"set", "bump"},
				{"bump", "delete", "put"}, {"bump", "find"}, {"drop one", "bump"}, {"seek", "set"}, {"seek", "bump", "find"}, {"replace"}, {"label"}, {"label", "replace"}}).Draw(rt, "several")
			var e Scripted
			for _, what := range do {
				for _, key := range rapid.SliceOfN(rapid.SampledFrom(strings.Split("abcdefgh", "")), 1, 6).Draw(rt, "keys") {
					e.Steps = append(e.Steps, Step{what, key})
				}
			}
			return e
		}
		return Scripted{Steps: rapid.SliceOfN(step, 0, 3).Draw(rt, "steps")}
	})
	history := rapid.SliceOfN(event, 1, 25).Draw(rt, "history")
	if poison := rapid.IntRange(-10, len(history)-1).Draw(rt, "poisoned"); poison >= 0 {
		e := &history[poison]
		e.Steps = append(e.Steps, Step{Do: rapid.SampledFrom(poisons).Draw(rt, "poison")})
	}
	return history
}

const contents = `(SELECT 'cell ' || key || ' ' || n FROM cell ORDER BY 1)
	UNION ALL (SELECT concat_ws(' ', 'state', key, n, note) FROM state ORDER BY 1)
	UNION ALL (SELECT concat_ws(' ', 'number', n, what, times) FROM number ORDER BY 1)
	UNION ALL (SELECT hand || key FROM (SELECT 'left ' AS hand, * FROM left_hand UNION ALL SELECT 'right ', * FROM right_hand) turn ORDER BY turn)
	UNION ALL (SELECT 'trace ' || what FROM trace ORDER BY id)`

// playPlainly applies a history event by event, each in a plain transaction, up to the
// first one that fails: the truth, as nothing of this package has a hand in it.
func (b *bank) playPlainly(rt *rapid.T, history []Scripted) []string {
	b.empty("cell", "state", "number", "left_hand", "right_hand", "trace", "promise")
	db := stdlib.OpenDBFromPool(b.pool)
	defer func() { require.NoError(rt, db.Close()) }()
	position := 0
	for i := range history {
		if !b.applyPlainly(rt, db, &history[i]) {
			break
		}
		position = 1000 + i*10
	}
	return append([]string{fmt.Sprint("position ", position)}, b.rows(contents)...)
}

// empty is TRUNCATE for tables of a few rows, in less time.
func (b *bank) empty(tables ...string) {
	b.exec(`DELETE FROM ` + strings.Join(tables, `; DELETE FROM `))
}

func (b *bank) applyPlainly(rt *rapid.T, db *sql.DB, e *Scripted) (applied bool) {
	tx, err := db.BeginTx(b.t.Context(), nil)
	require.NoError(rt, err)
	defer func() {
		_ = tx.Rollback() // nothing to do after a commit
		if recover() != nil {
			applied = false
		}
	}()
	if slices.ContainsFunc(e.Steps, func(s Step) bool { return s.Do == "copy in" }) {
		return false // it would wait for ever
	}
	return onScripted(b.t.Context(), tx, e) == nil && tx.Commit() == nil
}

// play projects a history from the start and tells what came of it. The
// connections are lost when the given failpoint is passed, counted from 0.
func (b *bank) play(rt *rapid.T, history []Scripted, pageEvents, crash int) []string {
	b.empty("events", "readviews", "readview_states", "cell", "state", "number", "left_hand", "right_hand", "trace", "promise")
	var payloads []string
	for _, event := range history {
		payload, err := json.Marshal(event)
		require.NoError(rt, err)
		payloads = append(payloads, string(payload))
	}
	b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT 990 + 10 * n, lpad(n::text, 32, '0')::uuid, 'Scripted', 'a', 'a', n, now(), payload::json
		FROM unnest($1::text[]) WITH ORDINALITY AS history (payload, n)`, payloads)
	router := message.NewDefaultRouter(watermill.NopLogger{})
	config := fast()
	config.PageEvents = pageEvents
	config.Attempts = 1
	config.PollInterval = 50 * time.Millisecond // it waits for that where connections are lost
	manager, err := readview.NewManager(router, b.store, b.pool, config)
	require.NoError(rt, err)
	require.NoError(rt, manager.Add(readview.Projection{Name: "scripted", Handlers: readview.Handlers{readview.On(onScripted, lookedUp)}}))
	var passed atomic.Int64
	readview.SetFailpoint(manager, func(string) {
		if passed.Add(1) == int64(crash)+1 {
			_, _ = b.pool.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = $1`, b.application)
			b.pool.Reset() // or there would be a pause for each that is lost
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	<-router.Running()
	err = manager.WaitFor(ctx, eventsourced.Position(1000+(len(history)-1)*10))
	for err != nil && !errors.Is(err, readview.ErrNotRunning) && ctx.Err() == nil { // the wait's own connection was lost
		err = manager.WaitFor(ctx, eventsourced.Position(1000+(len(history)-1)*10))
	}
	if err != nil {
		require.ErrorIs(rt, err, readview.ErrNotRunning)
	}
	cancel()
	require.NoError(rt, <-done)
	const query = `SELECT 'position ' || position FROM readviews
		UNION ALL SELECT concat_ws(' ', 'state scripted', status, CASE status WHEN 'failed' THEN concat_ws(' ', error, failed_event, failed_name, failed_position) END)
		FROM readview_states
		UNION ALL ` + contents
	var outcome []string
	require.Eventually(rt, func() bool { // a pool full of lost connections needs a few tries
		rows, err := b.pool.Query(context.Background(), query)
		if err != nil {
			return false
		}
		defer rows.Close()
		outcome = nil
		for rows.Next() {
			var row string
			if rows.Scan(&row) != nil {
				return false
			}
			outcome = append(outcome, row)
		}
		return rows.Err() == nil
	}, time.Minute, 5*time.Millisecond)
	return outcome
}
