package readview_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// misuse is a handler that does what it must not with its transaction, for a deposit of
// 99.
func misuse(wrong func(ctx context.Context, tx readview.Tx) error) readview.Handler {
	return readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if err := onDeposited(ctx, tx, e); err != nil || e.Amount != 99 {
			return err
		}
		return wrong(ctx, tx)
	})
}

// Faults of a handler on a connection that is alive are the event's: the projection
// stops there, with what is before it applied, and the error says what is wrong.
func TestHandlersThatMisuseTheirTransaction(t *testing.T) {
	t.Parallel()
	exec := func(query string) func(context.Context, readview.Tx) error {
		return func(ctx context.Context, tx readview.Tx) error {
			_, err := tx.ExecContext(ctx, query)
			return err
		}
	}
	ignoring := func(wrong func(context.Context, readview.Tx) error) func(context.Context, readview.Tx) error {
		return func(ctx context.Context, tx readview.Tx) error {
			_ = wrong(ctx, tx)
			return nil
		}
	}
	whileReading := func(ctx context.Context, tx readview.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT generate_series(1, 1000)`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if _, err := tx.ExecContext(ctx, `INSERT INTO audit (audits) VALUES (1)`); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	cases := map[string]struct {
		wrong func(ctx context.Context, tx readview.Tx) error
		says  string
	}{
		"a statement while rows are read": {whileReading, "while it reads the rows"},
		"the same, its error ignored":     {ignoring(whileReading), "while it reads the rows"},
		"a query while rows are read": {func(ctx context.Context, tx readview.Tx) error {
			if _, err := tx.QueryContext(ctx, `SELECT generate_series(1, 1000)`); err != nil {
				return err
			}
			var n int
			return tx.QueryRowContext(ctx, `SELECT 1`).Scan(&n)
		}, "while it reads the rows"},
		"rows left open": {func(ctx context.Context, tx readview.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT generate_series(1, 1000)`)
			if err == nil {
				rows.Next()
			}
			return err
		}, "left the rows of a query open"},
		"a row that is not scanned": {func(ctx context.Context, tx readview.Tx) error {
			_ = tx.QueryRowContext(ctx, `SELECT generate_series(1, 1000)`)
			return nil
		}, "left the rows of a query open"},
		"COMMIT":          {exec(`COMMIT`), "to begin, commit or roll back"},
		"COMMIT, ignored": {ignoring(exec(`commit;`)), "to begin, commit or roll back"},
		"COMMIT behind": {exec(`SELECT 1; /* COMMIT? */ -- no
			COMMIT; BEGIN`), "to begin, commit or roll back"},
		"COMMIT AND CHAIN":    {exec(`commit and chain`), "to begin, commit or roll back"},
		"ROLLBACK":            {exec(`ROLLBACK`), "to begin, commit or roll back"},
		"BEGIN":               {exec(`BEGIN`), "to begin, commit or roll back"},
		"END":                 {exec(`end`), "to begin, commit or roll back"},
		"PREPARE TRANSACTION": {exec(`PREPARE TRANSACTION 'p'`), "to begin, commit or roll back"},
		"COMMIT in a query": {func(ctx context.Context, tx readview.Tx) error {
			rows, err := tx.QueryContext(ctx, `COMMIT`)
			if err == nil {
				err = rows.Close()
			}
			return err
		}, "to begin, commit or roll back"},
		"COMMIT prepared": {func(ctx context.Context, tx readview.Tx) error {
			_, err := tx.PrepareContext(ctx, `COMMIT`)
			return err
		}, "to begin, commit or roll back"},
		"COMMIT in a procedure": {exec(`DO $$ BEGIN COMMIT; END $$`), "invalid transaction termination"},
		"Goexit": {func(context.Context, readview.Tx) error {
			runtime.Goexit()
			return nil
		}, "runtime.Goexit"},
		"read only": {func(ctx context.Context, tx readview.Tx) error {
			if _, err := tx.ExecContext(ctx, `SET TRANSACTION READ ONLY`); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO audit (audits) VALUES (1)`)
			return err
		}, "read-only"},
	}
	for _, pageEvents := range []int{1, 1000} {
		t.Run(fmt.Sprintf("in pages of %d", pageEvents), func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			before := b.deposit(5)
			position := b.record("account-9", &Deposited{Amount: 99})
			b.deposit(3)
			config := fast()
			config.PageEvents, config.Attempts = pageEvents, 2
			var all []readview.Projection
			tables := map[string]string{}
			for name, c := range cases {
				table := fmt.Sprintf("journal_%d", len(all))
				tables[name] = table
				b.exec(`CREATE TABLE ` + table + ` (position BIGINT)`)
				all = append(all, readview.Projection{Name: name, Handlers: readview.Handlers{readview.On(
					func(ctx context.Context, tx readview.Tx, e *Deposited) error {
						err := readview.Exec(ctx, tx, `INSERT INTO `+table+` (position) VALUES ($1)`, int64(eventsourced.FromContext(ctx).Position))
						if err != nil || e.Amount != 99 {
							return err
						}
						return c.wrong(ctx, tx)
					})}})
			}
			manager, router := b.manager(config, all...)
			b.start(router)
			for name, c := range cases {
				b.eventually(name+": the projection fails", func() bool { return b.status(manager, name).State == consumer.Failed })
				status := b.status(manager, name)
				require.Equal(t, before, status.Position, name)
				require.Equal(t, position, status.Failure.Position, name)
				require.Contains(t, status.Failure.Error, c.says, name)
				require.Equal(t, b.rows(`SELECT tstamp::text FROM events WHERE tstamp <= `+fmt.Sprint(int64(before))+` ORDER BY tstamp`),
					b.rows(`SELECT position::text FROM `+tables[name]+` ORDER BY position`), name)
			}
			require.Zero(t, b.int(`SELECT count(*) FROM audit`))
		})
	}
}

// A handler that keeps the server waiting for longer than the idle timeout loses its
// connection each time. That is an attempt of its event.
func TestHandlersThatOutlastTheIdleTimeout(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(b *bank) func(ctx context.Context, tx readview.Tx) error{
		"by a wait": func(*bank) func(ctx context.Context, tx readview.Tx) error {
			return func(ctx context.Context, _ readview.Tx) error {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
				return nil
			}
		},
		"by the pool, for a row that tx has locked": func(b *bank) func(ctx context.Context, tx readview.Tx) error {
			return func(ctx context.Context, tx readview.Tx) error {
				var n int
				if err := tx.QueryRowContext(ctx, `SELECT n FROM counter FOR UPDATE`).Scan(&n); err != nil {
					return err
				}
				_, err := b.pool.Exec(ctx, `UPDATE counter SET n = n + 1`)
				return err
			}
		},
	} {
		for _, pageEvents := range []int{1, 1000} {
			t.Run(fmt.Sprintf("%s, in pages of %d", name, pageEvents), func(t *testing.T) {
				t.Parallel()
				b := newBank(t)
				b.exec(`CREATE TABLE counter (n BIGINT); INSERT INTO counter VALUES (0)`)
				before := b.deposit(5)
				position := b.record("account-9", &Deposited{Amount: 99})
				b.deposit(3)
				config := fast()
				config.PageEvents, config.Attempts = pageEvents, 2
				config.HangTimeout, config.RetryFor = 400*time.Millisecond, 500*time.Millisecond
				manager, router := b.manager(config, balances(misuse(slow(b))))
				b.start(router)
				b.eventually("the projection fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
				status := b.status(manager, "balances")
				require.Equal(t, position, status.Failure.Position)
				require.Contains(t, status.Failure.Error, "Config.HangTimeout (400ms)")
				require.GreaterOrEqual(t, status.Failure.Attempts, 2)
				require.Greater(t, status.Failure.Time.Sub(status.Failure.Since), 500*time.Millisecond)
				b.requireExact(before)
			})
		}
	}
}

// A handler that does not return is in the status within two seconds; another node
// takes over; and the router ends all the same.
func TestHandlerThatNeverReturns(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	before := b.deposit(3)
	position := b.record("account-9", &Deposited{Amount: 99})
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	config := fast()
	config.HangTimeout, config.DrainTimeout = 2500*time.Millisecond, 100*time.Millisecond
	logs := newLogs()
	config.Logger = logs.logger()
	entered := make(chan struct{}, 10)
	manager, router := b.manager(config, balances(misuse(func(context.Context, readview.Tx) error {
		entered <- struct{}{}
		<-forever
		return nil
	})))
	stop := b.start(router)
	<-entered
	began := time.Now()
	for _, m := range []*readview.Manager{manager, first(b.manager(fast(), balances()))} { // here, and in a process that does not run it
		b.eventually("it shows", func() bool { return b.status(m, "balances").State == consumer.Stalled })
		require.Less(t, time.Since(began), 2*time.Second)
		status := b.status(m, "balances")
		require.Equal(t, position, status.Failure.Position)
		require.Contains(t, status.Failure.Error, "has not returned")
		require.WithinDuration(t, began, status.Failure.Since, time.Second)
		require.Equal(t, eventsourced.Position(0), status.Position)
	}
	logs.wait(t, "handler has not returned", "event_name=Deposited", "duration=")
	require.Equal(t, []consumer.ID{{Kind: consumer.KindProjection, Name: "balances"}}, manager.Hangs())

	good, goodRouter := b.manager(fast(), balances())
	b.start(goodRouter)
	b.waitFor(good, position)
	b.requireExact(position)
	require.Greater(t, position, before)
	require.Empty(t, good.Hangs())
	require.NotEmpty(t, manager.Hangs(), "whoever has taken over")
	stop() // in spite of the handler
	logs.wait(t, "a page is rolled back", "event_name=Deposited")
}

// Whoever keeps tx for longer than its handler runs gets an error, and nothing else
// happens.
func TestTxAfterItsHandlerReturned(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	last := b.deposit(300)
	var kept atomic.Pointer[readview.Tx]
	var statement atomic.Pointer[sql.Stmt]
	ctx, cancel := context.WithCancel(t.Context())
	stray := make(chan error, 1)
	go func() {
		var others error
		for ctx.Err() == nil {
			if tx := kept.Load(); tx != nil {
				_, err := (*tx).ExecContext(ctx, `INSERT INTO audit (audits) VALUES (1)`)
				if err != nil && !errors.Is(err, sql.ErrTxDone) {
					others = errors.Join(others, err)
				}
			}
		}
		stray <- others
	}()
	n := 0
	manager, router := b.manager(fast(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		switch n++; {
		case n == 1:
			stmt, err := tx.PrepareContext(ctx, `INSERT INTO audit (audits) VALUES ($1)`)
			if err != nil {
				return err
			}
			statement.Store(stmt)
		case n == 2:
			if _, err := statement.Load().ExecContext(ctx, 2); err == nil {
				return errors.New("a statement outlives the handler that prepared it")
			}
		}
		if err := onDeposited(ctx, tx, e); err != nil {
			return err
		}
		kept.Store(&tx)
		return nil
	})))
	b.start(router)
	b.waitFor(manager, last)
	cancel()
	require.NoError(t, <-stray)
	b.requireExact(last)
	_, err := (*kept.Load()).ExecContext(t.Context(), `SELECT 1`)
	require.ErrorIs(t, err, sql.ErrTxDone)
	_, err = (*kept.Load()).QueryContext(t.Context(), `SELECT 1`)
	require.ErrorIs(t, err, sql.ErrTxDone)
	require.ErrorIs(t, (*kept.Load()).QueryRowContext(t.Context(), `SELECT 1`).Scan(&n), sql.ErrTxDone)
	_, err = (*kept.Load()).PrepareContext(t.Context(), `SELECT 1`)
	require.ErrorIs(t, err, sql.ErrTxDone)
}
