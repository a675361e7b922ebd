package main

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/readview"
)

const handlerEvents = 20_000

// The tables of handlers that ask. Their events are numbered by their amounts.
const handlerTables = `
	CREATE TABLE entry (n BIGINT PRIMARY KEY, account TEXT NOT NULL, total BIGINT NOT NULL);
	CREATE TABLE note (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account TEXT NOT NULL);
	CREATE TABLE line (note BIGINT NOT NULL, amount BIGINT NOT NULL)`

// A job is done by a handler, and a page at a time by a loop with pgx.Batch and by sets.
type job struct {
	handle  func(ctx context.Context, tx readview.Tx, e *Deposited) error
	lookUps func(e *Deposited) []readview.Lookup // declared, nil for none
	loop    func(ctx context.Context, tx pgx.Tx, page []Deposited) error
	sets    func(ctx context.Context, tx pgx.Tx, page []Deposited) error
	entries bool // the table has a row for each event before
}

const (
	lookUp        = `SELECT amount FROM balance WHERE account = $1`
	replaceAmount = `INSERT INTO balance (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET amount = EXCLUDED.amount`
	setAmount     = `UPDATE balance SET amount = $2 WHERE account = $1`
	increase      = `UPDATE balance SET amount = amount + $2 WHERE account = $1`
	hotSets       = `INSERT INTO balance (account, amount) SELECT * FROM unnest($1::text[], $2::bigint[]) ON CONFLICT (account) DO UPDATE SET amount = EXCLUDED.amount`
	open          = `INSERT INTO balance (account, amount) VALUES ($1, $2)`
	newNote       = `INSERT INTO note (account) VALUES ($1) RETURNING id`
	newLine       = `INSERT INTO line (note, amount) VALUES ($1, $2)`
	newEntry      = `INSERT INTO entry (n, account, total) VALUES ($1, $2, 0)`
	addTotal      = `UPDATE entry SET total = total + $2 WHERE n = $1`
	setTotal      = `UPDATE entry SET total = $2 WHERE n = $1`
	getTotal      = `SELECT total FROM entry WHERE n = $1`
	dropEntry     = `DELETE FROM entry WHERE n = $1`
	putEntry      = `INSERT INTO entry (n, account, total) VALUES ($1, $2, $3)`
	addSets       = `INSERT INTO balance AS b (account, amount) SELECT account, sum(amount) FROM unnest($1::text[], $2::bigint[]) AS page (account, amount) GROUP BY account
		ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount`
	turnSets = `WITH page AS (SELECT account, amount FROM unnest($1::text[], $2::bigint[]) AS page (account, amount)),
		entered AS (INSERT INTO entry SELECT amount, account, amount FROM page)
		INSERT INTO line (note, amount) SELECT amount, amount FROM page`
	noteSets = `WITH page AS (SELECT account, amount, nextval('note_id_seq') AS id FROM unnest($1::text[], $2::bigint[]) AS page (account, amount)),
		noted AS (INSERT INTO note (id, account) OVERRIDING SYSTEM VALUE SELECT id, account FROM page)
		INSERT INTO line (note, amount) SELECT id, amount FROM page`
)

var lookUpJob = job{
	handle: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		var amount int64
		if err := tx.QueryRowContext(ctx, lookUp, e.AggregateID()).Scan(&amount); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		} else if err != nil {
			return readview.Exec(ctx, tx, open, e.AggregateID(), e.Amount)
		}
		return readview.Exec(ctx, tx, setAmount, e.AggregateID(), amount+e.Amount)
	},
	loop: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		batch := &pgx.Batch{}
		for _, e := range page {
			var amount int64
			found := true
			batch.Queue(lookUp, e.AggregateID()).QueryRow(func(row pgx.Row) (err error) {
				found, err = orNone(row.Scan(&amount))
				return err
			})
			if err := tx.SendBatch(ctx, batch).Close(); err != nil {
				return err
			}
			batch = &pgx.Batch{}
			if found {
				batch.Queue(setAmount, e.AggregateID(), amount+e.Amount)
			} else {
				batch.Queue(open, e.AggregateID(), e.Amount)
			}
		}
		return tx.SendBatch(ctx, batch).Close()
	},
	sets: bySets(addSets),
}

var preparedJob = job{
	handle: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		stmt, err := tx.PrepareContext(ctx, upsert)
		if err != nil {
			return err
		}
		_, err = stmt.ExecContext(ctx, e.AggregateID(), e.Amount)
		return errors.Join(err, stmt.Close())
	},
	loop: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		batch := &pgx.Batch{}
		for _, e := range page {
			batch.Queue(upsert, e.AggregateID(), e.Amount)
		}
		return tx.SendBatch(ctx, batch).Close()
	},
	sets: bySets(addSets),
}

var countedJob = job{
	handle: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		result, err := tx.ExecContext(ctx, increase, e.AggregateID(), e.Amount)
		if err != nil {
			return err
		}
		if rows, err := result.RowsAffected(); err != nil || rows > 0 {
			return err
		}
		return readview.Exec(ctx, tx, open, e.AggregateID(), e.Amount)
	},
	loop: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		batch := &pgx.Batch{}
		for _, e := range page {
			batch.Queue(increase, e.AggregateID(), e.Amount)
			results := tx.SendBatch(ctx, batch)
			rows := int64(0)
			for range batch.Len() {
				tag, err := results.Exec()
				if err != nil {
					return errors.Join(err, results.Close())
				}
				rows = tag.RowsAffected()
			}
			if err := results.Close(); err != nil {
				return err
			}
			batch = &pgx.Batch{}
			if rows == 0 {
				batch.Queue(open, e.AggregateID(), e.Amount)
			}
		}
		return tx.SendBatch(ctx, batch).Close()
	},
	sets: bySets(addSets),
}

var returningJob = job{
	handle: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		var id int64
		if err := tx.QueryRowContext(ctx, newNote, e.AggregateID()).Scan(&id); err != nil {
			return err
		}
		return readview.Exec(ctx, tx, newLine, id, e.Amount)
	},
	loop: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		batch := &pgx.Batch{}
		for _, e := range page {
			var id int64
			batch.Queue(newNote, e.AggregateID()).QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
			if err := tx.SendBatch(ctx, batch).Close(); err != nil {
				return err
			}
			batch = &pgx.Batch{}
			batch.Queue(newLine, id, e.Amount)
		}
		return tx.SendBatch(ctx, batch).Close()
	},
	sets: bySets(noteSets),
}

// hotJob has each of ten rows replaced a hundred times a page.
var hotJob = job{
	handle: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		return readview.Exec(ctx, tx, replaceAmount, hot(e), e.Amount)
	},
	loop: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		batch := &pgx.Batch{}
		for _, e := range page {
			batch.Queue(replaceAmount, hot(&e), e.Amount)
		}
		return tx.SendBatch(ctx, batch).Close()
	},
	sets: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		last := map[string]int64{}
		for i := range page {
			last[hot(&page[i])] = page[i].Amount
		}
		accounts := slices.Collect(maps.Keys(last))
		amounts := make([]int64, len(accounts))
		for i, account := range accounts {
			amounts[i] = last[account]
		}
		_, err := tx.Exec(ctx, hotSets, accounts, amounts)
		return err
	},
}

func hot(e *Deposited) string { return "account-" + strconv.FormatInt(e.Amount%10, 10) }

// turnsJob writes two tables in turn.
var turnsJob = job{
	handle: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if err := readview.Exec(ctx, tx, putEntry, e.Amount, e.AggregateID(), e.Amount); err != nil {
			return err
		}
		return readview.Exec(ctx, tx, newLine, e.Amount, e.Amount)
	},
	loop: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		batch := &pgx.Batch{}
		for _, e := range page {
			batch.Queue(putEntry, e.Amount, e.AggregateID(), e.Amount)
			batch.Queue(newLine, e.Amount, e.Amount)
		}
		return tx.SendBatch(ctx, batch).Close()
	},
	sets: bySets(turnSets),
}

// mixedJob is 40% INSERT, 40% UPDATE, 10% DELETE and 10% look-up, then UPDATE, each of a row of
// an earlier event that is drawn evenly.
var mixedJob = job{
	handle: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		do, key := mixed(e)
		switch {
		case do < 4:
			return readview.Exec(ctx, tx, newEntry, e.Amount, e.AggregateID())
		case do < 8:
			return readview.Exec(ctx, tx, addTotal, key, e.Amount)
		case do == 8:
			return readview.Exec(ctx, tx, dropEntry, key)
		}
		var total int64
		if found, err := orNone(tx.QueryRowContext(ctx, getTotal, key).Scan(&total)); !found || err != nil {
			return err
		}
		return readview.Exec(ctx, tx, setTotal, key, total+1)
	},
	loop: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		batch := &pgx.Batch{}
		for _, e := range page {
			do, key := mixed(&e)
			switch {
			case do < 4:
				batch.Queue(newEntry, e.Amount, e.AggregateID())
				continue
			case do < 8:
				batch.Queue(addTotal, key, e.Amount)
				continue
			case do == 8:
				batch.Queue(dropEntry, key)
				continue
			}
			var total int64
			found := true
			batch.Queue(getTotal, key).QueryRow(func(row pgx.Row) (err error) {
				found, err = orNone(row.Scan(&total))
				return err
			})
			if err := tx.SendBatch(ctx, batch).Close(); err != nil {
				return err
			}
			batch = &pgx.Batch{}
			if found {
				batch.Queue(setTotal, key, total+1)
			}
		}
		return tx.SendBatch(ctx, batch).Close()
	},
	sets: mixedSets,
}

// declaring is a job whose handler declares its look-ups.
func (j job) declaring(lookUps func(e *Deposited) []readview.Lookup) job {
	j.lookUps = lookUps
	return j
}

func lookUpAmount(e *Deposited) []readview.Lookup {
	return []readview.Lookup{{Query: lookUp, Args: []any{e.AggregateID()}}}
}

func lookUpTotal(e *Deposited) []readview.Lookup {
	if do, key := mixed(e); do > 8 {
		return []readview.Lookup{{Query: getTotal, Args: []any{key}}}
	}
	return nil
}

// mixed tells what an event does, and to which row.
func mixed(e *Deposited) (do, key int64) {
	tens := e.Amount / 10
	return e.Amount % 10, e.Amount*7919%(tens+1)*10 + e.Amount%4
}

// mixedSets fetches the rows of a page, does its work in memory, and writes them.
func mixedSets(ctx context.Context, tx pgx.Tx, page []Deposited) error {
	type entry struct {
		account string
		total   int64
	}
	var keys []int64
	for i := range page {
		if do, key := mixed(&page[i]); do >= 4 {
			keys = append(keys, key)
		}
	}
	rows, err := tx.Query(ctx, `SELECT n, account, total FROM entry WHERE n = ANY($1)`, keys)
	if err != nil {
		return err
	}
	var n int64
	var found entry
	entries := map[int64]*entry{}
	if _, err := pgx.ForEachRow(rows, []any{&n, &found.account, &found.total}, func() error {
		entries[n] = &entry{found.account, found.total}
		return nil
	}); err != nil {
		return err
	}
	var gone []int64
	for i := range page {
		e := &page[i]
		do, key := mixed(e)
		row := entries[key]
		switch {
		case do < 4:
			entries[e.Amount] = &entry{account: e.AggregateID()}
		case row == nil:
		case do < 8:
			row.total += e.Amount
		case do == 8:
			delete(entries, key)
			gone = append(gone, key)
		default:
			row.total++
		}
	}
	var accounts []string
	var totals []int64
	keys = keys[:0]
	for key, e := range entries {
		keys, accounts, totals = append(keys, key), append(accounts, e.account), append(totals, e.total)
	}
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM entry WHERE n = ANY($1)`, gone)
	batch.Queue(`INSERT INTO entry SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ON CONFLICT (n) DO UPDATE SET total = EXCLUDED.total`, keys, accounts, totals)
	return tx.SendBatch(ctx, batch).Close()
}

func orNone(err error) (found bool, _ error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// bySets does a page in one statement, of accounts and amounts.
func bySets(query string) func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
	return func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
		accounts, amounts := make([]string, len(page)), make([]int64, len(page))
		for i := range page {
			accounts[i], amounts[i] = page[i].AggregateID(), page[i].Amount
		}
		_, err := tx.Exec(ctx, query, accounts, amounts)
		return err
	}
}
