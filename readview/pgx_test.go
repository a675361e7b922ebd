package readview_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// dbtx and generated are as sqlc generates them for pgx/v5.
type dbtx interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, source pgx.CopyFromSource) (int64, error)
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

type generated struct{ db dbtx }

func (q generated) addToBalance(ctx context.Context, account string, amount, version int64) (int64, error) { // :execrows
	result, err := q.db.Exec(ctx, `INSERT INTO balance AS b (account, amount, version) VALUES ($1, $2, $3)
		ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount, version = EXCLUDED.version`, account, amount, version)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected(), nil
}

func (q generated) entries(ctx context.Context) ([]int64, error) { // :many
	rows, err := q.db.Query(ctx, `SELECT position FROM journal ORDER BY entry`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// onDepositedPgx does what onDeposited does, by all the ways that pgx has.
func onDepositedPgx(ctx context.Context, tx pgx.Tx, e *Deposited) error {
	q, recorded := generated{tx}, eventsourced.FromContext(ctx)
	if n, err := q.addToBalance(ctx, e.AggregateID(), e.Amount, int64(recorded.Version)); err != nil || n != 1 {
		return errors.Join(err, errors.New("one row"))
	}
	before, err := q.entries(ctx)
	if err != nil {
		return err
	}
	const insert = `INSERT INTO journal (position, amount) VALUES ($1, $2)`
	switch len(before) % 4 {
	case 0:
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"journal"}, []string{"position", "amount"}, pgx.CopyFromRows([][]any{{int64(recorded.Position), e.Amount}}))
	case 1:
		batch := &pgx.Batch{}
		batch.Queue(insert, int64(recorded.Position), e.Amount)
		batch.Queue(`SELECT 1`)
		err = tx.SendBatch(ctx, batch).Close()
	case 2: // what fails in a savepoint is taken back with it
		err = pgx.BeginFunc(ctx, tx, func(nested pgx.Tx) error {
			_, err := nested.Exec(ctx, insert, 0, 0)
			return errors.Join(err, errors.New("no"))
		})
		if err == nil {
			return errors.New("want an error")
		}
		err = pgx.BeginFunc(ctx, tx, func(nested pgx.Tx) error {
			_, err := nested.Exec(ctx, insert, int64(recorded.Position), e.Amount)
			return err
		})
	default:
		if _, err = tx.Prepare(ctx, "entry", insert); err == nil {
			_, err = tx.Exec(ctx, "entry", int64(recorded.Position), e.Amount)
		}
	}
	return err
}

// Handlers with pgx's own API stand beside others, in one page.
func TestHandlersOfPgx(t *testing.T) {
	t.Parallel()
	for _, pageEvents := range []int{1, 1000} {
		b := newBank(t)
		config := fast()
		config.PageEvents = pageEvents
		b.deposit(40)
		b.record("account-1", &Audited{}, &Deposited{Amount: 5}, &Audited{})
		projection := balances(readview.OnPgx(onDepositedPgx), readview.On(onAudited))
		projection.Tables, projection.Reset = append(projection.Tables, "audit"), nil
		manager, router := b.manager(config, projection)
		b.start(router)
		last := b.deposit(3)
		b.waitFor(manager, last)
		b.requireExact(last)
		require.EqualValues(t, 2, b.int(`SELECT count(*) FROM audit`))
		require.Nil(t, b.status(manager, "balances").Failure)
	}
}

// What a handler must not do is refused and on record at its event, whichever API it uses.
func TestHandlersOfPgxThatMisuseTheirTransaction(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler func(ctx context.Context, tx pgx.Tx, e *Deposited) error
		want    string
	}{
		"it commits":           {func(ctx context.Context, tx pgx.Tx, _ *Deposited) error { return tx.Commit(ctx) }, "has ended its transaction"},
		"it ignores that":      {func(ctx context.Context, tx pgx.Tx, _ *Deposited) error { _ = tx.Rollback(ctx); return nil }, "has ended its transaction"},
		"it commits in a text": {func(ctx context.Context, tx pgx.Tx, _ *Deposited) error { _, err := tx.Exec(ctx, "COMMIT"); return err }, "has ended its transaction"},
		"it commits in a batch": {func(ctx context.Context, tx pgx.Tx, _ *Deposited) error {
			batch := &pgx.Batch{}
			batch.Queue("COMMIT")
			return tx.SendBatch(ctx, batch).Close()
		}, "has ended its transaction"},
		"it leaves rows open": {func(ctx context.Context, tx pgx.Tx, _ *Deposited) error {
			_, err := tx.Query(ctx, `SELECT generate_series(1, 100000)`)
			return err
		}, "has left the rows of a query open"},
		"it leaves a row open": {func(ctx context.Context, tx pgx.Tx, _ *Deposited) error {
			tx.QueryRow(ctx, `SELECT generate_series(1, 100000)`)
			return nil
		}, "has left the rows of a query open"},
		"it reads and writes": {func(ctx context.Context, tx pgx.Tx, _ *Deposited) error {
			rows, err := tx.Query(ctx, `SELECT generate_series(1, 100000)`)
			if err != nil {
				return err
			}
			defer rows.Close()
			_, err = tx.Exec(ctx, `SELECT 1`)
			return err
		}, "while it reads the rows of a query"},
		"it ignores an error": {func(ctx context.Context, tx pgx.Tx, _ *Deposited) error {
			_, _ = tx.Exec(ctx, `SELECT 1/0`)
			return nil
		}, "ignored an error"},
		"it wants large objects": {func(_ context.Context, tx pgx.Tx, _ *Deposited) error {
			tx.LargeObjects()
			return nil
		}, "use lo_get"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			config := fast()
			config.Attempts = 1
			manager, router := b.manager(config, balances(readview.OnPgx(test.handler)))
			b.start(router)
			last := b.deposit(2)
			b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
			failure := b.status(manager, "balances").Failure
			require.Contains(t, failure.Error, test.want)
			require.Less(t, failure.Position, last)
			require.Zero(t, b.int(`SELECT count(*) FROM balance`))
		})
	}
}

// What a handler does on the connection itself is gone with its event.
func TestHandlersOfPgxThatUseTheConnection(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	handler := func(ctx context.Context, tx pgx.Tx, e *Deposited) error {
		var note string
		if err := tx.QueryRow(ctx, `SELECT coalesce(current_setting('bank.note', true), '')`).Scan(&note); err != nil || note != "" {
			return errors.Join(err, errors.New("want no note: "+note))
		}
		if _, err := tx.Conn().Exec(ctx, `SET bank.note = 'mine'`); err != nil {
			return err
		}
		return onDepositedPgx(ctx, tx, e)
	}
	last := b.deposit(9)
	manager, router := b.manager(fast(), balances(readview.OnPgx(handler)))
	b.start(router)
	b.waitFor(manager, last)
	b.requireExact(last)
}

// Counts that are asked for at once, as by sqlc's :execrows for database/sql, are right, and what was
// queued before them travels along.
func TestCountsThatAreAskedForAtOnce(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	handler := func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if err := readview.Exec(ctx, tx, `INSERT INTO journal (position, amount) VALUES ($1, $2)`, int64(eventsourced.FromContext(ctx).Position), e.Amount); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO balance AS b (account, amount, version) VALUES ($1, $2, $3)
			ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount, version = EXCLUDED.version`,
			e.AggregateID(), e.Amount, int64(eventsourced.FromContext(ctx).Version))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n != 1 {
			err = errors.New("want one row")
		}
		return err
	}
	last := b.deposit(100)
	manager, router := b.manager(fast(), balances(readview.On(handler)))
	b.start(router)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.Nil(t, b.status(manager, "balances").Failure)
}
