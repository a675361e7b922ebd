package reactor_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// copier copies deposits to an account, in the reactor's transaction, with no id that would
// tell a repetition.
func copier(store *pgstore.Store) reactor.Reaction {
	accounts := eventsourced.NewRepository[consumertest.Account](store, account.AggregateName, eventsourced.RepositoryConfig{})
	return reactor.OnTx(func(ctx context.Context, tx pgx.Tx, e *consumertest.Deposited) error {
		if eventsourced.FromContext(ctx).Stream == account {
			return nil
		}
		_, err := accounts.UpdateTx(ctx, store.Tx(tx), account.AggregateID, func(a *consumertest.Account) error {
			return eventsourced.Record(a, &consumertest.Deposited{Amount: e.Amount})
		})
		return err
	})
}

// causes returns the ids of the events because of which something was deposited by copier.
func (b *bank) causes() (ids []string) {
	b.T.Helper()
	for copied, err := range b.Store.ReadStream(b.T.Context(), account, 0) {
		require.NoError(b.T, err)
		ids = append(ids, copied.Metadata[eventsourced.MetaCausation])
	}
	return ids
}

func TestOnTx(t *testing.T) {
	t.Parallel()
	t.Run("what fails leaves nothing, and what is done is done once", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		var tries atomic.Int64
		accounts := eventsourced.NewRepository[consumertest.Account](b.Store, account.AggregateName, eventsourced.RepositoryConfig{})
		config := parking()
		config.Concurrency = 2
		var ill atomic.Bool
		ill.Store(true)
		it, _ := b.Reactor(config, reactor.OnTx(func(ctx context.Context, tx pgx.Tx, e *consumertest.Deposited) error {
			if eventsourced.FromContext(ctx).Stream == account {
				return nil
			}
			tries.Add(1)
			_, err := accounts.UpdateTx(ctx, b.Store.Tx(tx), account.AggregateID, func(a *consumertest.Account) error {
				return eventsourced.Record(a, &consumertest.Renamed{First: "X"})
			})
			if ill.Load() {
				err = errors.Join(err, consumertest.ErrBroken)
			}
			return err
		}))
		event := b.deposits(1, 1, "a")
		b.Becomes(it, "it is parked", parkedIs(1))
		require.EqualValues(t, config.Attempts, tries.Load())
		require.Empty(t, b.causes())
		ill.Store(false)
		require.NoError(t, it.Resume(t.Context()))
		b.Becomes(it, "it is done", parkedIs(0))
		require.Equal(t, []string{event.ID.String()}, b.causes())
	})
	t.Run("whoever has lost the lease commits nothing", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		config := consumertest.Reacting()
		running, proceed := make(chan struct{}), make(chan struct{})
		_, stop := b.Reactor(config, reactor.OnTx(func(ctx context.Context, tx pgx.Tx, e *consumertest.Deposited) error {
			close(running)
			<-proceed
			_, err := tx.Exec(context.WithoutCancel(ctx), `INSERT INTO done VALUES ($1)`, e.Amount)
			return err
		}))
		b.Exec(`CREATE TABLE done (amount BIGINT)`)
		b.deposits(1, 1, "a")
		b.Wait(running, "it runs")
		b.Exec(`UPDATE consumers SET node = 'another/1', lease_until = clock_timestamp() + interval '1 hour', lease_length = '1 hour'`)
		close(proceed)
		stop()
		var n int
		require.NoError(t, b.Pool.QueryRow(t.Context(), `SELECT count(*) FROM done`).Scan(&n))
		require.Zero(t, n)
	})
	t.Run("a commit whose answer was lost is not done again", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		event := b.deposits(1, 1, "a")
		var calls atomic.Int64
		it, _ := b.Reactor(consumertest.Reacting(), reactor.OnTx(func(ctx context.Context, _ pgx.Tx, _ *consumertest.Deposited) error {
			calls.Add(1)
			_, err := b.Pool.Exec(ctx, `INSERT INTO reactor_done VALUES ('r', $1)`, int64(event.Position)) // as if it had been committed
			return errors.Join(err, consumertest.ErrBroken)
		}))
		b.Becomes(it, "it passes", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == event.Position })
		require.EqualValues(t, 1, calls.Load())
	})
}
