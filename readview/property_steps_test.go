package readview_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
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
var steps = []string{"put", "put", "put", "put", "read", "rows", "count", "delete", "one", "several", "prepared", "savepoint", "stream", "returning", "found", "twice", "number", "number", "add", "left", "right", "ask", "copy", "bump", "set", "find", "drop one", "seek", "seek", "seek number", "in vain", "replace", "label"}
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

const labelState = `INSERT INTO state AS s (note, n, key) VALUES ($1::text, $2, $1) ON CONFLICT (key) DO UPDATE SET note = s.note || ', again', n = s.n * 2 % 997`

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
	case "label": // with an argument twice, texts, and types that are given
		return errors.Join(exec(labelState, fmt.Sprint("row ", step.Key[0]%3), int64(step.Key[0])), exec(`UPDATE state SET note = 'it''s ' || $2::text WHERE key = $1::text`, fmt.Sprint("row ", step.Key[0]%4), step.Key))
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
