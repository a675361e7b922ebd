package job_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/job/oneevent"
	"github.com/dancefinder/eventsourcing/internal/job/twoevents"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestMain(m *testing.M) { testdb.Main(m) }

const table = `CREATE TABLE balance (account TEXT PRIMARY KEY, amount BIGINT NOT NULL)`

// runner is a consumer.Runner.
type runner func(ctx context.Context) error

func (r runner) Run(ctx context.Context) error { return r(ctx) }

func TestProgramsThatAreCounted(t *testing.T) {
	t.Parallel()
	t.Run("with one event", func(t *testing.T) {
		t.Parallel()
		pool := database(t)
		ctx, stop := context.WithCancel(t.Context())
		require.NoError(t, oneevent.Run(ctx, pool, func(accounts *eventsourced.Repository[oneevent.Account]) consumer.Runner {
			return runner(func(ctx context.Context) error {
				_, err := accounts.Update(ctx, "anna", func(a *oneevent.Account) error { return a.Deposit(5) })
				if err == nil {
					awaitBalance(ctx, pool, 5)
				}
				stop()
				<-ctx.Done() // one that ends before its turn has stopped by itself
				return err
			})
		}))
		require.EqualValues(t, 5, balance(t.Context(), pool))
	})
	t.Run("with two events", func(t *testing.T) {
		t.Parallel()
		pool := database(t)
		ctx, stop := context.WithCancel(t.Context())
		require.NoError(t, twoevents.Run(ctx, pool, func(accounts *eventsourced.Repository[twoevents.Account]) consumer.Runner {
			return runner(func(ctx context.Context) error {
				_, err := accounts.Update(ctx, "anna", func(a *twoevents.Account) error {
					if err := a.Deposit(5); err != nil {
						return err
					}
					return a.Withdraw(2)
				})
				if err == nil {
					awaitBalance(ctx, pool, 3)
				}
				stop()
				<-ctx.Done() // one that ends before its turn has stopped by itself
				return err
			})
		}))
		require.EqualValues(t, 3, balance(t.Context(), pool))
	})
}

func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := testdb.New(t).Pool
	require.NoError(t, migrate.Run(t.Context(), pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	_, err := pool.Exec(t.Context(), table)
	require.NoError(t, err)
	return pool
}

// awaitBalance returns when the projection has made it so, or the context ends.
func awaitBalance(ctx context.Context, pool *pgxpool.Pool, want int64) {
	for balance(ctx, pool) != want && wait.Sleep(ctx, time.Millisecond) {
	}
}

func balance(ctx context.Context, pool *pgxpool.Pool) (amount int64) {
	_ = pool.QueryRow(ctx, `SELECT amount FROM balance WHERE account = 'anna'`).Scan(&amount)
	return amount
}
