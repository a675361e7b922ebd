package readview_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

// Readers of every kind see the old rows or the new ones, all of them, and no error.
func TestReadersNoticeNothingOfARebuild(t *testing.T) {
	t.Parallel()
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
		t.Run(string(how), func(t *testing.T) {
			if !soak.On { // with a hundred readers each they would want more connections than the server has
				t.Parallel()
			}
			const rows = 100
			b, manager, base := ledgerFor(t, how, rows)
			stopWriting := b.write(soak.Times(1, 4))
			r := newReaders(b, fmt.Sprintf(`SELECT count(*) FILTER (WHERE position <= %[1]d), count(DISTINCT coalesce(note, '')) FILTER (WHERE position <= %[1]d),
				(SELECT sum(deposits)::bigint FROM total) - count(*) FROM ledger`, base), rows)
			stop := r.start(soak.Times(6, 100))
			for range soak.Times(1, 50) {
				b.exec(`UPDATE ledger SET note = 'old' WHERE position <= $1`, int64(base))
				_, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: how})
				require.NoError(t, err)
				require.Zero(t, b.int(`SELECT count(*) FROM ledger WHERE note = 'old'`))
				_, err = manager.Rollback(t.Context(), "ledger", readview.RebuildOptions{})
				require.NoError(t, err)
				require.EqualValues(t, rows, b.int(`SELECT count(*) FROM ledger WHERE note = 'old'`))
			}
			stop()
			stopWriting()
			require.Greater(t, r.reads.Load(), int64(20))
		})
	}
}

// readers query without pause, each in its way.
type readers struct {
	b     *bank
	query string // returns how many rows there are, of how many kinds, and what the tables differ by
	rows  int64
	reads atomic.Int64
}

func newReaders(b *bank, query string, rows int64) *readers {
	return &readers{b: b, query: query, rows: rows}
}

func (r *readers) start(n int) (stop func()) {
	t := r.b.t
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	kinds := []func(ctx context.Context, pool *pgxpool.Pool) error{
		r.autocommit(pgx.QueryExecModeCacheStatement), r.autocommit(pgx.QueryExecModeSimpleProtocol), r.autocommit(pgx.QueryExecModeExec),
		r.repeatable, r.cursor, r.prepared,
	}
	failed := make(chan error, n)
	pool, err := pgxpool.New(ctx, r.b.db.URL+fmt.Sprintf("&pool_max_conns=%d", n))
	require.NoError(t, err)
	for i := range n {
		go func() {
			var err error
			for ctx.Err() == nil && err == nil {
				err = kinds[i%len(kinds)](context.WithoutCancel(ctx), pool)
				r.reads.Add(1)
			}
			failed <- err
		}()
	}
	return func() {
		cancel()
		for range n {
			require.NoError(t, <-failed)
		}
		pool.Close()
	}
}

func (r *readers) check(row pgx.Row) error {
	var count, kinds, differ int64
	if err := row.Scan(&count, &kinds, &differ); err != nil {
		return err
	}
	if count != r.rows || kinds != 1 || differ != 0 {
		return fmt.Errorf("%d rows of %d, of %d kinds, %d from the other table", count, r.rows, kinds, differ)
	}
	return nil
}

func (r *readers) autocommit(mode pgx.QueryExecMode) func(ctx context.Context, pool *pgxpool.Pool) error {
	return func(ctx context.Context, pool *pgxpool.Pool) error { return r.check(pool.QueryRow(ctx, r.query, mode)) }
}

// repeatable takes its snapshot before it looks at the tables.
func (r *readers) repeatable(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_sleep(0.01)`); err != nil {
			return err
		}
		if err := r.check(tx.QueryRow(ctx, r.query)); err != nil {
			return err
		}
		return r.check(tx.QueryRow(ctx, r.query))
	})
}

func (r *readers) cursor(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DECLARE c CURSOR FOR `+r.query); err != nil {
			return err
		}
		return r.check(tx.QueryRow(ctx, `FETCH 1 FROM c`))
	})
}

func (r *readers) prepared(ctx context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Conn().Prepare(ctx, "mine", r.query); err != nil {
		return err
	}
	for range 10 {
		if err := r.check(conn.QueryRow(ctx, "mine")); err != nil {
			return err
		}
	}
	return nil
}
