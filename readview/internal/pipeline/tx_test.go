package pipeline_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// Whoever asks first, and however: what he does is of the transaction.
func TestNothingRunsBeforeBegin(t *testing.T) {
	t.Parallel()
	const returning = insert + ` RETURNING n`
	for name, first := range map[string]func(ctx context.Context, turn *pipeline.Turn) error{
		"a statement": func(ctx context.Context, turn *pipeline.Turn) error {
			_, err := turn.ExecContext(ctx, insert, 1)
			return err
		},
		"a statement whose rows are counted": func(ctx context.Context, turn *pipeline.Turn) error {
			result, err := turn.ExecContext(ctx, insert, 1)
			if err == nil {
				_, err = result.RowsAffected()
			}
			return err
		},
		"a statement that can't be queued": func(ctx context.Context, turn *pipeline.Turn) error {
			_, err := turn.ExecContext(ctx, `INSERT INTO entry (n) VALUES (1); INSERT INTO entry (n) VALUES (2)`)
			return err
		},
		"a statement without a result": func(ctx context.Context, turn *pipeline.Turn) error { return turn.Exec(ctx, insert, 1) },
		"a statement for one row":      func(ctx context.Context, turn *pipeline.Turn) error { return turn.ExecOne(ctx, insert, 1) },
		"a query": func(ctx context.Context, turn *pipeline.Turn) error {
			rows, err := turn.QueryContext(ctx, returning, 1)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
			}
			return rows.Err()
		},
		"a query of one row": func(ctx context.Context, turn *pipeline.Turn) error {
			var n int
			return turn.QueryRowContext(ctx, returning, 1).Scan(&n)
		},
		"queries in one round trip": func(_ context.Context, turn *pipeline.Turn) error {
			var n int
			return turn.QueryRows(pipeline.Query{SQL: returning, Args: []any{1}, Into: []any{&n}})
		},
		"a prepared statement": func(ctx context.Context, turn *pipeline.Turn) error {
			statement, err := turn.PrepareContext(ctx, insert)
			if err != nil {
				return err
			}
			defer func() { _ = statement.Close() }()
			_, err = statement.ExecContext(ctx, 1)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, event := range []int{pipeline.NoEvent, 0} {
				for _, how := range []pipeline.How{pipeline.Together, pipeline.OneByOne, pipeline.Alone} {
					for _, commits := range []bool{false, true} {
						f.exec(`TRUNCATE entry`)
						tx := f.begin(pipeline.Options{How: how})
						turn := tx.Turn(t.Context(), event)
						require.NoError(t, first(t.Context(), turn))
						var isolation string
						require.NoError(t, turn.QueryRowContext(t.Context(), `SELECT current_setting('transaction_isolation')`).Scan(&isolation))
						require.Equal(t, "read committed", isolation)
						require.NoError(t, turn.End(false))
						if commits {
							require.NoError(t, tx.Commit(0))
						}
						tx.Close()
						require.Equal(t, commits, f.int(`SELECT count(*) FROM entry`) > 0)
					}
				}
			}
		})
	}
}

func TestTransactionThatNobodyUsed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tx := f.begin(pipeline.Options{})
	before := f.sends.Load()
	require.NoError(t, tx.Commit(0))
	tx.Close()
	require.Equal(t, before, f.sends.Load(), "the server has not heard of it")
}

// The picture in doc.go: a statement is in the buffer until there are 256, and executed
// when somebody asks.
func TestWhereAStatementIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	fill := func(from, to int) (tx *pipeline.Tx, turn *pipeline.Turn, sends int64) {
		tx = f.begin(pipeline.Options{How: pipeline.OneByOne})
		turn = tx.Turn(t.Context(), 0)
		require.NoError(t, turn.Exec(t.Context(), insert, from)) // BEGIN, and the statement is prepared
		before := f.sends.Load()
		for n := from + 1; n < to; n++ {
			require.NoError(t, turn.Exec(t.Context(), insert, n))
		}
		return tx, turn, f.sends.Load() - before
	}
	tx, turn, sends := fill(1000, 1255)
	require.Zero(t, sends, "255 statements are in the buffer")
	var n int
	const count = `SELECT count(*) FROM entry`
	require.NoError(t, turn.QueryRowContext(t.Context(), count).Scan(&n))
	require.Equal(t, 255, n, "a query sees what was queued before it")
	require.NoError(t, turn.Exec(t.Context(), insert, 1255))
	before := f.sends.Load()
	require.NoError(t, turn.QueryRowContext(t.Context(), count).Scan(&n))
	require.Equal(t, 256, n)
	require.EqualValues(t, 1, f.sends.Load()-before, "what is queued, and the query behind it")
	require.NoError(t, turn.End(false))
	require.NoError(t, tx.Commit(0))
	tx.Close()

	tx, turn, sends = fill(2000, 2512)
	require.EqualValues(t, 2, sends, "after 256 statements they are sent, and again")
	result, err := turn.ExecContext(t.Context(), insert, 3000)
	require.NoError(t, err)
	before = f.sends.Load()
	rows, err := result.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, rows)
	require.EqualValues(t, 1, f.sends.Load()-before, "a count of rows is one round trip")
	require.NoError(t, turn.End(false))
	before = f.sends.Load()
	require.NoError(t, tx.Commit(0))
	require.EqualValues(t, 1, f.sends.Load()-before)
}

// A failure names the event whose statement it was, which is known long after its turn.
func TestFailureNamesItsEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`INSERT INTO entry (n) VALUES (7)`)
	play := func(how pipeline.How) (event int, err error) {
		tx := f.begin(pipeline.Options{How: how})
		defer tx.Close()
		for n := range 10 {
			turn := tx.Turn(t.Context(), n)
			require.NoError(t, turn.Exec(t.Context(), insert, n))
			require.NoError(t, turn.End(false))
		}
		require.Error(t, tx.Commit(9))
		return tx.Failure()
	}
	event, err := play(pipeline.OneByOne)
	require.Equal(t, 7, event)
	require.ErrorContains(t, err, "entry_pkey")
	_, err = play(pipeline.Together)
	require.ErrorIs(t, err, pipeline.ErrTogether, "%+v", err)
	require.Equal(t, 1, f.int(`SELECT count(*) FROM entry`), "nothing of it is left")
}

// Once it is broken, nothing is sent, whatever the handler does.
func TestBrokenTransaction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tx := f.begin(pipeline.Options{How: pipeline.OneByOne})
	turn := tx.Turn(t.Context(), 0)
	_, err := turn.ExecContext(t.Context(), `COMMIT`)
	require.ErrorIs(t, err, pipeline.ErrEnded)
	before := f.sends.Load()
	require.ErrorIs(t, turn.Exec(t.Context(), insert, 1), pipeline.ErrEnded)
	require.ErrorIs(t, turn.QueryRowContext(t.Context(), `SELECT 1`).Scan(new(int)), pipeline.ErrEnded)
	_, err = turn.PrepareContext(t.Context(), insert)
	require.ErrorIs(t, err, pipeline.ErrEnded)
	require.Equal(t, before, f.sends.Load())
	require.ErrorIs(t, turn.End(false), pipeline.ErrEnded)
	require.ErrorIs(t, tx.Commit(0), pipeline.ErrEnded)
}

func TestTurnThatIsOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tx := f.begin(pipeline.Options{})
	turn := tx.Turn(t.Context(), 0)
	require.NoError(t, turn.End(false))
	require.ErrorIs(t, turn.Exec(t.Context(), insert, 1), sql.ErrTxDone)
	require.ErrorIs(t, turn.QueryRows(pipeline.Query{SQL: `SELECT 1`}), sql.ErrTxDone)
	require.NoError(t, tx.Commit(0))
	tx.Close()
	require.Zero(t, f.int(`SELECT count(*) FROM entry`))
}

// The same text is about other tables in another search path, whether that is the
// transaction's or what the pool has set on the connection.
func TestSearchPaths(t *testing.T) {
	t.Parallel()
	const query = `INSERT INTO visit (code) VALUES ($1)`
	for _, set := range []string{"by the transaction", "by the pool"} {
		for _, how := range []pipeline.How{pipeline.Together, pipeline.OneByOne, pipeline.Alone} {
			t.Run(fmt.Sprint(set, how), func(t *testing.T) {
				t.Parallel()
				path := ""
				f := newFixture(t, func(c *pgxpool.Config) {
					c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
						if set == "by the pool" && path != "" {
							_, err := conn.Exec(ctx, "SET search_path = "+path)
							return true, err
						}
						return true, nil
					}
				})
				numbers, texts := f.schema("numbers", "INT"), f.schema("texts", "TEXT")
				for range 3 {
					for _, schema := range []string{numbers, texts} {
						options := pipeline.Options{How: how}
						if path = schema; set == "by the transaction" {
							options.SearchPath = schema
						}
						tx := f.begin(options)
						for n := range 3 {
							turn := tx.Turn(t.Context(), n)
							require.NoError(t, turn.Exec(t.Context(), query, fmt.Sprint("0", n)))
							require.NoError(t, turn.End(false))
						}
						require.NoError(t, tx.Commit(0))
						tx.Close()
					}
				}
				require.Equal(t, 9, f.int(`SELECT count(*) FROM `+numbers+`.visit`))
				require.Equal(t, 9, f.int(`SELECT count(*) FROM `+texts+`.visit WHERE code LIKE '0_'`), "not written by way of a number")
			})
		}
	}
}

// schema makes one with a table whose column has a type.
func (f *fixture) schema(name, of string) string {
	f.t.Helper()
	var schema string
	require.NoError(f.t, f.pool.QueryRow(f.t.Context(), `SELECT current_schema() || '_' || $1`, name).Scan(&schema))
	f.exec(`CREATE SCHEMA ` + schema)
	f.t.Cleanup(func() {
		_, err := f.pool.Exec(context.WithoutCancel(f.t.Context()), `DROP SCHEMA `+schema+` CASCADE`)
		require.NoError(f.t, err)
	})
	f.exec(`CREATE TABLE ` + schema + `.visit (code ` + of + `)`)
	return schema
}

// A connection keeps a bounded number of statements, of all search paths together.
func TestStatementsThatAreKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	schema := f.schema("other", "INT")
	for _, path := range []string{"", schema, ""} {
		tx := f.begin(pipeline.Options{How: pipeline.OneByOne, SearchPath: path})
		turn := tx.Turn(t.Context(), 0)
		for n := range 400 {
			require.NoError(t, turn.Exec(t.Context(), fmt.Sprintf(`SELECT %d`, n)))
		}
		require.NoError(t, turn.End(false))
		require.NoError(t, tx.Commit(0))
		tx.Close()
	}
	require.Equal(t, 512, f.int(`SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'readview%'`))
}

// A handler that hangs in a call is cut off; the pool makes another connection.
func TestAbandon(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tx := f.begin(pipeline.Options{})
	turn := tx.Turn(t.Context(), 0)
	require.NoError(t, turn.Exec(t.Context(), insert, 1))
	var hanging sync.WaitGroup
	hanging.Go(func() {
		_, err := turn.ExecContext(t.Context(), `SELECT pg_sleep(600)`)
		if err == nil {
			err = turn.QueryRowContext(t.Context(), `SELECT 1`).Scan(new(int))
		}
		require.Error(t, err)
	})
	time.AfterFunc(50*time.Millisecond, tx.Abandon)
	hanging.Wait()
	require.Error(t, turn.End(false))
	tx.Close()
	require.Zero(t, f.int(`SELECT count(*) FROM entry`))
}

// Nobody waits for a handler whose goroutine is no more.
func TestDrop(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tx := f.begin(pipeline.Options{})
	turn := tx.Turn(t.Context(), 0)
	rows, err := turn.QueryContext(t.Context(), `SELECT generate_series(1, 100000)`)
	require.NoError(t, err)
	tx.Drop()
	tx.Close()
	require.ErrorIs(t, turn.End(false), sql.ErrTxDone)
	require.Zero(t, f.int(`SELECT count(*) FROM entry`), "the pool has another connection")
	_ = rows.Close()
	require.Error(t, rows.Err())
}
