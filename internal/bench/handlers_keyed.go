package main

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/readview"
)

const (
	// A row for each event, for jobs that change what is there.
	allEntries = `INSERT INTO entry SELECT n, 'account-' || n % 1000, 0 FROM generate_series(1::bigint, $1) n`

	setSets = `UPDATE entry SET total = page.amount FROM unnest($1::text[], $2::bigint[]) AS page (account, amount) WHERE n = page.amount`
	dropSet = `DELETE FROM entry USING unnest($1::text[], $2::bigint[]) AS page (account, amount) WHERE n = page.amount`
)

var (
	counterJob = statementJob(upsert, addSets, false, func(e *Deposited) []any { return []any{e.AggregateID(), e.Amount} })
	updateJob  = statementJob(setTotal, setSets, true, func(e *Deposited) []any { return []any{e.Amount, e.Amount} })
	deleteJob  = statementJob(dropEntry, dropSet, true, func(e *Deposited) []any { return []any{e.Amount} })
)

// statementJob executes one statement an event.
func statementJob(query, sets string, entries bool, args func(e *Deposited) []any) job {
	return job{
		entries: entries,
		handle: func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			return readview.Exec(ctx, tx, query, args(e)...)
		},
		loop: func(ctx context.Context, tx pgx.Tx, page []Deposited) error {
			batch := &pgx.Batch{}
			for i := range page {
				batch.Queue(query, args(&page[i])...)
			}
			return tx.SendBatch(ctx, batch).Close()
		},
		sets: bySets(sets),
	}
}
