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

// Scripted is an event that says what its handler does.
type Scripted struct {
	eventsourced.BaseEvent
	Steps []Step
}

type Step struct {
	Do  string
	Key string
}

// The things a handler may do. Those from "error" on can't be applied.
var steps = []string{"put", "put", "put", "put", "read", "rows", "count", "delete", "one", "several", "prepared", "savepoint", "stream", "returning", "found", "twice", "number", "number", "add", "left", "right", "ask", "copy", "bump", "set", "find", "drop one", "seek", "seek", "seek number", "in vain", "replace"}
var poisons = []string{"error", "panic", "constraint", "syntax", "swallowed", "none", "late", "row", "copy in", "refused", "ignored", "refused late", "too much", "nothing there", "seek panic", "replace in vain"}

const cells = `
	CREATE TABLE cell (key TEXT PRIMARY KEY, n BIGINT NOT NULL CHECK (n < 1000));
	CREATE TABLE number (n NUMERIC PRIMARY KEY, what TEXT, times INT NOT NULL CHECK (times < 1000));
	CREATE SEQUENCE turns;
	CREATE TABLE left_hand (turn BIGINT DEFAULT nextval('turns'), key TEXT);
	CREATE TABLE right_hand (turn BIGINT DEFAULT nextval('turns'), key TEXT);
	CREATE TABLE trace (id BIGINT GENERATED ALWAYS AS IDENTITY, what TEXT NOT NULL);
	CREATE TABLE state (key TEXT PRIMARY KEY, n BIGINT NOT NULL, note TEXT);
	CREATE TABLE promise (n BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED)`

func onScripted(ctx context.Context, tx readview.Tx, e *Scripted) error {
	for _, step := range e.Steps {
		if err := perform(ctx, tx, step); err != nil {
			return fmt.Errorf("%s: %w", step.Do, err)
		}
	}
	return nil
}

// lookedUp declares some of what onScripted looks up, and some that it does not.
func lookedUp(e *Scripted) (all []readview.Lookup) {
	for _, step := range e.Steps {
		switch step.Do {
		case "seek", "in vain":
			all = append(all, readview.Lookup{Query: find, Args: []any{step.Key}})
		case "seek number":
			all = append(all, readview.Lookup{Query: findNumber, Args: []any{step.Key}})
		case "seek panic":
			panic("no look-up")
		}
	}
	return all
}

const find = `SELECT n FROM cell WHERE key = $1`

const findNumber = `SELECT times FROM number WHERE n = $1` // by no key of which it is known what is equal

const put = `INSERT INTO cell AS c (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = c.n * 2 % 997 + 1`

const replaceState = `INSERT INTO state (key, n, note) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.n, note = EXCLUDED.note`

const bump = `UPDATE cell SET n = n % 800 + $2 WHERE key = $1`

const count = `INSERT INTO number AS old (n, what, times) VALUES ($1, $2, $3)
	ON CONFLICT (n) DO UPDATE SET what = EXCLUDED.what, times = old.times + EXCLUDED.times`

func perform(ctx context.Context, tx readview.Tx, step Step) error {
	exec := func(query string, args ...any) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}
	note := func(format string, args ...any) error {
		return exec(`INSERT INTO trace (what) VALUES ($1)`, fmt.Sprintf(format, args...))
	}
	switch step.Do {
	case "put":
		return exec(put, step.Key, 1)
	case "delete":
		return exec(`DELETE FROM cell WHERE key = $1`, step.Key)
	case "bump": // which reads the row
		return exec(bump, step.Key, 1)
	case "set":
		return exec(`UPDATE cell SET n = $1 WHERE key = $2`, int64(step.Key[0]), step.Key)
	case "replace": // which leaves nothing of what another one made of the row
		return exec(replaceState, fmt.Sprint("row ", step.Key[0]%3), int64(step.Key[0]), step.Key)
	case "replace in vain": // with a row that is refused
		return errors.Join(exec(replaceState, step.Key, 1, "x"), exec(replaceState, step.Key, nil, "y"), exec(replaceState, step.Key, 2, "z"))
	case "in vain":
		return nil
	case "seek panic":
		return errors.New("it did so before")
	case "seek number":
		var times int64
		if err := tx.QueryRowContext(ctx, findNumber, map[string]string{"a": "1", "b": "1.00", "c": "2"}[step.Key]).Scan(&times); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return note("%s was there %d times", step.Key, times)
	case "find", "seek": // a look at one row, which others' rows may be on their way to
		var n int64
		if err := tx.QueryRowContext(ctx, find, step.Key).Scan(&n); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return note("%s was %d", step.Key, n)
	case "drop one":
		return errors.Join(exec(put, step.Key, 1), readview.ExecOne(ctx, tx, `DELETE FROM cell WHERE key = $1`, step.Key))
	case "too much": // for the check of a row
		return errors.Join(exec(put, step.Key, 1), exec(bump, step.Key, 1000))
	case "nothing there":
		return errors.Join(exec(`DELETE FROM cell WHERE key = $1`, step.Key), readview.ExecOne(ctx, tx, bump, step.Key, 1))
	case "number": // keys that are equal and don't look it
		return exec(count, map[string]string{"a": "1", "b": "1.0", "c": "2"}[step.Key], nil, 1)
	case "add": // to what a put has made, or will
		return exec(`INSERT INTO cell AS old (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = old.n % 500 + 3`, step.Key, 1)
	case "left", "right": // which came first can be told
		return exec(`INSERT INTO `+step.Do+`_hand (key) VALUES ($1)`, step.Key)
	case "ask":
		result, err := tx.ExecContext(ctx, count, "3", `"quoted", \ and {}`, 1)
		if err != nil {
			return err
		}
		if rows, err := result.RowsAffected(); err != nil || rows != 1 {
			return fmt.Errorf("%d rows: %w", rows, err)
		}
		return nil
	case "copy":
		return exec(`COPY cell TO STDOUT`)
	case "copy in":
		return exec(`copy cell (key, n)
			FROM stdin`)
	case "row":
		return exec(count, "4", "one of many", 1000)
	case "read": // its own writes and those of events before
		var n int64
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(n), 0) FROM cell WHERE key = $1`, step.Key).Scan(&n); err != nil {
			return err
		}
		return note("%s is %d", step.Key, n)
	case "rows", "count":
		result, err := tx.ExecContext(ctx, `UPDATE cell SET n = n + 1 WHERE key >= $1 AND n < 900`, step.Key)
		if err == nil && step.Do == "count" {
			err = exec(put, "between", 1)
		}
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return err
		}
		return note("%d rows", rows)
	case "one":
		if err := exec(put, step.Key, 1); err != nil {
			return err
		}
		return readview.ExecOne(ctx, tx, `UPDATE cell SET n = 7 WHERE key = $1`, step.Key)
	case "several":
		return exec(`INSERT INTO trace (what) VALUES ('one; of two'); INSERT INTO trace (what) VALUES ('two of two')`)
	case "prepared":
		stmt, err := tx.PrepareContext(ctx, put)
		if err != nil {
			return err
		}
		defer func() { _ = stmt.Close() }()
		if err := note("before"); err != nil {
			return err
		}
		_, err = stmt.ExecContext(ctx, step.Key, 1)
		return err
	case "returning":
		var n int64
		if err := tx.QueryRowContext(ctx, put+` RETURNING n`, step.Key, 1).Scan(&n); err != nil {
			return err
		}
		return exec(put, "returned", n)
	case "found": // an update, or else an insert
		result, err := tx.ExecContext(ctx, `UPDATE cell SET n = n + 1 WHERE key = $1 AND n < 900`, step.Key)
		if err != nil {
			return err
		}
		if rows, err := result.RowsAffected(); err != nil || rows > 0 {
			return err
		}
		return exec(put, step.Key, 1)
	case "twice": // prepared, a look at what is queued
		find, err := tx.PrepareContext(ctx, `SELECT sum(n), count(*) FROM cell WHERE key >= $1`)
		if err != nil {
			return err
		}
		for range 2 {
			var sum sql.NullInt64
			var found int
			if err := find.QueryRowContext(ctx, step.Key).Scan(&sum, &found); err != nil {
				return err
			}
			if err := errors.Join(note("%d of %d", sum.Int64, found), exec(put, step.Key, 1)); err != nil {
				return err
			}
		}
		return nil
	case "savepoint": // an error that the handler deals with
		if err := exec(`SAVEPOINT here`); err != nil {
			return err
		}
		if err := exec(`INSERT INTO cell (key, n) VALUES ($1, 1000)`, step.Key); err == nil {
			return note("not noticed")
		}
		if err := exec(`ROLLBACK TO SAVEPOINT here`); err != nil {
			return err
		}
		return note("dealt with")
	case "stream":
		rows, err := tx.QueryContext(ctx, `SELECT key FROM cell ORDER BY key`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		var keys []string
		for rows.Next() {
			var key string
			if err := rows.Scan(&key); err != nil {
				return err
			}
			keys = append(keys, key)
		}
		return errors.Join(rows.Err(), rows.Close(), note("%s", strings.Join(keys, " ")))
	case "error":
		return errors.New("no")
	case "panic":
		panic("no")
	case "constraint":
		return exec(`INSERT INTO cell (key, n) VALUES ($1, 1000)`, "poison")
	case "syntax":
		return exec(`INSERT INTO no_such_table VALUES ($1)`, 1)
	case "swallowed":
		_ = exec(`INSERT INTO no_such_table VALUES ($1)`, 1)
		return nil
	case "refused", "ignored", "refused late": // by a query behind others
		if err := exec(put, step.Key, 1); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT 1 / (n - $1) FROM generate_series(1, 5) AS n`, map[string]int{"refused late": 4}[step.Do]+1)
		for err == nil && rows.Next() {
		}
		if err == nil {
			err = errors.Join(rows.Err(), rows.Close())
		}
		if step.Do == "ignored" {
			return nil
		}
		return err
	case "none":
		return readview.ExecOne(ctx, tx, `UPDATE cell SET n = 7 WHERE key = $1`, "never")
	case "late":
		return errors.Join(exec(`INSERT INTO promise VALUES (1)`), exec(`INSERT INTO promise VALUES (1)`))
	}
	return fmt.Errorf("no step %q", step.Do)
}

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
		return Step{rapid.SampledFrom([]string{"put", "bump", "set", "delete", "bump", "add", "seek", "seek", "replace", "replace"}).Draw(rt, "do"), rapid.SampledFrom(strings.Split("abcdefgh", "")).Draw(rt, "key")}
	})
	event := rapid.Custom(func(rt *rapid.T) Scripted {
		if rapid.Bool().Draw(rt, "of rows by their keys") {
			return Scripted{Steps: rapid.SliceOfN(keyed, 1, 8).Draw(rt, "steps")}
		}
		if rapid.Bool().Draw(rt, "as the one before") { // then their rows may go together
			do := rapid.SampledFrom([][]string{{"put"}, {"put"}, {"put", "left"}, {"put", "add"}, {"right", "left"}, {"bump"}, {"set", "bump"},
				{"bump", "delete", "put"}, {"bump", "find"}, {"drop one", "bump"}, {"seek", "set"}, {"seek", "bump", "find"}, {"replace"}}).Draw(rt, "several")
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
