package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Partition is a part of the log by position: one that is archived, or the table events.
type Partition struct {
	From, To eventsourced.Position // of its first and its last event; 0 when there is none
	Events   int64                 // of the table about how many, without those that are archived too; -1 if it was never analyzed
	Bytes    int64                 // on disk: of the file, or of the table with its indexes
	File     string                // in the archive; "" for the table
	SHA256   string                // of the file
	Archived time.Time             // when; zero for the table
}

const (
	partitionsSQL = `SELECT first, last, events, bytes, file, sha256, archived_at FROM {log_archive} ORDER BY last`
	tableSQL      = `SELECT coalesce((SELECT min(tstamp) FROM {events} WHERE tstamp > $1), 0), coalesce((SELECT max(tstamp) FROM {events} WHERE tstamp > $1), 0),
		(SELECT CASE WHEN reltuples < 0 THEN -1 ELSE reltuples::bigint END FROM pg_class WHERE oid = {oid}), pg_total_relation_size({oid})`
)

// Partitions returns the parts of the log in its order: what is archived, and the table last. It looks at no event.
func (s *Store) Partitions(ctx context.Context) (all []Partition, err error) {
	err = again(ctx, s.pool, func() error {
		return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, s.sql.partitions)
			if err != nil {
				return err
			}
			all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Partition, err error) {
				err = row.Scan((*int64)(&p.From), (*int64)(&p.To), &p.Events, &p.Bytes, &p.File, &p.SHA256, &p.Archived)
				p.Archived = p.Archived.UTC()
				return p, err
			})
			if err != nil {
				return err
			}
			table, end := Partition{}, eventsourced.Position(0)
			if len(all) > 0 {
				end = all[len(all)-1].To
			}
			err = tx.QueryRow(ctx, s.sql.table, int64(end)).Scan((*int64)(&table.From), (*int64)(&table.To), &table.Events, &table.Bytes)
			if err == nil && table.Events > 0 && end > 0 {
				batch := &pgx.Batch{}
				table.Events = 0
				s.sql.explain(batch, eventsourced.LogQuery{After: end}, &table.Events)
				err = tx.SendBatch(ctx, batch).Close()
			}
			all = append(all, table)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("look at the log's partitions: %w", translate(err))
	}
	return all, nil
}
