package pipeline_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// What handlers do for an event, and the round trips of it.
func TestRoundTripsOfHandlers(t *testing.T) {
	t.Parallel()
	const (
		look      = `SELECT note FROM entry WHERE n = $1`
		update    = `UPDATE entry SET note = $2 WHERE n = $1`
		upsert    = `INSERT INTO entry (n, note) VALUES ($1, $2) ON CONFLICT (n) DO UPDATE SET note = EXCLUDED.note`
		returning = `INSERT INTO entry (n) VALUES ($1) RETURNING n`
	)
	exec := func(ctx context.Context, turn *pipeline.Turn, query string, args ...any) error {
		_, err := turn.ExecContext(ctx, query, args...)
		return err
	}
	f := newFixture(t)
	for _, c := range []struct {
		name   string
		events int
		trips  int64
		handle func(ctx context.Context, turn *pipeline.Turn, n int) error
	}{
		{"a look-up, then an update", 10, 10, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			var note sql.NullString
			if err := turn.QueryRowContext(ctx, look, n%3).Scan(&note); err != nil {
				return err
			}
			return exec(ctx, turn, update, n%3, note.String+"x")
		}},
		{"rows, then an update", 10, 10, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			rows, err := turn.QueryContext(ctx, look, n%3)
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			if err := rows.Err(); err != nil {
				return err
			}
			return exec(ctx, turn, update, n%3, "x")
		}},
		{"an insert that returns something, then an insert", 10, 10, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			if err := turn.QueryRowContext(ctx, returning, 1000+2*n).Scan(&n); err != nil {
				return err
			}
			return exec(ctx, turn, insert, n+1)
		}},
		{"an update whose rows are counted, or an insert", 10, 10, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			result, err := turn.ExecContext(ctx, update, 2000+n%7, "x")
			if err != nil {
				return err
			}
			if rows, err := result.RowsAffected(); err != nil || rows > 0 {
				return err
			}
			return exec(ctx, turn, insert, 2000+n%7)
		}},
		{"a prepared upsert", 200, 0, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			stmt, err := turn.PrepareContext(ctx, upsert)
			if err != nil {
				return err
			}
			if _, err = stmt.ExecContext(ctx, n%3, "p"); err != nil {
				return err
			}
			return stmt.Close()
		}},
		{"a prepared look-up, then a prepared upsert", 10, 10, func(ctx context.Context, turn *pipeline.Turn, n int) error {
			find, err := turn.PrepareContext(ctx, look)
			if err != nil {
				return err
			}
			var note sql.NullString
			if err := find.QueryRowContext(ctx, n%3).Scan(&note); err != nil {
				return err
			}
			write, err := turn.PrepareContext(ctx, upsert)
			if err != nil {
				return err
			}
			_, err = write.ExecContext(ctx, n%3, note.String+"y")
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) { //nolint:paralleltest // there is one connection
			f.exec(`TRUNCATE entry`)
			f.exec(`INSERT INTO entry SELECT * FROM generate_series(0, 2)`)
			tx := f.begin(pipeline.Options{})
			defer tx.Close()
			var before int64
			for n := range 5 + c.events {
				if n == 5 { // the statements are prepared, and the table was looked at
					before = f.sends.Load()
				}
				turn := tx.Turn(f.t.Context(), n)
				require.NoError(t, c.handle(f.t.Context(), turn, n))
				require.NoError(t, turn.End(false))
			}
			require.Equal(t, c.trips, f.sends.Load()-before)
			require.NoError(t, tx.Commit(0))
		})
	}
}

// A handler has the same values and types of columns from a query that goes behind others as
// from one that goes alone, of which pgx makes them.
func TestAnswersAreTheSame(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			f.exec(`CREATE TYPE mood AS ENUM ('good', 'bad')`)
			const query = `SELECT $1::int AS n, true, 1::int2, 2::int8, 1.5::float4, 0.1::float8, 12.340::numeric(10,3), 'a'::text, 'b'::varchar(7), 'c'::char(3),
				'\x0001ff'::bytea, '{"a": [1, null]}'::json, '{"a":   1}'::jsonb, '<a/>'::xml, '2020-02-03'::date, 'infinity'::date, '2020-02-03 04:05:06.789'::timestamp,
				'-infinity'::timestamp, '2020-02-03 04:05:06.789+02'::timestamptz, '04:05'::time, '1 day 2 hours'::interval, '0123456789abcdef0123456789abcdef'::uuid,
				'{1,2,NULL}'::int[], '{a,"b c"}'::text[], 'good'::mood, '[1,5)'::int4range, ROW(1, 'x'), 26::oid, '5'::xid, 'pg_class'::regclass, '10.0.0.1/8'::inet, B'101'::bit(3),
				B'10'::varbit(9), '(1,2)'::point, 12.5::money, NULL::int, NULL::text, 'NaN'::float8, 'NaN'::numeric, 'x'::"char", 'y'::name
				FROM generate_series(1, 2)`
			read := func(how pipeline.How) (columns []string, values [][]any) {
				tx := f.begin(pipeline.Options{How: how})
				defer tx.Close()
				turn := tx.Turn(t.Context(), 0)
				require.NoError(t, turn.Exec(t.Context(), insert, 1))
				rows, err := turn.QueryContext(t.Context(), query, 7)
				require.NoError(t, err)
				types, err := rows.ColumnTypes()
				require.NoError(t, err)
				for _, c := range types {
					length, hasLength := c.Length()
					precision, scale, isDecimal := c.DecimalSize()
					columns = append(columns, fmt.Sprint(c.Name(), c.DatabaseTypeName(), c.ScanType(), length, hasLength, precision, scale, isDecimal))
				}
				for rows.Next() {
					row, into := make([]any, len(types)), make([]any, len(types))
					for i := range row {
						into[i] = &row[i]
					}
					require.NoError(t, rows.Scan(into...))
					for i := range row {
						row[i] = fmt.Sprintf("%T %v", row[i], row[i])
					}
					values = append(values, row)
				}
				require.NoError(t, rows.Err())
				require.NoError(t, turn.End(false))
				return columns, values
			}
			wantColumns, want := read(pipeline.Alone)
			columns, values := read(pipeline.Together)
			require.Equal(t, wantColumns, columns)
			require.Equal(t, want, values)
			require.Len(t, values, 2)
		})
	}
}

// A query is told what failed before it, and that names its own event. What fails in the
// query itself is the handler's to know, at once.
func TestFailuresAroundAQuery(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`INSERT INTO entry (n) VALUES (3)`)
	ask := func(turn *pipeline.Turn, query string, args ...any) error {
		return turn.QueryRowContext(t.Context(), query, args...).Scan(new(int))
	}
	const count = `SELECT count(*) FROM entry`

	tx := f.begin(pipeline.Options{How: pipeline.OneByOne})
	for n := range 5 {
		turn := tx.Turn(t.Context(), n)
		require.NoError(t, turn.Exec(t.Context(), insert, n))
		require.NoError(t, turn.End(false))
	}
	turn := tx.Turn(t.Context(), 5)
	require.ErrorContains(t, ask(turn, count), "entry_pkey")
	require.Error(t, turn.End(false))
	event, err := tx.Failure()
	require.Equal(t, 3, event)
	require.ErrorContains(t, err, "entry_pkey")
	tx.Close()

	tx = f.begin(pipeline.Options{How: pipeline.OneByOne})
	turn = tx.Turn(t.Context(), 0)
	require.NoError(t, turn.Exec(t.Context(), insert, 100))
	require.ErrorContains(t, ask(turn, `SELECT 1 / (n - 3) FROM entry WHERE n = $1`, 3), "division by zero")
	require.Error(t, turn.End(false), "the handler ignores it")
	_, err = tx.Failure()
	require.NoError(t, err)
	tx.Close()

	// An error that comes after some rows.
	tx = f.begin(pipeline.Options{How: pipeline.OneByOne})
	turn = tx.Turn(t.Context(), 0)
	rows, err := turn.QueryContext(t.Context(), `SELECT 1 / (4 - n) FROM generate_series(1, $1) AS n`, 9)
	read := 0
	for err == nil && rows.Next() {
		read++
	}
	if err == nil {
		err = rows.Err()
	}
	require.ErrorContains(t, err, "division by zero")
	require.Equal(t, 3, read)
	tx.Close()

	// A table that has other columns than when its query was prepared: the error is
	// seen once, and not by the next transaction.
	const all = `SELECT * FROM entry ORDER BY n`
	look := func() (err error) {
		tx := f.begin(pipeline.Options{})
		defer tx.Close()
		turn := tx.Turn(t.Context(), 0)
		rows, err := turn.QueryContext(t.Context(), all)
		if err != nil {
			return err
		}
		return rows.Close()
	}
	require.NoError(t, look())
	f.exec(`ALTER TABLE entry ADD more INT`)
	require.ErrorContains(t, look(), "cached plan must not change result type")
	require.NoError(t, look())
}

// A query ends with the context of its handler, whether that is the page's or its own.
func TestQueryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const sleep = `SELECT 1 FROM pg_sleep(600)`
	for _, own := range []bool{false, true} {
		page, cancel := context.WithCancel(t.Context())
		defer cancel()
		tx, err := f.db.Begin(page, pipeline.Options{})
		require.NoError(t, err)
		ctx, turn := page, tx.Turn(page, 0)
		require.NoError(t, turn.Exec(ctx, insert, 1))
		if own {
			ctx, cancel = context.WithCancel(page)
			defer cancel()
		}
		time.AfterFunc(50*time.Millisecond, cancel)
		require.Error(t, turn.QueryRowContext(ctx, sleep).Scan(new(int)))
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		_ = turn.End(false)
		require.Error(t, tx.Commit(0))
		tx.Close()
	}
	require.Zero(t, f.int(`SELECT count(*) FROM entry`))
}

// A handler that hangs with an answer in its hands is given up like any other.
func TestAbandonedAnswers(t *testing.T) {
	t.Parallel()
	for _, one := range []bool{false, true} {
		f := newFixture(t)
		tx := f.begin(pipeline.Options{})
		turn := tx.Turn(t.Context(), 0)
		require.NoError(t, turn.Exec(t.Context(), insert, 1))
		const query = `SELECT n FROM generate_series(1, 100000) AS n`
		var rows *sql.Rows
		if one {
			_ = turn.QueryRowContext(t.Context(), query)
		} else {
			var err error
			rows, err = turn.QueryContext(t.Context(), query)
			require.NoError(t, err)
		}
		tx.Abandon()
		if !one {
			require.False(t, rows.Next())
			require.NoError(t, rows.Close())
		}
		require.Error(t, turn.End(false))
		require.Zero(t, f.int(`SELECT count(*) FROM entry`), "the pool has another connection")
	}
}

// The transaction is a handler's to use from several goroutines, with statements that
// go through database/sql and such as don't.
func TestGoroutinesOfAHandler(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tx := f.begin(pipeline.Options{How: pipeline.OneByOne})
	turn := tx.Turn(t.Context(), 0)
	stmt, err := turn.PrepareContext(t.Context(), insert)
	require.NoError(t, err)
	const each = 200
	failures := make(chan error, 2)
	go func() {
		for n := range each {
			result, err := stmt.ExecContext(t.Context(), n)
			if err == nil && n%20 == 0 {
				_, err = result.RowsAffected()
			}
			if err != nil {
				failures <- err
				return
			}
		}
		failures <- nil
	}()
	go func() {
		for n := range each {
			if err := turn.Exec(t.Context(), `INSERT INTO entry (n, note) VALUES ($1, 'other')`, each+n); err != nil {
				failures <- err
				return
			}
		}
		failures <- nil
	}()
	for range 2 {
		require.NoError(t, <-failures)
	}
	require.NoError(t, turn.End(false))
	require.NoError(t, tx.Commit(0))
	tx.Close()
	require.Equal(t, 2*each, f.int(`SELECT count(*) FROM entry`))
}
