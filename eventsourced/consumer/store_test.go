package consumer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestPositions(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	ctx, p, c := t.Context(), b.Consumers, consumer.ID{Kind: consumer.KindSubscriber, Name: "g", Topic: "Deposited"}

	lease, err := p.Acquire(ctx, c, "zombie", time.Hour)
	require.NoError(t, err)
	require.True(t, lease.Held)
	require.Zero(t, lease.Position)
	require.NoError(t, p.Save(ctx, c, "zombie", 0, 10))
	require.NoError(t, p.Save(ctx, c, "zombie", 0, 10), "a repeated save succeeds")
	err = p.Save(ctx, c, "zombie", 0, 20)
	require.ErrorIs(t, err, consumer.ErrLeaseLost, "from a position where it is not")
	require.EqualError(t, err, "save the position of g/Deposited: another node is active, or the position was changed")

	lease, err = p.Acquire(ctx, c, "heir", time.Hour)
	require.NoError(t, err)
	require.False(t, lease.Held)
	require.InDelta(t, time.Hour, lease.Left, float64(time.Minute))
	require.ErrorIs(t, p.Renew(ctx, c, "heir", time.Hour), consumer.ErrLeaseLost)
	require.ErrorIs(t, p.Save(ctx, c, "heir", 10, 20), consumer.ErrLeaseLost)
	require.NoError(t, p.Release(ctx, c, "heir"), "of what it does not have")

	// An end of the lease that nobody noticed changes nothing.
	b.Exec(`UPDATE consumers SET lease_until = '-infinity'`)
	require.NoError(t, p.Save(ctx, c, "zombie", 10, 20))
	require.NoError(t, p.Renew(ctx, c, "zombie", time.Microsecond))
	b.Eventually("the heir takes over", func() bool {
		lease, err = p.Acquire(ctx, c, "heir", time.Hour)
		require.NoError(t, err)
		return lease.Held
	})
	require.EqualValues(t, 20, lease.Position)
	require.NoError(t, p.Save(ctx, c, "heir", 20, 30))
	for range 2 { // before and after the heir's release
		require.ErrorIs(t, p.Renew(ctx, c, "zombie", time.Hour), consumer.ErrLeaseLost)
		require.ErrorIs(t, p.Save(ctx, c, "zombie", 20, 21), consumer.ErrLeaseLost)
		require.ErrorIs(t, p.Save(ctx, c, "zombie", 30, 31), consumer.ErrLeaseLost)
		require.NoError(t, p.Release(ctx, c, "zombie"))
		require.EqualValues(t, 30, b.Position("Deposited"))
		require.NoError(t, p.Release(ctx, c, "heir"))
	}
	lease, err = p.Acquire(ctx, c, "third", time.Hour)
	require.NoError(t, err)
	require.Equal(t, consumer.Lease{Held: true, Position: 30, Left: lease.Left}, lease)
}

func TestOneAcquires(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	for round := range 20 {
		c := consumer.ID{Kind: consumer.KindSubscriber, Name: "g", Topic: fmt.Sprint(round)} // a new one
		for range 2 {
			var held atomic.Int64
			var nodes sync.WaitGroup
			for node := range 8 {
				nodes.Go(func() {
					lease, err := b.Consumers.Acquire(t.Context(), c, fmt.Sprint(node, round), time.Hour)
					if err != nil {
						t.Error(err)
					}
					if lease.Held {
						held.Add(1)
					}
				})
			}
			nodes.Wait()
			require.EqualValues(t, 1, held.Load())
			b.Exec(`UPDATE consumers SET node = 'gone', lease_until = clock_timestamp() - interval '1 microsecond'`)
		}
	}
}

func TestNotMigrated(t *testing.T) {
	t.Parallel()
	positions := consumer.NewStore(testdb.New(t).Pool, consumer.Config{})
	_, err := positions.Acquire(t.Context(), consumer.ID{Kind: consumer.KindSubscriber, Name: "g", Topic: "Deposited"}, "node", time.Hour)
	require.ErrorContains(t, err, "acquire the lease of g/Deposited: ")
	require.ErrorContains(t, err, "(the table is made by migrate.Run with consumer.Migrations)")
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	require.NoError(t, migrate.Run(t.Context(), b.Pool, migrate.Config{}, reactor.Migrations()), "again")
	names, err := fs.Glob(consumer.Migrations().Files, "*.sql")
	require.NoError(t, err)
	require.Equal(t, []string{"0001_consumers.sql", "0002_stalled.sql"}, names)
	_, err = b.Consumers.Acquire(t.Context(), consumer.ID{Kind: consumer.KindSubscriber, Name: "g", Topic: "t"}, "node", time.Hour)
	require.NoError(t, err)
	require.Equal(t, eventsourced.Position(0), b.Position("t"))
}

func TestNewStore(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "consumer.NewStore: the pool is nil", func() { consumer.NewStore(nil, consumer.Config{}) })
	b := newBank(t)
	require.PanicsWithValue(t, "consumer.NewStore: Config.Schema is no name of a schema, which has at most 63 bytes of UTF-8", func() {
		consumer.NewStore(b.Pool, consumer.Config{Schema: "a\x00b"})
	})
}

func TestNewFollower(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, `consumer.NewFollower: the log is nil
consumer.Config: PollInterval is negative
consumer.NewFollower: the positions are nil
consumer.Work: Handle is nil
consumer.Work: PageEvents is below 1`, func() {
		consumer.NewFollower(nil, (*consumer.Store)(nil), consumer.Config{PollInterval: -1}, consumer.Work{})
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	t.Run("names all that is wrong with it", func(t *testing.T) {
		t.Parallel()
		bad := consumer.Config{PollInterval: -1, BackOff: time.Minute, MaxBackOff: time.Second, DrainTimeout: -1, HangTimeout: -1, Schema: strings.Repeat("s", 64)}
		require.EqualError(t, errors.Join(bad.Problems("relay.Config")...), `relay.Config: PollInterval is negative
relay.Config: DrainTimeout is negative
relay.Config: HangTimeout is negative
relay.Config: MaxBackOff is shorter than BackOff
relay.Config: Schema is no name of a schema, which has at most 63 bytes of UTF-8`)
	})
	t.Run("does not limit the back-off to less than was asked for", func(t *testing.T) {
		t.Parallel()
		config := consumer.Config{BackOff: time.Minute}
		require.Empty(t, config.Problems("relay.Config"))
		require.Equal(t, time.Minute, config.WithDefaults().BackOffAfter(1))
		require.Equal(t, consumer.DefaultMaxBackOff, consumer.Config{}.WithDefaults().MaxBackOff)
	})
}
